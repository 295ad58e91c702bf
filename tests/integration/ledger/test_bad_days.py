"""Nobody's mistake hurts strangers; nothing is lost between a commit and its answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool

from ledger import errors
from ledger.domain import commands, decide
from ledger.domain.codec import NewEvent
from ledger.domain.verdicts import Done, Refused
from ledger.drivers import Driver
from ledger.ports import Companion, Request
from ledger.store.connection import WriterStore
from ledger.store.postgres import PostgresLedger
from ledger.store.statements import LOCK
from ledger.verify import verify
from ledger.writer.requests import Append, ReadUnderLock, WriterRequest
from ledger.writer_thread import WriterThread
from tallystick.clock import SystemClock
from tests.support.ledger import CREDIT, done, grant, hold, open_account, refused, request, until_a_writer_waits
from tests.support.servers import Database

SECRET = b"a secret for tests"


def is_clean(pool: ConnectionPool) -> bool:
    """Whether the whole log and its state verify."""
    report = Driver(pool).drive(verify())
    assert report.findings == ()
    return True


class FaultyStore(WriterStore):
    """A store that cuts its connection at a chosen moment."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SystemClock(), time.sleep)
        self.cut: Callable[[WriterRequest, str], bool] = lambda _request, _moment: False

    def answer(self, request: WriterRequest) -> Any:
        if self.cut(request, "before"):
            self.close()
            raise errors.ConnectionLost("cut before")
        answer = super().answer(request)
        if self.cut(request, "after"):
            self.close()
            raise errors.ConnectionLost("cut after")
        return answer


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [ReadUnderLock, Append])
def test_invariant_14_a_lost_acknowledgement_is_looked_up_not_guessed(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger, kind: type, moment: str
) -> None:
    account_id = open_account(postgres_ledger, credit=100)
    store = FaultyStore(database.writer_url)
    writer = WriterThread(store, SECRET)
    cuts = iter([True, True])
    store.cut = lambda asked, when: isinstance(asked, kind) and when == moment and next(cuts, False)
    wanted = [
        request(commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x"))
        for _ in range(5)
    ]
    answers = writer.submit_many(wanted)
    writer.close()
    assert all(isinstance(answer.verdict, Done) for answer in answers)
    balance = postgres_ledger.balance(account_id)
    assert balance is not None and balance.available_ucr == 95 * CREDIT
    assert is_clean(pool)


def bad_requests(account_id: UUID, monkeypatch: pytest.MonkeyPatch) -> dict[str, Request]:
    """One request of each kind that only the writer or the database can find bad."""
    debit = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="poison")
    ordinary = decide.RULES[commands.DebitCredits]

    def raising(account: Any, known: Any, command: commands.DebitCredits) -> Any:
        if command.reason == "poison":
            raise ZeroDivisionError
        return ordinary(account, known, command)

    monkeypatch.setitem(decide.RULES, commands.DebitCredits, raising)
    refused_text = (Companion(uuid4(), 0, (NewEvent("test.bad\udcff.v1", b"{}"),)),)
    hold_id = uuid4()
    return {
        "an exception in decide": request(debit),
        "an event that cannot be encoded": request(
            commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x"),
            on_accept=refused_text,
        ),
        "a hold that the database refuses": request(
            commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT, lease_s=60),
            on_accept=(Companion(uuid4(), 0, (NewEvent("test.too-long" + "x" * 10, b"{}"),)),),
        ),
    }


