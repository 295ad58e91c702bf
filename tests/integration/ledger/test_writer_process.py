"""The writer in a process of its own: restarted, killed, overloaded and doubled while callers wait."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger import errors, limits
from ledger.domain.commands import DebitCredits
from ledger.domain.verdicts import Answer, Done, Refused
from ledger.drivers import Driver
from ledger.ports import Request
from ledger.store.socket import SocketLedger
from ledger.store.statements import LOCK
from ledger.verify import verify
from tallystick.clock import SystemClock
from tallystick.settings import Settings
from tests.conftest import SECRET
from tests.support.ledger import CREDIT, done, open_account, until_a_writer_waits
from tests.support.requirements import ROOT
from tests.support.servers import Database
from tests.support.writers import WriterProcess, short_folder, writer_process

pytestmark = pytest.mark.timeout(120)

CALLERS = 200


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as found:
        yield found


@pytest.fixture
def environment(database: Database, folder: Path) -> dict[str, str]:
    """Settings of a writer's process."""
    return {
        "TALLYSTICK_DATA_DIR": str(folder),
        "TALLYSTICK_SECRET": SECRET,
        "DATABASE_URL": database.serving_url,
        "DATABASE_WRITER_URL": database.writer_url,
    }


@pytest.fixture
def writer(environment: dict[str, str]) -> Iterator[WriterProcess]:
    with writer_process(environment) as found:
        yield found


Connect = Callable[..., SocketLedger]


@pytest.fixture
def connect(folder: Path, pool: ConnectionPool[Any]) -> Iterator[Connect]:
    """Makes ledgers of callers' processes."""
    made: list[SocketLedger] = []

    def new(path: Path = folder / "writer" / "writer.sock") -> SocketLedger:
        secret = Settings(secret=SECRET).key_for("ledger-digests")
        made.append(SocketLedger(path, pool, clock=SystemClock(), secret=secret))
        return made[-1]

    yield new
    for ledger in made:
        ledger.close()


def debit(account_id: UUID, key: str) -> Request:
    """One credit."""
    command = DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="test")
    return Request(key=key, operation="debit", command=command)


def check(pool: ConnectionPool[Any]) -> None:
    """The log is whole."""
    assert not Driver(pool).drive(verify()).findings


