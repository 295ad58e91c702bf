"""What a batch writes: one statement for each kind of row, whole columns as parameters, one pipeline, one commit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from ledger.domain.account import Hold, encode_parts
from ledger.store import statements as sql
from ledger.store.arrays import Column, byteas, int8s, raw_uuids, texts, timestamps, uuids
from ledger.store.more import write_more
from ledger.writer.requests import AccountRow, Append

Connection = psycopg.Connection[tuple[Any, ...]]


def append(connection: Connection, batch: Append) -> None:
    """Insert a whole batch and commit, in one pipeline."""
    with connection.pipeline():
        if batch.events:
            insert_events(connection, batch)
        if batch.verdicts:
            keys, digests, verdicts, positions = zip(*batch.verdicts, strict=True)
            connection.execute(
                sql.INSERT_VERDICTS, [raw_uuids(keys), int8s(positions), byteas(digests), byteas(verdicts)]
            )
        _write_accounts(connection, batch.accounts)
        _write_holds(connection, batch)
        write_more(connection, batch)
        if batch.traces:
            positions, traceparents = zip(*batch.traces, strict=True)
            connection.execute(sql.INSERT_TRACES, [int8s(positions), texts(traceparents)])
        connection.commit()


def insert_events(connection: Connection, batch: Append) -> None:
    """Insert events and move the head, in the open transaction."""
    streams, versions, tags, states, positions, keys, hashes, effective = zip(*batch.events, strict=True)
    head = batch.head
    connection.execute(
        sql.INSERT_EVENTS,
        [
            uuids(streams),
            int8s(versions),
            texts(tags),
            byteas(states),
            int8s(positions),
            raw_uuids(keys),
            byteas(hashes),
            timestamps(effective),
            head.recorded_at,
        ],
    )
    connection.execute(sql.MOVE_HEAD, [head.position, head.hash, head.recorded_at])


def _write_accounts(connection: Connection, rows: Sequence[AccountRow]) -> None:
    """Insert the accounts that this batch opened, update the others."""
    if opened := [row for row in rows if row.opened]:
        connection.execute(sql.INSERT_ACCOUNTS, _account_columns(opened))
    if changed := [row for row in rows if not row.opened]:
        account_ids, _organisations, *others = _account_columns(changed)
        connection.execute(sql.UPDATE_ACCOUNTS, [account_ids, *others])


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


def _write_holds(connection: Connection, batch: Append) -> None:
    """Insert the holds that this batch opened, update the others."""
    opened = [hold for hold in batch.holds if hold.opened_position > batch.after]
    changed = [hold for hold in batch.holds if hold.opened_position <= batch.after]
    if opened:
        connection.execute(sql.INSERT_HOLDS, _opened_columns(opened))
    if changed:
        connection.execute(sql.UPDATE_HOLDS, _changed_columns(changed))


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
