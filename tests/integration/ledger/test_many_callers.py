"""Many callers on real PostgreSQL: what a hot account costs, what random batches leave behind, what is counted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from threading import Event
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain import commands
from ledger.domain.verdicts import Answer, Done, Refused
from ledger.drivers import Driver
from ledger.errors import OutcomeUnknown
from ledger.ports import Request
from ledger.store.connection import WriterStore
from ledger.store.postgres import PostgresLedger
from ledger.sweep import sweep
from ledger.verify import verify
from ledger.writer.requests import ReadUnderLock, WriterRequest
from ledger.writer_thread import WriterThread
from tallystick.bench import load
from tallystick.clock import SystemClock
from tallystick.telemetry.ledger import TracedLedger
from tallystick.telemetry.writer import batch_observer
from tests.support.ledger import CREDIT, done, grant, hold, open_account, request
from tests.support.servers import Database
from tests.support.telemetry import SeenTelemetry

SECRET = b"a secret for tests"
WRITERS = 3


def ledger_on(database: Database, pool: ConnectionPool[Any], **more: Any) -> PostgresLedger:
    return PostgresLedger(database.writer_url, pool, clock=SystemClock(), secret=SECRET, sleep=time.sleep, **more)


@contextmanager
def writers(database: Database, pool: ConnectionPool[Any], count: int) -> Iterator[list[PostgresLedger]]:
    """Several writers on one database, as several hosts have them."""
    ledgers = [ledger_on(database, pool) for _ in range(count)]
    try:
        yield ledgers
    finally:
        for ledger in ledgers:
            ledger.close()


def debit(account_id: UUID, amount_ucr: int = 1) -> commands.DebitCredits:
    return commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=amount_ucr, reason="x")


# A hot account


class CountingStore(WriterStore):
    """A store that counts its round trips, and makes the first wait until the test has gathered its callers."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SystemClock(), time.sleep)
        self.asked: Counter[str] = Counter()
        self.entered, self.let = Event(), Event()

    def answer(self, request: WriterRequest) -> Any:
        if isinstance(request, ReadUnderLock) and not self.entered.is_set():
            self.entered.set()
            assert self.let.wait(30)
        elif self.asked or isinstance(request, ReadUnderLock):
            self.asked[type(request).__name__] += 1
        return super().answer(request)


async def gathered(writer: WriterThread, store: CountingStore, wanted: Sequence[Request]) -> list[list[Answer]]:
    """Answers to callers who all wait while the writer is busy with something else."""
    plug = asyncio.create_task(writer.submit_async([request(commands.ExpireGrants(account_id=uuid4()))]))
    await asyncio.to_thread(store.entered.wait, 30)
    tasks = [asyncio.create_task(writer.submit_async([one])) for one in wanted]
    await asyncio.sleep(0)
    assert writer.queued == len(wanted)
    store.let.set()
    await plug
    return await asyncio.gather(*tasks)


def round_trips(database: Database, account_ids: Sequence[UUID], callers: int) -> Counter[str]:
    """What the writer asks the database for one command of each of many callers."""
    store = CountingStore(database.writer_url)
    writer = WriterThread(store, SECRET)
    try:
        wanted = [request(debit(account_ids[number % len(account_ids)])) for number in range(callers)]
        answers = asyncio.run(gathered(writer, store, wanted))
    finally:
        writer.close()
    assert all(isinstance(one.verdict, Done) for (one,) in answers)
    return store.asked


def test_invariant_40_a_hot_account_costs_no_more_round_trips_however_many_call(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    accounts = [open_account(postgres_ledger, credit=1_000) for _ in range(64)]
    found = {
        callers: (round_trips(database, accounts[:1], callers), round_trips(database, accounts, callers))
        for callers in (1, 16, 256, 900)
    }
    once = {"ReadUnderLock": 1, "Append": 1}
    for callers, (hot, spread) in found.items():
        assert hot == spread == once, f"{callers} callers: one batch, whether they want one account or many"


# Random batches


def anything(dice: Random, accounts: Sequence[UUID], holds: list[tuple[UUID, UUID]]) -> Request:
    """Something to ask of one account, or of two, or of several together."""
    account_id, other = dice.sample(list(accounts), 2)
    amount_ucr = dice.randint(1, 50)
    kind = dice.choice(["debit", "hold", "end", "transfer", "linked", "grant"])
    if kind == "hold":
        hold_id = uuid4()
        holds.append((account_id, hold_id))
        return request(commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=amount_ucr, lease_s=60))
    if kind == "end" and holds:
        owner, hold_id = dice.choice(holds)
        return request(commands.CommitHold(account_id=owner, hold_id=hold_id, amount_ucr=1))
    if kind == "transfer":
        return request(
            commands.TransferCredits(
                account_id=account_id, to_account_id=other, transfer_id=uuid4(), amount_ucr=amount_ucr, reason="x"
            )
        )
    if kind == "linked":
        return request(debit(account_id, amount_ucr), linked=(debit(other, amount_ucr), debit(account_id, 1)))
    if kind == "grant":
        return request(
            commands.GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=amount_ucr, kind="paid")
        )
    return request(debit(account_id, amount_ucr))


