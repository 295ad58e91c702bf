"""The writer's process, as ``tallystick write`` starts it, and writers on a thread behind a socket."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from ledger.remote.server import WriterServer
from ledger.remote.sockets import listening
from ledger.store.connection import WriterStore
from ledger.writer_thread import Store, WriterThread
from tallystick.clock import SystemClock
from tests.support.requirements import ROOT

STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 20.0


@contextlib.contextmanager
def short_folder() -> Generator[Path]:
    """A private folder whose path is short enough for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="tally-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class WriterProcess:
    """``tallystick write`` with some settings; started and ended as often as a test likes."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tallystick", "write"],
            cwd=ROOT,
            env={**os.environ, **self._environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], STARTS_WITHIN_S)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith("writing for callers at "):
            self.process.kill()
            raise AssertionError(f"it did not start: {line}{self.process.communicate()[1]}")

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for its end; its exit status."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        assert self.process is not None
        try:
            return self.process.wait(ENDS_WITHIN_S)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it, if it runs."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@contextlib.contextmanager
def writer_process(environment: dict[str, str]) -> Generator[WriterProcess]:
    """A writer that runs; nothing is left of it."""
    found = WriterProcess(environment)
    try:
        found.start()
        yield found
    finally:
        found.close()


@contextlib.contextmanager
def writer_at(path: Path, store: Store, secret: bytes) -> Generator[WriterServer]:
    """A writer on threads of this process that answers at a socket."""
    with listening(path) as listener:
        server = WriterServer(WriterThread(store, secret), listener, secret, SystemClock())
        server.start()
        try:
            yield server
        finally:
            server.stop()


def store_of(url: str) -> WriterStore:
    """The writer's store on a database."""
    return WriterStore(url, SystemClock(), time.sleep)
