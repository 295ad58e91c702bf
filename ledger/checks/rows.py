"""Rows of state against the state that the events say, table by table, in pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, cast
from uuid import UUID

from ledger.checks.finding import Finding
from ledger.checks.reading import read
from ledger.checks.replay import Replay
from ledger.domain.account import STATE_FORMAT, Hold, encode_account, encode_grant, encode_parts
from ledger.domain.budgets import Budget
from ledger.domain.events import BudgetUse
from ledger.proof.reading import Reading
from ledger.sansio import Row, Statement

PAGE = 2_000
_UNREADABLE: list[Row] = [{}]
_START: tuple[Any, ...] = ()


class _Pages(NamedTuple):
    """The statement of a table's first page, and that of a page behind a key.

    No id lies before the nil id, which is one like any other: the first page has no lower bound.
    """

    first: Statement
    further: Statement


def _pages(name: str, rows: str, *key: str) -> _Pages:
    columns = ", ".join(key)
    after = ", ".join(("%(after)s", "%(after_too)s")[: len(key)])
    order = f"ORDER BY {columns} LIMIT %(limit)s"
    return _Pages(
        Statement(f"{name}-first", f"{rows} {order}"),
        Statement(name, f"{rows} WHERE ({columns}) > ({after}) {order}"),
    )


ACCOUNTS = _pages(
    "verify-accounts",
    "SELECT account_id, organisation_id, version, hash, format, state, next_due_at FROM account_states",
    "account_id",
)
HOLDS = _pages(
    "verify-holds",
    """
    SELECT hold_id, account_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, reference, opened_at,
           opened_position, resolved_at, slices
    FROM holds
    """,
    "hold_id",
)
GRANTS = _pages("verify-grants", "SELECT account_id, grant_id, format, state FROM grants", "account_id", "grant_id")
BUDGETS = _pages(
    "verify-budgets",
    "SELECT budget_id, organisation_id, version, hash, subject, window_kind, limit_ucr FROM budgets",
    "budget_id",
)
USAGE = _pages(
    "verify-usage", "SELECT budget_id, window_start, used_ucr FROM budget_usage", "budget_id", "window_start"
)


def _always(_replay: Replay, _row: Row) -> bool:
    return True


class _Table(NamedTuple):
    """How a table is read and compared.

    ``wrong`` says what a row should not be, and at which position, or None; rows that mean nothing it passes by
    ``counts``. ``expected`` yields the key of every row that must be there, with a position.
    """

    name: str
    pages: _Pages
    key: tuple[str, ...]
    wrong: Callable[[Replay, Row], int | None]
    expected: Callable[[Replay], Iterator[tuple[tuple[Any, ...], int]]]
    counts: Callable[[Replay, Row], bool] = _always


def check_rows(replay: Replay) -> Reading[list[Finding]]:
    """Compare all tables; the first wrong row of each."""
    found: list[Finding] = []
    for table in _TABLES:
        found += yield from _check(replay, table)
    return found


def _check(replay: Replay, table: _Table) -> Reading[list[Finding]]:
    after, count = _START, 0
    while rows := (yield from _page(table, after)):
        if rows is _UNREADABLE:
            where = f"behind {'/'.join(map(str, after))}" if after else "of the first page"
            return [Finding(0, f"{table.name}: a row {where} cannot be read")]
        for row in rows:
            if (position := table.wrong(replay, row)) is not None:
                return [Finding(position, f"{table.name} {_words(table, row)}: its row is not what its events say")]
            count += table.counts(replay, row)
        after = _key(table, rows[-1])
    if count == sum(1 for _ in table.expected(replay)):
        return []
    return (yield from _missing(replay, table))


def _missing(replay: Replay, table: _Table) -> Reading[list[Finding]]:
    """Which row is not there; only looked for where one is not."""
    left = dict(table.expected(replay))
    after = _START
    while rows := (yield from _page(table, after)):
        for row in rows:
            left.pop(_key(table, row), None)
        after = _key(table, rows[-1])
    key, position = min(left.items(), key=lambda one: one[1])
    return [Finding(position, f"{table.name} {'/'.join(map(str, key))}: its row is missing")]


def _page(table: _Table, after: tuple[Any, ...]) -> Reading[list[Row]]:
    """The page behind a key, or the first."""
    if after == _START:
        rows = yield from read(table.pages.first, {"limit": PAGE})
    else:
        rows = yield from read(table.pages.further, {"after": after[0], "after_too": after[-1], "limit": PAGE})
    return _UNREADABLE if rows is None else rows


def _key(table: _Table, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in table.key)


def _words(table: _Table, row: Row) -> str:
    return "/".join(map(str, _key(table, row)))


def _end(replay: Replay, stream_id: UUID) -> int:
    found = replay.streams.get(stream_id.int)
    return found.position if found else 0


def _wrong_account(replay: Replay, row: Row) -> int | None:
    account = replay.accounts.get(row["account_id"])
    if account is None:
        return 0
    said = (account.organisation_id, account.version, account.hash, account.next_due_at)
    right = said == (row["organisation_id"], row["version"], row["hash"], row["next_due_at"])
    if right and (row["format"] != STATE_FORMAT or row["state"] == encode_account(account)):
        return None
    return _end(replay, account.account_id)


_HOLD_FIELDS = tuple(name for name in Hold.__struct_fields__ if name not in {"slices", "spent", "budgets", "cap_ucr"})
_said = attrgetter(*_HOLD_FIELDS)
_stored = cast("Callable[[Row], Any]", itemgetter(*_HOLD_FIELDS))


def _wrong_hold(replay: Replay, row: Row) -> int | None:
    hold = replay.rows.holds.get(row["hold_id"])
    if hold is None:
        return 0
    right = _said(hold) == _stored(row) and (hold.remaining_ucr, encode_parts(hold)) == (
        row["remaining_ucr"],
        row["slices"],
    )
    return None if right else hold.opened_position


def _wrong_grant(replay: Replay, row: Row) -> int | None:
    if not _is_ended(replay, row):
        return None
    grant = replay.rows.ended.get((row["account_id"], row["grant_id"]))
    if grant is None:
        return 0
    right = row["format"] != STATE_FORMAT or row["state"] == encode_grant(grant)
    return None if right else _end(replay, row["account_id"])


def _is_ended(replay: Replay, row: Row) -> bool:
    """The row of a grant that is live again means nothing."""
    account = replay.accounts.get(row["account_id"])
    return account is None or account.grant(row["grant_id"]) is None


def _wrong_budget(replay: Replay, row: Row) -> int | None:
    budget = replay.budgets.known.get(row["budget_id"])
    if budget is None:
        return 0
    said = {name: getattr(budget, name) for name in Budget.__struct_fields__}
    return None if said | {"window_kind": said.pop("window")} == row else _end(replay, budget.budget_id)


def _wrong_usage(replay: Replay, row: Row) -> int | None:
    use = BudgetUse(row["budget_id"], row["window_start"])
    if replay.budgets.used_ucr.get(use) == row["used_ucr"]:
        return None
    return _end(replay, use.budget_id)


_Expected = Iterator[tuple[tuple[Any, ...], int]]


def _accounts(replay: Replay) -> _Expected:
    return (((one,), _end(replay, one)) for one in replay.accounts)


def _holds(replay: Replay) -> _Expected:
    return (((one,), hold.opened_position) for one, hold in replay.rows.holds.items())


def _grants(replay: Replay) -> _Expected:
    return ((one, _end(replay, one[0])) for one in replay.rows.ended)


def _budgets(replay: Replay) -> _Expected:
    return (((one,), _end(replay, one)) for one in replay.budgets.known)


def _usage(replay: Replay) -> _Expected:
    return (((one.budget_id, one.window_start), _end(replay, one.budget_id)) for one in replay.budgets.used_ucr)


_TABLES = (
    _Table("account", ACCOUNTS, ("account_id",), _wrong_account, _accounts),
    _Table("hold", HOLDS, ("hold_id",), _wrong_hold, _holds),
    _Table("grant", GRANTS, ("account_id", "grant_id"), _wrong_grant, _grants, _is_ended),
    _Table("budget", BUDGETS, ("budget_id",), _wrong_budget, _budgets),
    _Table("budget window", USAGE, ("budget_id", "window_start"), _wrong_usage, _usage),
)
