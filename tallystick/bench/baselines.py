"""What the writer is compared with: the event library's recorder, bare batched inserts, a bare durable insert."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from ledger.domain.commands import GrantCredits, OpenAccount
from ledger.ports import Request
from ledger.store.append import append
from ledger.store.connection import WriterStore, connect
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import Append, WriterRequest
from tallystick.bench.load import CHUNK, ENOUGH_UCR, hold_and_commit, request
from tallystick.bench.processes import SECRET
from tallystick.bench.schema import schema_of
from tallystick.clock import SystemClock

_THREADS = 8
_TAG = "ledger.credits-held.v1"


def recorder_events_per_s(url: str, seconds: float, state: bytes) -> float:
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
    start = time.perf_counter()

    def save(_: int) -> int:
        saved = 0
        while time.perf_counter() < start + seconds:
            recorder.insert_events([StoredEvent(uuid4(), 1, _TAG, state)])
            saved += 1
        return saved

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            saved = sum(pool.map(save, range(_THREADS)))
        return saved / (time.perf_counter() - start)
    finally:
        datastore.close()


class AppendRecorder:
    """Runs the writer on batches and keeps copies of what it has the database append."""

    def __init__(self, url: str, accounts: int) -> None:
        self.appends: list[Append] = []
        self.opening = 0
        self._store = WriterStore(url, SystemClock(), time.sleep)
        self._memory = Memory()
        self._account_ids = [uuid4() for _ in range(accounts)]

    def record(self, batch_size: int, batches: int) -> None:
        """Open the accounts, then write batches of which one half holds and the other commits the last one's holds."""
        for start in range(0, len(self._account_ids), CHUNK):
            self._open(self._account_ids[start : start + CHUNK])
        self.opening = len(self.appends)
        turn, commits = 0, list[Request]()
        for _ in range(batches):
            holds: list[Request] = []
            while len(holds) < (batch_size + 1) // 2:
                hold, commit = hold_and_commit(self._account_ids[turn % len(self._account_ids)], uuid4())
                holds.append(hold)
                commits.append(commit)
                turn += 1
            self._write(commits[: -len(holds)] + holds)
            commits = commits[-len(holds) :]
        self._store.close()

    def _open(self, account_ids: Sequence[UUID]) -> None:
        self._write([request(OpenAccount(account_id=one, organisation_id=one), one) for one in account_ids])
        self._write(
            [
                request(GrantCredits(account_id=one, grant_id=uuid4(), amount_ucr=ENOUGH_UCR, kind="paid"), one)
                for one in account_ids
            ]
        )

    def _write(self, requests: Sequence[Request]) -> None:
        run(write([prepare(one, SECRET) for one in requests], self._memory), self._answer)

    def _answer(self, asked: WriterRequest) -> Any:
        if isinstance(asked, Append):
            self.appends.append(_copy(asked))
        return self._store.answer(asked)


def bare_rows_per_s(url: str, recorder: AppendRecorder) -> float:
    """Only the inserts: the same event, key, hold and state rows at the same batch size, deciding nothing."""
    connection = connect(url)
    try:
        for batch in recorder.appends[: recorder.opening]:
            append(connection, batch)
        rows, start = 0, time.perf_counter()
        for batch in recorder.appends[recorder.opening :]:
            append(connection, batch)
            rows += len(batch.events)
    finally:
        connection.close()
    return rows / (time.perf_counter() - start)


def durable_insert_ms(url: str, count: int) -> float:
    """Median time of one bare durable INSERT of one small row."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE lone_rows (id uuid PRIMARY KEY, n bigint)")
        return median(_timed_insert(connection, number) for number in range(count))


def _timed_insert(connection: psycopg.Connection, number: int) -> float:
    start = time.perf_counter()
    connection.execute("INSERT INTO lone_rows VALUES (%s, %s)", [uuid4(), number], prepare=True)
    return (time.perf_counter() - start) * 1_000


def _copy(batch: Append) -> Append:
    """The batch with rows of its own: the writer goes on changing its holds."""
    lists: dict[str, list[Any]] = {}
    for field in dataclasses.fields(batch):
        value: Any = getattr(batch, field.name)
        if isinstance(value, list):
            lists[field.name] = list(map(copy.copy, cast("list[Any]", value)))
    return dataclasses.replace(batch, **lists)
