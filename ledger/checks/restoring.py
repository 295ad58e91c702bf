"""Writes the rows of state that a replay has made: accounts, holds, ended grants, budgets, snapshots."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ledger.checks.replay import Replay
from ledger.domain.account import STATE_FORMAT, encode_account, encode_grant, encode_parts
from ledger.sansio import RunMany, Statement

PAGE = 5_000
Writing = Generator[RunMany, Any, None]


def _insert(table: str, *columns: str) -> Statement:
    values = ", ".join(f"%({column})s" for column in columns)
    return Statement(f"restore-{table}", f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values})")  # noqa: S608


ACCOUNT = _insert(
    "account_states", "account_id", "organisation_id", "version", "format", "hash", "state", "next_due_at"
)
HOLD = _insert(
    "holds",
    "hold_id",
    "account_id",
    "state",
    "amount_ucr",
    "committed_ucr",
    "remaining_ucr",
    "lease_until",
    "opened_at",
    "resolved_at",
    "opened_position",
    "reference",
    "slices",
)
GRANT = _insert("grants", "account_id", "grant_id", "format", "state")
BUDGET = _insert("budgets", "budget_id", "organisation_id", "version", "hash", "subject", "window_kind", "limit_ucr")
USAGE = _insert("budget_usage", "budget_id", "window_start", "used_ucr")
SNAPSHOT = _insert("account_snapshots", "account_id", "version", "position", "recorded_at", "format", "state")

Params = Mapping[str, Any]


def restore(replay: Replay) -> Writing:
    """Write all state as of the end of the log."""
    tables: tuple[tuple[Statement, Iterable[Params]], ...] = (
        (ACCOUNT, _accounts(replay)),
        (HOLD, _holds(replay)),
        (GRANT, _grants(replay)),
        (BUDGET, _budgets(replay)),
        (USAGE, _usage(replay)),
    )
    for statement, rows in tables:
        left = iter(rows)
        while page := list(islice(left, PAGE)):
            yield RunMany(statement, page)


def write_snapshots(replay: Replay) -> Writing:
    """Write the snapshots since the last call."""
    rows, replay.snapshots = replay.snapshots, []
    if rows:
        yield RunMany(SNAPSHOT, [row._asdict() | {"format": STATE_FORMAT} for row in rows])


def _accounts(replay: Replay) -> Iterator[Params]:
    for account in replay.accounts.values():
        yield {
            "account_id": account.account_id,
            "organisation_id": account.organisation_id,
            "version": account.version,
            "format": STATE_FORMAT,
            "hash": account.hash,
            "state": encode_account(account),
            "next_due_at": account.next_due_at,
        }


def _holds(replay: Replay) -> Iterator[Params]:
    for hold in replay.rows.holds.values():
        fields = {name: getattr(hold, name) for name in hold.__struct_fields__}
        yield fields | {"remaining_ucr": hold.remaining_ucr, "slices": encode_parts(hold)}


def _grants(replay: Replay) -> Iterator[Params]:
    for (account_id, grant_id), grant in replay.rows.ended.items():
        yield {"account_id": account_id, "grant_id": grant_id, "format": STATE_FORMAT, "state": encode_grant(grant)}


def _budgets(replay: Replay) -> Iterator[Params]:
    for budget in replay.budgets.known.values():
        fields = {name: getattr(budget, name) for name in budget.__struct_fields__}
        yield fields | {"window_kind": budget.window}


def _usage(replay: Replay) -> Iterator[Params]:
    for use, used_ucr in replay.budgets.used_ucr.items():
        yield {"budget_id": use.budget_id, "window_start": use.window_start, "used_ucr": used_ucr}