@pytest.mark.parametrize(
    "kind", ["an exception in decide", "an event that cannot be encoded", "a hold that the database refuses"]
)
def test_one_bad_request_among_a_thousand_fails_alone(
    database: Database,
    pool: ConnectionPool,
    postgres_ledger: PostgresLedger,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    accounts = [open_account(postgres_ledger, credit=1_000) for _ in range(5)]
    bad = bad_requests(accounts[0], monkeypatch)[kind]
    if kind == "a hold that the database refuses":
        assert bad.command is not None
        with psycopg.connect(database.owner_url) as connection:
            hold_id = sql.Literal(str(getattr(bad.command, "hold_id", "")))
            connection.execute(sql.SQL("ALTER TABLE holds ADD CHECK (hold_id <> {})").format(hold_id))
    good = [
        request(commands.DebitCredits(account_id=accounts[n % 5], debit_id=uuid4(), amount_ucr=CREDIT, reason="x"))
        for n in range(999)
    ]
    answers = postgres_ledger.submit_many([*good[:500], bad, *good[500:]], timeout_s=60)
    verdict = answers.pop(500).verdict
    assert isinstance(verdict, Refused) and verdict.code == "internal-error"
    assert all(isinstance(answer.verdict, Done) for answer in answers)
    assert is_clean(pool)


@contextmanager
def writers(database: Database, pool: ConnectionPool, count: int) -> Iterator[list[PostgresLedger]]:
    """Several writers on one database, as several processes have them."""
    ledgers = [
        PostgresLedger(database.writer_url, pool, clock=SystemClock(), secret=SECRET, sleep=time.sleep)
        for _ in range(count)
    ]
    try:
        yield ledgers
    finally:
        for ledger in ledgers:
            ledger.close()


def test_invariant_39_several_writers_share_hot_accounts_without_error_or_gap(
    database: Database, pool: ConnectionPool
) -> None:
    with writers(database, pool, 4) as ledgers:
        accounts = [open_account(ledgers[0], credit=10_000) for _ in range(3)]

        def work(number: int) -> None:
            ledger = ledgers[number % len(ledgers)]
            for turn in range(20):
                account_id = accounts[(number + turn) % len(accounts)]
                hold_id = hold(ledger, account_id, CREDIT)
                other = ledgers[(number + turn) % len(ledgers)]
                done(other, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
        balances = [ledgers[1].balance(account_id) for account_id in accounts]
        assert sum(balance.posted_ucr for balance in balances if balance) == 3 * 10_000 * CREDIT - 160 * CREDIT
        assert all(balance.held_ucr == 0 for balance in balances if balance)
        events = ledgers[0].log(after=0, limit=10_000)
        assert [event.position for event in events] == list(range(1, len(events) + 1))
    assert is_clean(pool)


def test_invariant_30_a_reader_that_tails_the_log_skips_nothing(database: Database, pool: ConnectionPool) -> None:
    seen: list[int] = []
    stop = threading.Event()
    with writers(database, pool, 3) as ledgers:

        def tail() -> None:
            while not stop.is_set() or ledgers[0].head() > len(seen):
                seen.extend(event.position for event in ledgers[0].log(after=len(seen), limit=500))

        reader = threading.Thread(target=tail, daemon=True)
        reader.start()
        accounts = [open_account(ledger, credit=1_000) for ledger in ledgers]
        with ThreadPoolExecutor(9) as threads:
            list(threads.map(lambda n: [hold(ledgers[n % 3], accounts[n % 3], 1) for _ in range(40)], range(9)))
        stop.set()
        reader.join(30)
        assert seen == list(range(1, ledgers[0].head() + 1))


def test_invariant_41_a_queued_request_is_withdrawn_at_its_deadline_and_a_taken_one_is_unknown(
    database: Database, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    wanted = [
        request(commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x"), key)
        for key in ("taken", "queued")
    ]
    with psycopg.connect(database.owner_url) as connection, ThreadPoolExecutor(2) as threads:
        connection.execute(LOCK)
        taken = threads.submit(postgres_ledger.submit, wanted[0], timeout_s=5.0)
        until_a_writer_waits(connection)
        queued = threads.submit(postgres_ledger.submit, wanted[1], timeout_s=0.3)
        assert isinstance(queued.exception(60), errors.NotDone)
        assert isinstance(taken.exception(60), errors.OutcomeUnknown)
        connection.rollback()
    answers = [postgres_ledger.submit(one) for one in wanted]
    assert [answer.replayed for answer in answers] == [True, False]
    balance = postgres_ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == 8 * CREDIT


def test_a_state_in_an_unknown_format_is_rebuilt_from_its_events(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    hold_id = hold(postgres_ledger, account_id, 3 * CREDIT)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE account_states SET format = 0, state = 'old'")
    with writers(database, pool, 1) as (fresh,):
        balance = fresh.balance(account_id)
        assert balance is not None and balance.held_ucr == 3 * CREDIT
        done(fresh, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=2 * CREDIT))
        balance = fresh.balance(account_id)
        assert balance is not None and balance.posted_ucr == 8 * CREDIT
    assert is_clean(pool)


def test_clocks_that_disagree_stop_the_writer(database: Database, postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=10)

    class Slow(SystemClock):
        def now(self) -> Any:
            return super().now() - msgspec.convert("PT60S", __import__("datetime").timedelta)

    writer = WriterThread(WriterStore(database.writer_url, Slow(), time.sleep), SECRET)
    command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
    verdict = writer.submit(request(command, origin="caller")).verdict
    writer.close()
    assert isinstance(verdict, Refused) and (verdict.code, verdict.transient) == ("clock-skew", True)


@pytest.mark.parametrize("statement", ["UPDATE events SET topic = 'x'", "DELETE FROM events", "TRUNCATE events"])
@pytest.mark.parametrize("role", ["serving_url", "writer_url", "owner_url", "superuser_url"])
def test_invariant_37_the_database_refuses_to_change_events(
    database: Database, postgres_ledger: PostgresLedger, role: str, statement: str
) -> None:
    open_account(postgres_ledger, credit=1)
    with psycopg.connect(getattr(database, role)) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


TAMPERING = {
    "a flipped byte": (
        "UPDATE events SET state = set_byte(state, 40, get_byte(state, 40) # 1) WHERE notification_id = 4",
        4,
    ),
    "a deleted row": ("DELETE FROM events WHERE notification_id = 3", 3),
    "the last row deleted": (
        "DELETE FROM events WHERE notification_id = (SELECT max(notification_id) FROM events)",
        None,
    ),
    "two rows swapped": (
        """UPDATE events SET notification_id = CASE notification_id WHEN 3 THEN 1000 ELSE 3 END
        WHERE notification_id IN (3, 5)""",
        3,
    ),
    "another time": ("UPDATE events SET recorded_at = recorded_at + interval '1 s' WHERE notification_id = 2", 2),
    "a stored balance": ("UPDATE account_states SET state = set_byte(state, 60, get_byte(state, 60) # 1)", None),
    "a hold's row": ("UPDATE holds SET state = 'released', remaining_ucr = 0, resolved_at = now()", None),
    "a key forgotten": (
        "DELETE FROM verdicts WHERE key_hash = (SELECT key_hash FROM events WHERE notification_id = 3)",
        3,
    ),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_invariant_36_verify_finds_what_was_tampered_with(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger, name: str
) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    for _ in range(4):
        hold(postgres_ledger, account_id, CREDIT)
    assert is_clean(pool)
    statement, position = TAMPERING[name]
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER ALL")
        connection.execute(statement.encode())
    findings = Driver(pool).drive(verify()).findings
    assert findings
    assert position is None or findings[0].position == position


def test_a_refusal_of_one_caller_leaves_others_their_answers(postgres_ledger: PostgresLedger) -> None:
    account_id = open_account(postgres_ledger, credit=1)
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=60)
    done(postgres_ledger, command)
    again = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=60)
    assert refused(postgres_ledger, again).code == "insufficient-credits"


def test_a_state_of_another_format_is_caught_up_over_a_grant_that_came_back(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id, debit_id = open_account(postgres_ledger, credit=10), uuid4()
    done(
        postgres_ledger,
        commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=10 * CREDIT, reason="x"),
    )
    with writers(database, pool, 1) as (other,):
        gift = grant(other, account_id, CREDIT, kind="promo")
        assert gift
        done(
            postgres_ledger,
            commands.ReverseDebit(account_id=account_id, debit_id=debit_id, reversal_id=uuid4(), reason="x"),
        )
        with psycopg.connect(database.owner_url) as connection:
            connection.execute("UPDATE account_states SET format = 0, state = 'old'")
        verdict = done(
            other, commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x")
        )
        assert verdict.available_ucr == 10 * CREDIT
    assert is_clean(pool)
