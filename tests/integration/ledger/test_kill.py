"""PostgreSQL and writers killed with ``kill -9`` at random moments under load: every answer that was given is true."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.commands import HoldCredits
from ledger.drivers import Driver
from ledger.store.reads import PostgresReader
from ledger.store.socket import SocketLedger
from ledger.verify import verify
from ledger.writer.keys import key_hash
from migrations import runner
from tallystick.clock import SystemClock
from tallystick.embedded import folders
from tallystick.embedded.postgres import SERVING_ROLE, WRITER_ROLE, EmbeddedPostgres
from tallystick.settings import Settings
from tests.conftest import SECRET
from tests.support import instances, servers
from tests.support.killed_callers import Plan, Told
from tests.support.ledger import CREDIT, done, open_account
from tests.support.requirements import ROOT
from tests.support.writers import WriterProcess, short_folder, writer_process

pytestmark = pytest.mark.timeout(240)

KILLED = ("writer", "writer", "writer", "postmaster", "PostgreSQL", "PostgreSQL")
"""The postmaster alone, whose children then end by themselves, or with all of them at once."""
CALLERS, ACCOUNTS, HOLDS = 3, 4, 60
SECRET_KEY = Settings(secret=SECRET).key_for("ledger-digests")


class Stage:
    """A PostgreSQL of the test's own, two writers on it, and what is prepared for the callers."""

    def __init__(self, server: EmbeddedPostgres, stack: contextlib.ExitStack) -> None:
        self.server = server
        places = [stack.enter_context(short_folder()) for _ in range(2)]
        self.sockets = [place / "writer" / "writer.sock" for place in places]
        self.places = places
        self.stop = places[0] / "stop"
        self.writers: list[WriterProcess] = []
        for place in places:
            settings = {
                "TALLYSTICK_DATA_DIR": str(place),
                "TALLYSTICK_SECRET": SECRET,
                "DATABASE_URL": server.serving_url,
                "DATABASE_WRITER_URL": server.writer_url,
            }
            self.writers.append(stack.enter_context(writer_process(settings)))
        self.holds: dict[UUID, list[UUID]] = {}

    def prepare(self, pool: ConnectionPool[Any]) -> None:
        """Accounts with credits and open holds."""
        ledger = SocketLedger(self.sockets[0], pool, clock=SystemClock(), secret=SECRET_KEY)
        for _ in range(ACCOUNTS):
            account_id = open_account(ledger, credit=1)
            holds = [UUID(int=random.getrandbits(128)) for _ in range(HOLDS)]
            for hold_id in holds:
                done(ledger, HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=7, lease_s=3_600))
            self.holds[account_id] = holds
        ledger.close()

    def callers(self) -> list[tuple[subprocess.Popen[bytes], Path]]:
        """Processes that ask, begun, each with the file it writes to: a pipe would be full before long."""
        found: list[tuple[subprocess.Popen[bytes], Path]] = []
        for number in range(CALLERS):
            file = self.places[0] / f"caller-{number}"
            plan = Plan(
                sockets=[str(path) for path in self.sockets],
                secret=SECRET_KEY,
                stop=str(self.stop),
                seed=number,
                name=f"caller-{number}",
                accounts=list(self.holds),
                holds=self.holds,
            )
            command = [sys.executable, "-m", "tests.support.killed_callers"]
            with file.open("wb") as said:
                process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=said)
            assert process.stdin is not None
            process.stdin.write(msgspec.json.encode(plan))
            process.stdin.close()
            found.append((process, file))
        return found

    def kill_one(self, kind: str, dice: random.Random) -> None:
        """Kill it, and start it again a little later."""
        if kind == "writer":
            writer = dice.choice(self.writers)
            writer.end(signal.SIGKILL)
            time.sleep(dice.random())
            writer.start()
            return
        descendants = instances.descendants(self.server.pid) if kind == "PostgreSQL" else set[int]()
        instances.kill({self.server.pid, *descendants})
        time.sleep(dice.random())
        self.server.stop()
        self.server.start()


