"""What the writer is compared with: the event library's own recorder, and bare batched inserts of the same rows."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from ledger.domain.account import Account, Grant, Hold, encode_account
from ledger.domain.codec import encode_event
from ledger.domain.events import CreditsHeld, Slice
from ledger.domain.verdicts import Done, encode_verdict
from ledger.store.connection import Connection, append, connect
from ledger.writer.requests import AccountRow, Append, EventRow, Head, VerdictRow
from tallystick.bench.load import ENOUGH_UCR, HOLD_UCR
from tallystick.bench.schema import schema_of

_THREADS = 8
_CHUNK = 1_000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def sample_event(hold_id: UUID, grant_id: UUID) -> CreditsHeld:
    """An event as the load writes it."""
    return CreditsHeld(
        hold_id=hold_id, amount_ucr=HOLD_UCR, slices=(Slice(grant_id, HOLD_UCR),), lease_until=_NOW + timedelta(60)
    )


def recorder_events_per_s(url: str, seconds: float) -> float:
    """The stock recorder, one event a save, from several threads, events of the same size."""
    parts = conninfo_to_dict(url)
    datastore = PostgresDatastore(
        dbname=str(parts.get("dbname", "")),
        host=str(parts.get("host", "")),
        port=str(parts.get("port", "5432")),
        user=str(parts.get("user", "")),
        password=str(parts.get("password", "")),
        schema=schema_of(url),
        pool_size=_THREADS,
        originator_id_type="uuid",
    )
    recorder = PostgresApplicationRecorder(datastore, events_table_name="baseline_events")
    recorder.create_table()
    state = encode_event(sample_event(uuid4(), uuid4())).state
    start = time.perf_counter()

    def save(_: int) -> int:
        saved = 0
        while time.perf_counter() < start + seconds:
            recorder.insert_events([StoredEvent(uuid4(), 1, "ledger.credits-held.v1", state)])
            saved += 1
        return saved

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            saved = sum(pool.map(save, range(_THREADS)))
        return saved / (time.perf_counter() - start)
    finally:
        datastore.close()


def bare_rows_per_s(url: str, batch_size: int, accounts: int, seconds: float) -> float:
    """Only the inserts: as many event, key, state and hold rows, at the same batch size, deciding nothing."""
    account_ids = [uuid4() for _ in range(accounts)]
    batches = [_batch(number, batch_size, account_ids) for number in range(_enough(seconds, batch_size))]
    connection = connect(url)
    try:
        _open_accounts(connection, account_ids)
        rows, start = 0, time.perf_counter()
        for batch in batches:
            append(connection, batch)
            rows += len(batch.events)
            if time.perf_counter() > start + seconds:
                break
    finally:
        connection.close()
    return rows / (time.perf_counter() - start)


def _open_accounts(connection: Connection, account_ids: list[UUID]) -> None:
    for first in range(0, len(account_ids), _CHUNK):
        opening = Append(Head(0, bytes(32), _NOW), 0)
        opening.accounts = [_account(one, opened=True) for one in account_ids[first : first + _CHUNK]]
        append(connection, opening)


def _enough(seconds: float, batch_size: int) -> int:
    return int(seconds * 200_000 / batch_size) + 1


def _batch(number: int, size: int, account_ids: list[UUID]) -> Append:
    first = number * size
    append = Append(Head(first + size, os.urandom(32), _NOW), first)
    verdict = encode_verdict(
        Done(position=1, account_version=1, posted_ucr=ENOUGH_UCR, held_ucr=0, frozen_ucr=0, recorded_at=_NOW)
    )
    for offset in range(size):
        account_id, hold_id, grant_id = account_ids[(first + offset) % len(account_ids)], uuid4(), uuid4()
        event = encode_event(sample_event(hold_id, grant_id))
        key, digest = os.urandom(16), os.urandom(32)
        append.events.append(EventRow(uuid4(), 1, event.tag, event.state, first + offset + 1, key, digest))
        append.verdicts.append(VerdictRow(key, os.urandom(40), verdict, first + offset + 1))
        append.holds.append(_hold(hold_id, account_id, grant_id, first + offset + 1))
    for account_id in {row.account_id for row in append.holds}:
        append.accounts.append(_account(account_id, opened=False))
    return append


def _hold(hold_id: UUID, account_id: UUID, grant_id: UUID, position: int) -> Hold:
    return Hold(
        hold_id=hold_id,
        account_id=account_id,
        state="open",
        amount_ucr=HOLD_UCR,
        committed_ucr=0,
        slices=(Slice(grant_id, HOLD_UCR),),
        lease_until=_NOW,
        reference=None,
        opened_at=_NOW,
        opened_position=position,
    )


def _account(account_id: UUID, *, opened: bool) -> AccountRow:
    grant = Grant(
        grant_id=uuid4(),
        order=2,
        kind="paid",
        priority=100,
        expires_at=None,
        granted_ucr=ENOUGH_UCR,
        free_ucr=ENOUGH_UCR,
    )
    account = Account(account_id=account_id, organisation_id=account_id, posted_ucr=ENOUGH_UCR, grants=[grant])
    return AccountRow(account_id, account_id, 1, os.urandom(32), 1, encode_account(account), None, opened)
