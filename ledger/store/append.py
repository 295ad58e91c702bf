"""What a batch writes: one statement for each kind of row, whole columns as parameters, one pipeline, one commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, LiteralString

import psycopg

from ledger import limits
from ledger.domain.account import Hold, encode_parts
from ledger.store import statements as sql
from ledger.store.arrays import Column, byteas, int8s, raw_uuids, texts, timestamps, uuids
from ledger.store.more import more
from ledger.writer.requests import AccountRow, Append, VerdictRow

Connection = psycopg.Connection[tuple[Any, ...]]


AT_ONCE_MAX = 8
"""Most events of a batch under the lock that is one statement: a lone caller waits for each, a large batch for none."""


Filled = tuple[LiteralString | bytes, Sequence[Any]]
"""A statement with its parameters."""


def append(connection: Connection, batch: Append) -> None:
    """Insert a whole batch and commit the open transaction, in one pipeline.

    The database works on one statement while the columns of the next are packed. The commit is a statement as well:
    psycopg's own, within a pipeline, waits for its answer without sending what a full socket has not taken yet.
    """
    with connection.pipeline():
        for statement in _written(batch):
            connection.execute(*statement)
        connection.execute("COMMIT")


def pack(batch: Append) -> None:
    """Make ready what ``append_ahead`` sends: one statement, since its thread waits for the interpreter at each."""
    batch.packed = tuple(_written(batch))


def append_ahead(connection: Connection, batch: Append) -> tuple[float, datetime]:
    """Take the lock and insert what was decided without it, in one pipeline.

    How long the lock was waited for, and the database's clock then.

    Outside an explicit transaction a pipeline is one: it commits as a whole at its end, or an error undoes all of it.

    :raises psycopg.errors.DivisionByZero: the log does not end any more where the batch was decided.
    """
    if not batch.packed:
        pack(batch)
    (query, values), *others = batch.packed
    connection.autocommit = True
    with connection.pipeline():
        connection.execute(sql.LOCK)
        found = connection.execute(query, values, binary=True)
        for statement in others:
            connection.execute(*statement)
    row = found.fetchone()
    assert row is not None, "the log has no head: not migrated"
    return row[0], row[1].astimezone(UTC)


def insert_events(connection: Connection, batch: Append) -> None:
    """Insert events and move the head, in the open transaction."""
    connection.execute(sql.INSERT_EVENTS, _event_columns(batch))
    connection.execute(sql.MOVE_HEAD, _head(batch))


def _written(batch: Append) -> Iterator[Filled]:
    if batch.decided_on is not None or 0 < len(batch.events) <= AT_ONCE_MAX:
        yield _at_once(batch)
    else:
        if batch.events:
            yield sql.INSERT_EVENTS, _event_columns(batch)
            yield sql.MOVE_HEAD, _head(batch)
        yield from _follows(batch)
    yield from more(batch)
    if batch.traces:
        positions, traceparents = zip(*batch.traces, strict=True)
        yield sql.INSERT_TRACES, [int8s(positions), texts(traceparents)]


def _at_once(batch: Append) -> Filled:
    ahead = batch.decided_on is not None
    inserts, columns = zip((sql.INSERT_EVENTS, _event_columns(batch)), *_follows(batch), strict=True)
    values = [*chain.from_iterable(columns), *(_decided(batch) if ahead else ()), *_head(batch)]
    return sql.at_once(*inserts, ahead=ahead), values


def _follows(batch: Append) -> Iterator[tuple[LiteralString, Sequence[Any]]]:
    """One statement for each kind of row that follows from the events."""
    if batch.verdicts:
        yield sql.INSERT_VERDICTS, _verdict_columns(batch.verdicts)
    if opened := _opened_accounts(batch):
        yield sql.INSERT_ACCOUNTS, _account_columns(opened)
    if changed := _changed_accounts(batch):
        account_ids, _organisations, *others = _account_columns(changed)
        yield sql.UPDATE_ACCOUNTS, [account_ids, *others]
    if holds := _opened_holds(batch):
        yield sql.INSERT_HOLDS, _opened_columns(holds)
    if holds := _changed_holds(batch):
        yield sql.UPDATE_HOLDS, _changed_columns(holds)


def _opened_accounts(batch: Append) -> list[AccountRow]:
    return [row for row in batch.accounts if row.opened]


def _changed_accounts(batch: Append) -> list[AccountRow]:
    return [row for row in batch.accounts if not row.opened]


def _opened_holds(batch: Append) -> list[Hold]:
    return [hold for hold in batch.holds if hold.opened_position > batch.after]


def _changed_holds(batch: Append) -> list[Hold]:
    return [hold for hold in batch.holds if hold.opened_position <= batch.after]


def _decided(batch: Append) -> list[Any]:
    """What must be so under the lock: the head, a clock from a little before its time to a while after, and no rows."""
    now = batch.head.recorded_at
    return [
        batch.decided_on,
        now - timedelta(seconds=limits.HEAD_AHEAD_MAX_S),
        now + timedelta(seconds=limits.AHEAD_MAX_S),
        raw_uuids(batch.absent_keys),
        uuids(batch.absent_holds),
    ]


def _head(batch: Append) -> list[Any]:
    head = batch.head
    return [head.position, head.hash, head.recorded_at]


def _event_columns(batch: Append) -> list[Any]:
    streams, versions, tags, states, positions, keys, hashes, effective = zip(*batch.events, strict=True)
    return [
        uuids(streams),
        int8s(versions),
        texts(tags),
        byteas(states),
        int8s(positions),
        raw_uuids(keys),
        byteas(hashes),
        timestamps(effective),
        batch.head.recorded_at,
    ]


def _verdict_columns(rows: Sequence[VerdictRow]) -> list[Column]:
    keys, digests, verdicts, positions = zip(*rows, strict=True)
    return [raw_uuids(keys), int8s(positions), byteas(digests), byteas(verdicts)]


def _account_columns(rows: Sequence[AccountRow]) -> list[Column]:
    account_ids, organisations, versions, hashes, formats, states, due, _opened = zip(*rows, strict=True)
    return [
        uuids(account_ids),
        uuids(organisations),
        int8s(versions),
        int8s(formats),
        byteas(hashes),
        byteas(states),
        timestamps(due),
    ]


def _opened_columns(holds: list[Hold]) -> list[Column]:
    hold_ids, states, amounts, committed, remaining, leases, resolved, slices = _changed_columns(holds)
    return [
        hold_ids,
        uuids([hold.account_id for hold in holds]),
        states,
        amounts,
        committed,
        remaining,
        leases,
        timestamps([hold.opened_at for hold in holds]),
        resolved,
        int8s([hold.opened_position for hold in holds]),
        uuids([hold.reference for hold in holds]),
        slices,
    ]


def _changed_columns(holds: list[Hold]) -> list[Column]:
    return [
        uuids([hold.hold_id for hold in holds]),
        texts([hold.state for hold in holds]),
        int8s([hold.amount_ucr for hold in holds]),
        int8s([hold.committed_ucr for hold in holds]),
        int8s([hold.remaining_ucr for hold in holds]),
        timestamps([hold.lease_until for hold in holds]),
        timestamps([hold.resolved_at for hold in holds]),
        byteas([encode_parts(hold) for hold in holds]),
    ]