def test_invariant_39_random_batches_over_many_accounts_meet_without_a_deadlock(
    database: Database, pool: ConnectionPool[Any]
) -> None:
    organisation_id, accounts = uuid4(), [uuid4() for _ in range(12)]
    with writers(database, pool, WRITERS) as ledgers:
        for account_id in accounts:
            done(ledgers[0], commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
            grant(ledgers[0], account_id, 2_000)

        def work(number: int) -> list[Answer]:
            dice, holds, answers = Random(number), list[tuple[UUID, UUID]](), list[Answer]()
            for turn in range(8):
                batch = [anything(dice, accounts, holds) for _ in range(dice.randint(1, 25))]
                answers += ledgers[(number + turn) % WRITERS].submit_many(batch, timeout_s=60)
            return answers

        with ThreadPoolExecutor(9) as threads:
            answers = [answer for part in threads.map(work, range(9)) for answer in part]
        codes = Counter(one.verdict.code for one in answers if isinstance(one.verdict, Refused))
        assert set(codes) <= {"insufficient-credits", "hold-resolved", "hold-unknown"}
        assert len(answers) > 2 * codes.total()
        log = ledgers[0].log(after=0, limit=100_000)
        assert [event.position for event in log] == list(range(1, ledgers[0].head() + 1))
    with psycopg.connect(database.owner_url) as connection:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert connection.execute(query).fetchone() == (0,)
    assert Driver(pool).drive(verify()).findings == ()


# Restart


def test_invariant_21_a_ledger_that_comes_back_after_leases_have_ended_releases_all_of_them(
    database: Database, pool: ConnectionPool[Any]
) -> None:
    with writers(database, pool, 1) as (before,):
        accounts = [open_account(before, credit=10) for _ in range(3)]
        held = [hold(before, account_id, CREDIT, lease_s=1) for account_id in accounts for _ in range(4)]
    time.sleep(1.2)
    with writers(database, pool, 1) as (ledger,):
        assert [one.held_ucr for one in map(ledger.balance, accounts) if one] == [4 * CREDIT] * 3
        assert Driver(pool, ledger=ledger).drive(sweep()) == len(held)
        for account_id in accounts:
            seen = ledger.balance(account_id)
            assert seen is not None and (seen.available_ucr, seen.open_holds) == (10 * CREDIT, 0)
            assert ledger.open_holds(account_id, limit=10) == []
        assert {one.state for one in map(ledger.hold, held) if one} == {"expired"}


# What is counted


def test_invariant_42_requests_are_counted_by_what_was_done_not_by_what_was_taken(
    database: Database, pool: ConnectionPool[Any]
) -> None:
    telemetry = SeenTelemetry()
    inner = ledger_on(database, pool, observer=batch_observer(telemetry))
    try:
        account_id = open_account(inner, credit=5)
        before = telemetry.value("tallystick.ledger.answers", outcome="done")
        ledger = TracedLedger(inner, telemetry)
        paid = [request(debit(account_id, CREDIT)) for _ in range(3)]
        ledger.submit_many([*paid, *paid[:2]])
        ledger.submit_many([request(debit(account_id, 9 * CREDIT)) for _ in range(2)])
        ledger.submit(request(debit(account_id, CREDIT), dry_run=True))
        last = request(debit(account_id, CREDIT))
        with psycopg.connect(database.owner_url) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(7411)")
            with pytest.raises(OutcomeUnknown):
                ledger.submit(last, timeout_s=5.0)
        assert ledger.submit(last).replayed
    finally:
        inner.close()

    def asked(outcome: str) -> float:
        return telemetry.value("tallystick.ledger.requests", outcome=outcome)

    told = {"done": 3, "replayed": 3, "insufficient-credits": 2, "tried": 1, "OutcomeUnknown": 1}
    assert {outcome: asked(outcome) for outcome in told} == told
    assert telemetry.value("tallystick.ledger.requests") == sum(told.values())
    written = telemetry.value("tallystick.ledger.answers", outcome="done") - before
    with psycopg.connect(database.owner_url) as connection:
        query = "SELECT count(*) FROM events WHERE topic = 'ledger.credits-debited.v1'"
        assert connection.execute(query).fetchone() == (written,) == (4,)


class Refusing:
    """A writer that takes everything and does nothing."""

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """Refused, each of them."""
        await asyncio.sleep(0.001)
        now = SystemClock().now()
        return [Answer(Refused(code="x", facts={}, transient=True, recorded_at=now)) for _ in requests]


def test_invariant_42_a_benchmark_counts_what_was_done_not_what_was_sent() -> None:
    asked = load.Load(seconds=0.5, callers=4, accounts=1)
    found = asyncio.run(load._measure(cast("load.AsyncWriter", Refusing()), asked, [uuid4()]))
    assert (found.commands, found.job_ms) == (0, []) and found.errors >= 4