async def all_of(ledger: SocketLedger, account_id: UUID, *, timeout_s: float = 30.0) -> list[Answer]:
    """One debit of each caller."""
    calls = [ledger.submit_async([debit(account_id, f"k{n}")], timeout_s=timeout_s) for n in range(CALLERS)]
    return [answer for (answer,) in await asyncio.gather(*calls)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("when", ["queued", "being written"])
def test_invariant_24_callers_that_wait_while_the_writer_is_restarted_get_one_effect_each(
    writer: WriterProcess,
    connect: Connect,
    pool: ConnectionPool[Any],
    database: Database,
    number: signal.Signals,
    when: str,
) -> None:
    ledger = connect()
    account_id = open_account(ledger, credit=CALLERS)

    async def wait_and_restart() -> list[Answer]:
        with psycopg.connect(database.superuser_url) as blocking:
            if when == "queued":
                writer.send(signal.SIGSTOP)
            else:
                blocking.execute(LOCK)
            waiting = asyncio.create_task(all_of(ledger, account_id))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            writer.send(number)
            await asyncio.sleep(0.1)
        writer.send(signal.SIGCONT)
        assert writer.wait() == (0 if number == signal.SIGTERM else -number)
        await asyncio.sleep(0.3)
        writer.start()
        return await waiting

    answers = asyncio.run(wait_and_restart())
    assert all(isinstance(answer.verdict, Done) for answer in answers)
    balance = ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == 0, "nobody paid twice, nobody went without"
    assert len({answer.verdict.position for answer in answers if isinstance(answer.verdict, Done)}) == CALLERS
    check(pool)


def test_invariant_26_a_writer_restarted_under_load_loses_and_repeats_nothing(
    writer: WriterProcess, connect: Connect, pool: ConnectionPool[Any]
) -> None:
    ledger = connect()
    account_id = open_account(ledger, credit=10_000)
    some_done = asyncio.Semaphore(0)

    async def caller(number: int) -> None:
        for turn in range(10):
            (answer,) = await ledger.submit_async([debit(account_id, f"{number}-{turn}")], timeout_s=30.0)
            assert isinstance(answer.verdict, Done)
            some_done.release()

    async def restarts() -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(CALLERS):
                await some_done.acquire()
            writer.end(number)
            writer.start()

    async def everything() -> None:
        await asyncio.gather(restarts(), *(caller(number) for number in range(CALLERS)))

    asyncio.run(everything())
    balance = ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == (10_000 - 10 * CALLERS) * CREDIT
    assert len(ledger.stream(account_id, limit=10_000)) == 2 + 10 * CALLERS
    check(pool)


@pytest.mark.usefixtures("writer")
def test_invariant_41_a_call_ends_at_its_deadline_not_done_or_unknown(
    connect: Connect, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.remote.limits.WITHDRAWAL_S", 10.0)  # the writer's process may be slow to answer
    ledger = connect()
    account_id = open_account(ledger, credit=3)
    outcomes: dict[str, BaseException] = {}

    async def call(key: str, timeout_s: float) -> None:
        try:
            await ledger.submit_async([debit(account_id, key)], timeout_s=timeout_s)
        except errors.LedgerError as error:
            outcomes[key] = error

    async def calls() -> None:
        with psycopg.connect(database.superuser_url) as blocking:
            blocking.execute(LOCK)
            taken = asyncio.create_task(call("taken", 5.0))
            await asyncio.to_thread(until_a_writer_waits, blocking)
            await asyncio.gather(taken, call("queued", 0.5))

    asyncio.run(calls())
    assert isinstance(outcomes["taken"], errors.OutcomeUnknown)
    assert isinstance(outcomes["queued"], errors.NotDone)
    (again,) = ledger.submit_many([debit(account_id, "taken")])
    assert isinstance(again.verdict, Done), "asked again with the same key"
    assert [event.tag for event in ledger.stream(account_id)].count("ledger.credits-debited.v1") == 1


def test_invariant_41_without_a_writer_a_call_is_not_done_at_its_deadline(connect: Connect) -> None:
    start = time.monotonic()
    with pytest.raises(errors.NotDone):
        connect().submit(debit(uuid4(), "k"), timeout_s=0.3)
    assert time.monotonic() - start < limits.SUBMIT_TIMEOUT_S


def test_invariant_41_a_writer_that_hangs_leaves_its_callers_with_unknown(
    writer: WriterProcess, connect: Connect
) -> None:
    ledger = connect()
    account_id = open_account(ledger, credit=1)
    writer.send(signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(errors.OutcomeUnknown):
        ledger.submit(debit(account_id, "k"), timeout_s=0.3)
    assert time.monotonic() - start < limits.SUBMIT_TIMEOUT_S
    writer.send(signal.SIGCONT)
    assert isinstance(ledger.submit(debit(account_id, "k")).verdict, Done)
    balance = ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == 0


def test_invariant_41_a_writer_that_dies_over_a_call_and_stays_away_leaves_it_unknown(
    writer: WriterProcess, connect: Connect, database: Database
) -> None:
    ledger = connect()
    account_id = open_account(ledger, credit=1)
    with psycopg.connect(database.superuser_url) as blocking, ThreadPoolExecutor(1) as threads:
        blocking.execute(LOCK)
        asked = threads.submit(ledger.submit, debit(account_id, "k"), timeout_s=5.0)
        until_a_writer_waits(blocking)
        writer.end(signal.SIGKILL)
        assert isinstance(asked.exception(60), errors.OutcomeUnknown)
    writer.start()
    assert isinstance(ledger.submit(debit(account_id, "k")).verdict, Done)
    assert len(ledger.stream(account_id)) == 3


CALLS = """
import sys, asyncio
from pathlib import Path
from uuid import UUID, uuid4
from ledger.domain.commands import DebitCredits
from ledger.domain.verdicts import Done
from ledger.ports import Request
from ledger.remote.client import WriterClient
from tallystick.clock import SystemClock
path, secret, account, prefix = sys.argv[1:]
client = WriterClient(Path(path), bytes.fromhex(secret), SystemClock())
async def caller(number):
    for turn in range(20):
        command = DebitCredits(account_id=UUID(account), debit_id=uuid4(), amount_ucr=1_000_000, reason="test")
        request = Request(key=f"{prefix}-{number}-{turn}", operation="debit", command=command)
        (answer,) = await client.submit_async([request], timeout_s=60.0)
        assert isinstance(answer.verdict, Done), answer
async def everything():
    await asyncio.gather(*(caller(number) for number in range(25)))
asyncio.run(everything())
"""


def test_invariant_39_invariant_27_two_writers_serve_four_processes_without_an_error_or_a_gap(
    writer: WriterProcess, environment: dict[str, str], connect: Connect, folder: Path, pool: ConnectionPool[Any]
) -> None:
    assert writer.process is not None
    ledger = connect()
    account_id = open_account(ledger, credit=2_000)
    secret = Settings(secret=SECRET).key_for("ledger-digests").hex()
    paths = [folder / "writer" / "writer.sock", folder / "other" / "writer.sock"]
    with writer_process(environment | {"TALLYSTICK_WRITER_SOCKET": str(paths[1])}):
        callers = [
            subprocess.Popen(
                [sys.executable, "-c", CALLS, str(paths[number % 2]), secret, str(account_id), str(number)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(4)
        ]
        ended = [(caller.communicate(timeout=100)[1], caller.returncode) for caller in callers]
    assert [status for _, status in ended] == [0] * 4, ended
    balance = ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == 0
    positions = [event.position for event in ledger.log(after=0, limit=10_000)]
    assert positions == list(range(1, 2_003))
    check(pool)


AS_A_NEWER_RELEASE = """
WITH head AS (
    UPDATE log_head SET position = position + 1, hash = sha256(hash), recorded_at = clock_timestamp()
    RETURNING position, hash, recorded_at
), account AS (
    UPDATE account_states SET version = version + 1, hash = head.hash, format = 99, state = 'of tomorrow'
    FROM head WHERE account_id = %(account)s
    RETURNING version
)
INSERT INTO events
    (originator_id, originator_version, topic, state, notification_id, recorded_at, effective_at, hash)
SELECT %(account)s, account.version, 'ledger.credits-invented.v1', '["ledger.credits-invented.v1",1]',
    head.position, head.recorded_at, head.recorded_at, head.hash
FROM head, account
"""


def test_an_older_writer_refuses_what_a_newer_one_wrote_that_it_cannot_read_and_no_other_account(
    writer: WriterProcess, environment: dict[str, str], connect: Connect, folder: Path, database: Database
) -> None:
    assert writer.process is not None
    ledger = connect()
    newer, other = open_account(ledger, credit=5), open_account(ledger, credit=5)
    with psycopg.connect(database.writer_url) as connection:
        connection.execute(LOCK)
        connection.execute(AS_A_NEWER_RELEASE, {"account": newer})
    asked = msgspec.structs.replace(debit(newer, "k"), origin="caller")
    fresh = folder / "other" / "writer.sock"
    with writer_process(environment | {"TALLYSTICK_WRITER_SOCKET": str(fresh)}):
        for found in (ledger, connect(fresh)):
            for _ in range(2):
                verdict = found.submit(asked).verdict
                assert isinstance(verdict, Refused) and (verdict.code, verdict.transient) == ("upgrade-needed", True)
                (mixed, good) = found.submit_many([debit(newer, uuid4().hex), debit(other, uuid4().hex)])
                assert isinstance(mixed.verdict, Refused) and isinstance(good.verdict, Done)
    with psycopg.connect(database.serving_url) as connection:
        (last,) = connection.execute("SELECT max(originator_version) FROM events WHERE originator_id = %s", [newer])
        (kept,) = connection.execute("SELECT count(*) FROM verdicts WHERE verdict LIKE %s", [b"%upgrade-needed%"])
    assert last == (3,), "nothing follows what cannot be read"
    assert kept == (0,), "the same key may succeed once this release is gone"


def test_a_writer_does_not_push_another_from_its_socket_and_takes_over_a_dead_ones(
    writer: WriterProcess, environment: dict[str, str], connect: Connect
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "tallystick", "write"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "another writer answers at" in second.stderr and "Traceback" not in second.stderr
    open_account(connect())
    writer.end(signal.SIGKILL)
    writer.start()
    open_account(connect())


def test_the_writer_says_whether_it_answers(writer: WriterProcess, environment: dict[str, str]) -> None:
    def ask(**changes: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tallystick", "write", "--check"]
        given = {**os.environ, **environment, **changes}
        return subprocess.run(command, cwd=ROOT, env=given, capture_output=True, text=True, timeout=30, check=False)

    assert ask().returncode == 0
    refused = ask(TALLYSTICK_SECRET="another secret, of at least thirty-two bytes")
    assert refused.returncode == 1 and "another TALLYSTICK_SECRET" in refused.stderr
    assert writer.end() == 0
    gone = ask()
    assert gone.returncode == 1 and "no writer answers" in gone.stderr


@pytest.mark.usefixtures("writer")
def test_a_lone_caller_waits_little(connect: Connect) -> None:
    ledger = connect()
    account_id = open_account(ledger, credit=100)
    took: list[float] = []
    for number in range(50):
        start = time.perf_counter()
        ledger.submit(debit(account_id, str(number)))
        took.append(time.perf_counter() - start)
    assert sorted(took)[25] < 0.25
    assert isinstance(done(ledger, debit(account_id, "last").command), Done)  # type: ignore[arg-type]  # it has one