@pytest.fixture
def stage() -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(servers.folder_for_servers())
        server = EmbeddedPostgres(folder, folders.service_user("nobody"))
        stack.callback(server.stop)
        server.start()
        runner.migrate(server.owner_url, serving_role=SERVING_ROLE, writing_role=WRITER_ROLE)
        yield Stage(server, stack)


def test_invariant_14_16_24_26_41_42_whatever_is_killed_every_answer_is_true(stage: Stage) -> None:
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    with ConnectionPool(stage.server.serving_url, min_size=1, open=True) as pool:
        stage.prepare(pool)
    callers = stage.callers()
    for kind in dice.sample(KILLED, len(KILLED)):
        time.sleep(0.5 + 2.0 * dice.random())
        stage.kill_one(kind, dice)
    time.sleep(1.0)
    stage.stop.touch()
    told = [one for process, file in callers for one in answers_of(process, file)]
    outcomes = Counter(one.outcome for one in told)
    print(f"seed {seed}, {len(told)} requests: {dict(outcomes)}")  # noqa: T201  for who looks
    with ConnectionPool(stage.server.serving_url, min_size=1, open=True) as pool:
        assert not Driver(pool).drive(verify()).findings
        with pool.connection() as connection:
            every_answer_is_true(connection, told)
        every_balance_is_exact(PostgresReader(pool), stage.holds, told)
    a_hold_is_resolved_once(told)


def answers_of(process: subprocess.Popen[bytes], file: Path) -> list[Told]:
    """All that a caller was told."""
    assert process.wait(timeout=90) == 0
    return [msgspec.json.decode(line, type=Told) for line in file.read_bytes().splitlines()]


def every_answer_is_true(connection: psycopg.Connection, told: Sequence[Told]) -> None:
    """Done is in the log once, under its key; not done is not; and nothing stays unknown."""
    rows = connection.execute("SELECT key_hash, count(*) FROM events WHERE key_hash IS NOT NULL GROUP BY key_hash")
    events = {row[0].bytes: row[1] for row in rows}
    rows = connection.execute("SELECT key_hash, position FROM verdicts")
    verdicts = {row[0].bytes: row[1] for row in rows}
    assert len(told) > 100 and sum(one.outcome == "done" for one in told) > 50
    assert len({one.key for one in told}) == len(told)
    for one in told:
        name = key_hash(one.account_id, one.operation, one.key)
        assert one.outcome != "unknown", one
        if one.outcome == "done":
            assert (events.get(name), verdicts.get(name)) == (1, one.position), one
        else:
            assert name not in events, one
            assert (name in verdicts) == (one.outcome != "not-done"), one


def every_balance_is_exact(reader: PostgresReader, holds: dict[UUID, list[UUID]], told: Sequence[Told]) -> None:
    """What the callers were told adds up to what is there."""
    for account_id in holds:
        posted_ucr = CREDIT
        for one in told:
            if one.account_id == account_id and one.outcome == "done":
                sign = {"grant-credits": 1, "debit-credits": -1, "commit-hold": -1}.get(one.operation, 0)
                posted_ucr += sign * one.amount_ucr
        balance = reader.balance(account_id)
        assert balance is not None and balance.posted_ucr == posted_ucr
        resolved = sum(
            one.hold_id is not None and one.outcome == "done" for one in told if one.account_id == account_id
        )
        assert (balance.open_holds, balance.held_ucr) == (HOLDS - resolved, 7 * (HOLDS - resolved))


def a_hold_is_resolved_once(told: Sequence[Told]) -> None:
    """Whoever commits or releases a hold that another had is told so."""
    resolved = Counter(one.hold_id for one in told if one.hold_id is not None and one.outcome == "done")
    assert resolved and max(resolved.values()) == 1
    assert "hold-resolved" in {one.outcome for one in told}
