"""Batches decided ahead on PostgreSQL: connections that break under them, others who write, callers who see nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger import errors, limits
from ledger.domain import commands
from ledger.domain.events import BudgetUse
from ledger.domain.verdicts import Done
from ledger.drivers import Driver
from ledger.ports import Request
from ledger.store.connection import WriterStore
from ledger.store.postgres import PostgresLedger
from ledger.verify import verify
from ledger.writer.ahead import write_ahead
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import CLOCK_ALONE, Append, ReadAhead, Reconnect, WriterRequest
from ledger.writer_thread import WriterThread
from tallystick.clock import SystemClock
from tests.support.ledger import CREDIT, open_account, request
from tests.support.servers import Database

SECRET = b"a secret for tests"
CALLERS = 16
EACH = 40
CREDITS = 10_000


class WatchedStore(WriterStore):
    """Counts what comes of batches that are decided ahead, and breaks connections now and then."""

    def __init__(self, url: str, breaks: float = 0.0) -> None:
        super().__init__(url, SystemClock(), time.sleep)
        self.counts: Counter[str] = Counter()
        self._dice = Random(11)
        self._breaks = breaks

    def answer(self, request: WriterRequest) -> Any:
        ahead = isinstance(request, Append) and request.decided_on is not None
        if ahead and self._dice.random() < self._breaks:
            self.counts["cut"] += 1
            self._close_appending()
            raise errors.ConnectionLost("cut before")
        try:
            told = super().answer(request)
        except errors.Overtaken:
            self.counts["overtaken"] += 1
            raise
        if ahead and self._dice.random() < self._breaks:
            self.counts["lost"] += 1
            self._close_appending()
            raise errors.ConnectionLost("cut after")
        self.counts["landed"] += ahead
        return told

    def look(self, request: WriterRequest) -> Any:
        if isinstance(request, ReadAhead) and self._dice.random() < self._breaks:
            self.counts["blind"] += 1
            self._close_looking()
            raise errors.ConnectionLost("cut before")
        return super().look(request)


class LosesOne(WriterStore):
    """Armed, it waits before the next append, and then loses the acknowledgement of the first full batch."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SystemClock(), time.sleep)
        self.armed, self.waits, self.go_on = False, Event(), Event()
        self.lost = 0

    def answer(self, request: WriterRequest) -> Any:
        if not self.armed or not isinstance(request, Append):
            return super().answer(request)
        self.waits.set()
        self.go_on.wait(60)
        told = super().answer(request)
        if len(request.verdicts) == limits.BATCH_COMMANDS_MAX and not self.lost:
            self.lost += 1
            time.sleep(0.5)  # the batch behind it is decided meanwhile
            raise errors.ConnectionLost("cut after")
        return told


@contextmanager
def writing(store: WriterStore, account_id: UUID) -> Iterator[WriterThread]:
    """A writer that has been alone for long enough to go ahead."""
    writer = WriterThread(store, SECRET)
    try:
        for _ in range(limits.AHEAD_AFTER + 2):
            writer.submit(debit(account_id))
        yield writer
    finally:
        writer.close()


def debit(account_id: UUID) -> Request:
    debit_id = uuid4()
    command = commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=CREDIT, reason="x")
    return request(command, debit_id.hex, subject_id=debit_id)


def until_queued(writer: WriterThread, count: int) -> None:
    """Wait until so many requests wait for a batch."""
    ends = time.monotonic() + 60
    while writer.queued < count:
        assert time.monotonic() < ends
        time.sleep(0.01)


def spend(writers: Sequence[WriterThread], accounts: Sequence[UUID]) -> int:
    """Debits from many callers at once; how many were done."""

    def call(number: int) -> int:
        writer = writers[number % len(writers)]
        wanted = [debit(accounts[(number + turn) % len(accounts)]) for turn in range(EACH)]
        return sum(isinstance(writer.submit(one).verdict, Done) for one in wanted)

    with ThreadPoolExecutor(CALLERS) as threads:
        return sum(threads.map(call, range(CALLERS)))


