"""Processes of ours end when they are told to: at any moment, and whatever stands still behind them."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from threading import Thread

import httpx
import psycopg
import pytest

from tallystick import run_process
from tallystick.run_process import STOP_LIMIT_S, STUCK, Stopping
from tallystick.settings import Settings
from tests.support.cli import Commands
from tests.support.requirements import ROOT
from tests.support.servers import Database
from workers.process import DRAIN_S

STARTED_WITHIN_S = 60.0
JOINED_WITHIN_S = 60.0
ENDED_WITHIN_S = STOP_LIMIT_S + 40.0
HANGS_S = 3.0

SIGNALLED_AT_ANY_STEP = """
import os, signal, sys
from tallystick import run_process

run_process._TURN_S = 0.01

def wait_signalled_at(step):
    left = step
    def count(frame, event, arg):
        nonlocal left
        left -= event == "line"
        if left == 0:
            sys.settrace(None)
            os.kill(os.getpid(), signal.SIGTERM)
        return count
    stopping = run_process.until_stopped()
    signal.alarm(10)
    sys.settrace(count)
    stopping.wait()

for step in range(1, 41):
    if (child := os.fork()) == 0:
        wait_signalled_at(step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"it did not notice a signal at step {step} of its waiting"
"""


def run_code(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run some code of the product in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_a_signal_is_noticed_at_whatever_step_of_the_waiting_it_arrives() -> None:
    ended = run_code(SIGNALLED_AT_ANY_STEP)
    assert ended.returncode == 0, ended.stderr


def test_a_stop_is_noticed_at_once_by_every_thread_that_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_process, "_TURN_S", 600.0)
    stopping = Stopping()
    threads = [Thread(target=stopping.wait, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert not stopping.wait(0.05) and not stopping.is_set()
    stopping.set()
    for thread in threads:
        thread.join(JOINED_WITHIN_S)
        assert not thread.is_alive()
    assert stopping.wait() and stopping.is_set()


ENDS_LATE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tallystick import run_process
from tallystick.settings import Settings
from tallystick.telemetry.logs import log_to

log_to(None, Settings(data_dir=Path("unused")), "test")
stopping = run_process.Stopping()
calls = ThreadPoolExecutor(1)
with run_process.ended_within(float(sys.argv[1]), stopping):
    calls.submit(time.sleep, float(sys.argv[2]))
    stopping.set()
    calls.shutdown(wait=True)
"""


def test_what_has_not_ended_in_time_is_ended_with_a_reason_and_a_status_of_its_own() -> None:
    ended = run_code(ENDS_LATE, "0.2", "600")
    assert ended.returncode == STUCK, ended.stderr
    assert "told to stop" in ended.stderr


def test_what_ends_in_time_ends_as_ever() -> None:
    ended = run_code(ENDS_LATE, "600", "0.2")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_compose_waits_longer_than_a_stop_may_take() -> None:
    text = (ROOT / "compose.yaml").read_text()
    (ours,) = re.findall(r"^x-ours:.*?stop_grace_period: (\d+)s$", text, re.MULTILINE | re.DOTALL)
    (worker,) = re.findall(r"^  worker:.*?stop_grace_period: (\d+)m$", text, re.MULTILINE | re.DOTALL)
    assert int(ours) > STOP_LIMIT_S
    assert int(worker) * 60 > DRAIN_S + STOP_LIMIT_S


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """The settings as a process of ours finds them; port 0 takes a free one."""
    return {**Commands(settings).environment, "TALLYSTICK_PORT": "0"}


@pytest.fixture
def freeze(database: Database) -> Generator[Callable[[], None]]:
    """Lets the database stand still: whoever is connected to it gets no answer, until the test has ended."""
    backends: list[int] = []

    def stop_backends() -> None:
        with psycopg.connect(database.superuser_url) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        for (pid,) in found:
            os.kill(pid, signal.SIGSTOP)
            backends.append(pid)

    yield stop_backends
    for pid in backends:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_sigterm_ends_every_process_while_the_database_stands_still(
    environment: dict[str, str], freeze: Callable[[], None]
) -> None:
    commands = (("serve", "--http-only"), ("follow",), ("work", "--drain", "0"), ("write",))
    with contextlib.ExitStack() as stack:
        serving, *others = [stack.enter_context(process_of_ours(environment, *words)) for words in commands]
        url = first_line(serving).split()[1]
        for process in others:
            first_line(process)
        freeze()
        while not stack.enter_context(asking(url)):
            freeze()  # somebody else had the connection that was there
        for process in (serving, *others):
            process.terminate()
        statuses = [process.wait(ENDED_WITHIN_S) for process in (serving, *others)]
    assert statuses[0] == STUCK, "it had a request in hand"
    assert set(statuses) <= {0, STUCK}


@contextlib.contextmanager
def process_of_ours(environment: dict[str, str], *words: str) -> Generator[subprocess.Popen[str]]:
    """A command of ours that stays."""
    command = [sys.executable, "-m", "tallystick", *words]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    """What it says once it runs."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], STARTED_WITHIN_S)
    line = process.stdout.readline() if ready else ""
    assert line, "it did not start"
    return line


@contextlib.contextmanager
def asking(url: str) -> Generator[bool]:
    """A request that wants the database; whether it hangs. On a connection that is made now it would be answered."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80)) as connection:
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert httpx.get(f"{url}/healthz", timeout=ENDED_WITHIN_S, trust_env=False).is_success, "it has been read"
        yield not select.select([connection], [], [], HANGS_S)[0]
