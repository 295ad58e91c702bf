"""Rows that few batches touch, read and written under the lock: ended grants, budgets, snapshots, refusal counts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from ledger.domain.account import STATE_FORMAT, Grant, decode_grant, encode_grant
from ledger.domain.budgets import Budget
from ledger.domain.events import BudgetUse
from ledger.domain.evolve import GrantKey
from ledger.store.arrays import byteas, int8s, timestamps, uuids
from ledger.writer.chain import GENESIS
from ledger.writer.requests import Append, More, ReadMore, ReadRefusals, Refusals, StreamHead

Connection = psycopg.Connection[tuple[Any, ...]]

GRANTS = """
SELECT g.account_id, g.grant_id, g.state
FROM unnest(%b, %b) AS k (account_id, grant_id) JOIN grants AS g USING (account_id, grant_id)
"""

BUDGETS = """
SELECT budget_id, organisation_id, version, hash, subject, window_kind, limit_ucr
FROM budgets WHERE budget_id = ANY(%b)
"""

USAGE = """
SELECT u.budget_id, u.window_start, u.used_ucr
FROM unnest(%b, %b) AS k (budget_id, window_start) JOIN budget_usage AS u USING (budget_id, window_start)
"""

REFUSALS = "SELECT account_id, kept FROM refusals_kept WHERE account_id = ANY(%b) AND day = %b"

STREAM_HEAD = """
SELECT originator_version, hash FROM events WHERE originator_id = %b ORDER BY originator_version DESC LIMIT 1
"""

WRITE_GRANTS = """
INSERT INTO grants (account_id, grant_id, format, state)
SELECT account_id, grant_id, %b, state FROM unnest(%b, %b, %b) AS g (account_id, grant_id, state)
ON CONFLICT (account_id, grant_id) DO UPDATE SET format = excluded.format, state = excluded.state
"""

WRITE_SNAPSHOTS = """
INSERT INTO account_snapshots (account_id, version, position, recorded_at, format, state)
SELECT account_id, version, position, recorded_at, format, state
FROM unnest(%b, %b, %b, %b, %b, %b) AS s (account_id, version, position, recorded_at, format, state)
"""

WRITE_BUDGET = """
INSERT INTO budgets (budget_id, organisation_id, version, hash, subject, window_kind, limit_ucr)
VALUES (%b, %b, %b, %b, %t, %t, %b)
ON CONFLICT (budget_id) DO UPDATE
SET version = excluded.version, hash = excluded.hash, subject = excluded.subject,
    window_kind = excluded.window_kind, limit_ucr = excluded.limit_ucr
"""

WRITE_USAGE = """
INSERT INTO budget_usage (budget_id, window_start, used_ucr)
SELECT budget_id, window_start, used_ucr FROM unnest(%b, %b, %b) AS u (budget_id, window_start, used_ucr)
ON CONFLICT (budget_id, window_start) DO UPDATE SET used_ucr = excluded.used_ucr
"""

WRITE_REFUSALS = """
INSERT INTO refusals_kept (account_id, day, kept) VALUES (%b, %b, %b)
ON CONFLICT (account_id, day) DO UPDATE SET kept = excluded.kept
"""


def read_more(connection: Connection, request: ReadMore) -> More:
    """Answer ``ReadMore`` in one pipeline."""
    with connection.pipeline():
        grants = _grants(connection, request.grants)
        budgets = connection.execute(BUDGETS, [uuids(request.budgets)], binary=True) if request.budgets else ()
        usage = _usage(connection, request.usage)
    return More(
        {(row[0], row[1]): decode_grant(row[2]) for row in grants},
        [Budget(**dict(zip(Budget.__struct_fields__, row, strict=True))) for row in budgets],
        {BudgetUse(row[0], row[1].astimezone(UTC)): row[2] for row in usage},
    )


def read_refusals(connection: Connection, request: ReadRefusals) -> Refusals:
    """Answer ``ReadRefusals`` in one pipeline."""
    with connection.pipeline():
        kept = connection.execute(REFUSALS, [uuids(request.accounts), request.day], binary=True)
        head = connection.execute(STREAM_HEAD, [request.seals], binary=True)
    row = head.fetchone()
    return Refusals(dict(kept), StreamHead(row[0], row[1]) if row else StreamHead(0, GENESIS))


def more(batch: Append) -> Iterator[tuple[LiteralString, Sequence[Any]]]:
    """The statements that write what a batch has of these rows, with their parameters; most have none."""
    if batch.grants:
        yield _write_grants(batch.grants)
    if batch.snapshots:
        accounts, versions, positions, times, formats, states = zip(*batch.snapshots, strict=True)
        columns = [uuids(accounts), int8s(versions), int8s(positions), timestamps(times), int8s(formats)]
        yield WRITE_SNAPSHOTS, [*columns, byteas(states)]
    for budget in batch.budgets:
        yield WRITE_BUDGET, [getattr(budget, name) for name in Budget.__struct_fields__]
    if batch.usage:
        uses = [use for use, _ in batch.usage]
        columns = [uuids([use.budget_id for use in uses]), timestamps([use.window_start for use in uses])]
        yield WRITE_USAGE, [*columns, int8s([used for _, used in batch.usage])]
    for row in batch.refusals:
        yield WRITE_REFUSALS, row


def _grants(connection: Connection, keys: Iterable[GrantKey]) -> Iterable[tuple[Any, ...]]:
    if not (wanted := list(keys)):
        return ()
    return connection.execute(
        GRANTS, [uuids([key[0] for key in wanted]), uuids([key[1] for key in wanted])], binary=True
    )


def _usage(connection: Connection, uses: Iterable[BudgetUse]) -> Iterable[tuple[Any, ...]]:
    if not (wanted := list(uses)):
        return ()
    columns = [uuids([use.budget_id for use in wanted]), timestamps([use.window_start for use in wanted])]
    return connection.execute(USAGE, columns, binary=True)


def _write_grants(grants: Sequence[tuple[UUID, Grant]]) -> tuple[LiteralString, Sequence[Any]]:
    columns = [uuids([account_id for account_id, _ in grants]), uuids([grant.grant_id for _, grant in grants])]
    return WRITE_GRANTS, [STATE_FORMAT, *columns, byteas([encode_grant(grant) for _, grant in grants])]