def spent(ledger: PostgresLedger, accounts: Sequence[UUID]) -> int:
    """Credits that are gone."""
    balances = [ledger.balance(account_id) for account_id in accounts]
    return sum(CREDITS - balance.available_ucr // CREDIT for balance in balances if balance is not None)


def is_clean(pool: ConnectionPool) -> bool:
    """Whether the whole log and its state verify."""
    assert Driver(pool).drive(verify()).findings == ()
    return True


def test_invariant_14_broken_connections_under_batches_decided_ahead_lose_and_repeat_nothing(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    accounts = [open_account(postgres_ledger, credit=CREDITS) for _ in range(5)]
    store = WatchedStore(database.writer_url, breaks=0.1)
    with writing(store, accounts[0]) as writer:
        before, asked = spent(postgres_ledger, accounts), 0
        while min(store.counts[kind] for kind in ("landed", "cut", "lost", "blind")) == 0:
            assert asked < 6 * CALLERS * EACH, store.counts
            assert spend([writer], accounts) == CALLERS * EACH
            asked += CALLERS * EACH
    assert spent(postgres_ledger, accounts) == before + asked
    assert is_clean(pool)


def test_invariant_29_what_is_asked_for_after_a_reading_is_recorded_after_it(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=CREDITS)
    store = WatchedStore(database.writer_url)
    with writing(store, account_id) as writer:
        for _ in range(200):
            before = postgres_ledger.balance(account_id)
            verdict = writer.submit(debit(account_id)).verdict
            assert before is not None and isinstance(verdict, Done)
            assert verdict.recorded_at > before.at
            assert postgres_ledger.balance_at(account_id, recorded_at=before.at) == before
    assert store.counts["landed"] > 100


def test_invariant_26_writers_that_overtake_each_other_spend_nothing_twice(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.writer_thread.may_go_ahead", lambda memory: memory.head is not None)  # always try
    accounts = [open_account(postgres_ledger, credit=CREDITS) for _ in range(2)]
    stores = [WatchedStore(database.writer_url) for _ in range(2)]
    with writing(stores[0], accounts[0]) as first, writing(stores[1], accounts[0]) as second:
        before = spent(postgres_ledger, accounts)
        assert spend([first, second], accounts) == CALLERS * EACH
    assert spent(postgres_ledger, accounts) == before + CALLERS * EACH
    assert sum(store.counts["overtaken"] for store in stores) > 0
    assert is_clean(pool)


def test_invariant_14_answers_of_a_call_in_two_batches_are_in_its_order_though_the_first_was_answered_last(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=CREDITS)
    store, most = LosesOne(database.writer_url), limits.BATCH_COMMANDS_MAX
    asked = [debit(account_id) for _ in range(50)]
    with writing(store, account_id) as writer, ThreadPoolExecutor(3) as threads:
        store.armed = True
        calls = [threads.submit(writer.submit_many, [debit(account_id)])]
        assert store.waits.wait(60)
        calls.append(threads.submit(writer.submit_many, [debit(account_id) for _ in range(most - 20)]))
        until_queued(writer, most - 20)
        calls.append(threads.submit(writer.submit_many, asked))
        until_queued(writer, most + 30)
        store.go_on.set()
        answers = calls[-1].result(30)
    assert store.lost == 1
    assert [answer.verdict.subject_id for answer in answers] == [one.subject_id for one in asked]
    assert spent(postgres_ledger, [account_id]) == limits.AHEAD_AFTER + 2 + 1 + most + 30


def test_what_is_read_ahead_is_read_anew_where_the_appends_had_to_connect_again(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=CREDITS)
    store, memory = WatchedStore(database.writer_url), Memory()
    run(write([prepare(debit(account_id), SECRET)], memory), store.answer)
    store.look(CLOCK_ALONE)
    before = store._looking
    with psycopg.connect(database.superuser_url, autocommit=True) as killing:
        assert store._connection is not None
        killing.execute("SELECT pg_terminate_backend(%s, 5000)", [store._connection.info.backend_pid])
    run(write([prepare(debit(account_id), SECRET)], memory), lambda asked: _no_reconnect(store, asked))
    store.look(CLOCK_ALONE)
    assert before is not None and before.closed and store._looking is not before
    store.close()


def _no_reconnect(store: WriterStore, asked: WriterRequest) -> Any:
    """What is next on its way reconnects by itself."""
    return None if isinstance(asked, Reconnect) else store.answer(asked)


def test_a_writer_that_stops_answers_what_is_on_its_way(database: Database, postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=CREDITS)
    store = WatchedStore(database.writer_url)
    with writing(store, account_id) as writer, ThreadPoolExecutor(CALLERS) as threads:
        before = spent(postgres_ledger, [account_id])
        asked = [threads.submit(writer.submit, debit(account_id)) for _ in range(200)]
        time.sleep(0.02)
        writer.close()
        ended = [one.exception(timeout=60) for one in asked]
    assert all(error is None or isinstance(error, errors.NotDone) for error in ended)
    assert spent(postgres_ledger, [account_id]) == before + sum(error is None for error in ended)


@pytest.mark.parametrize("size", [1, 20])
def test_an_append_that_fails_at_its_last_statement_has_written_nothing(
    database: Database, postgres_ledger: PostgresLedger, size: int
) -> None:
    account_id = open_account(postgres_ledger, credit=CREDITS)
    store, memory = WatchedStore(database.writer_url), Memory()
    run(
        write(
            [prepare(debit(account_id), SECRET)],
            memory,
        ),
        store.answer,
    )
    head = postgres_ledger.head()
    core = write_ahead([prepare(debit(account_id), SECRET) for _ in range(size)], memory, ())
    question = next(core)
    while not isinstance(question, Append):
        question = core.send(store.look(question))
    question.usage = [(BudgetUse(uuid4(), question.head.recorded_at), limits.INT64_MAX + 1 - 2**64)]
    with pytest.raises(errors.BatchRefused):
        store.answer(question)
    assert postgres_ledger.head() == head
    assert [event.position for event in postgres_ledger.log(after=head, limit=10)] == []
    assert spent(postgres_ledger, [account_id]) == 1
    question.usage, question.packed = [], ()
    assert store.answer(question) >= 0.0
    assert spent(postgres_ledger, [account_id]) == 1 + size
    store.close()
