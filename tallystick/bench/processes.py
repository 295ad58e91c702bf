"""The processes of a measurement: a writer as the product runs it, and what each part costs in processor time."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psycopg
from msgspec import Struct

from ledger.remote.server import WriterServer
from ledger.remote.sockets import listening
from ledger.store.connection import WriterStore
from ledger.writer.prepare import Prepared
from ledger.writer.requests import WriterRequest
from ledger.writer_thread import WriterThread
from tallystick.clock import SystemClock
from tallystick.tuning import tune_process

SECRET = b"a secret for measurements, of thirty-two bytes"
CONTEXT = multiprocessing.get_context("spawn")
_START_S = 60.0
_TICKS_PER_S = 100
_KIBIBYTES = 1024


class WriterReport(Struct, frozen=True):
    """What a writer has done since it began."""

    batches: int
    cpu_s: float
    memory_mib: float


class BatchCounter:
    """Counts the writer's transactions; see ``ledger.writer_thread.Observer``."""

    def __init__(self) -> None:
        self.batches = 0

    def batch(self, batch: Sequence[Prepared]) -> AbstractContextManager[None]:
        """Count one batch."""
        assert batch
        self.batches += 1
        return nullcontext()

    def step(self, request: WriterRequest, answer: Callable[[WriterRequest], Any]) -> Any:
        """Let it pass."""
        return answer(request)


class WriterProcess:
    """A writer in a process of its own; ``path`` is its socket."""

    def __init__(self, path: Path, control: Connection) -> None:
        self.path = path
        self._control = control

    def report(self) -> WriterReport:
        """Ask what it has done so far."""
        self._control.send(True)  # noqa: FBT003  any value asks
        return self._control.recv()


@contextlib.contextmanager
def writer_process(url: str) -> Generator[WriterProcess]:
    """Run a writer while the block does."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-bench-"))
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_write, args=(url, folder / "writer", theirs))
    process.start()
    try:
        assert ours.poll(_START_S), "the writer does not start"
        ours.recv()
        yield WriterProcess(folder / "writer", ours)
    finally:
        ours.send(None)
        process.join(_START_S)
        shutil.rmtree(folder, ignore_errors=True)


def _write(url: str, path: Path, control: Connection) -> None:
    """The writer's process: serve the socket, answer what is asked on the pipe, end when told to."""
    tune_process()
    clock, counter = SystemClock(), BatchCounter()
    writer = WriterThread(WriterStore(url, clock, time.sleep), SECRET, observer=counter)
    with listening(path) as listener:
        server = WriterServer(writer, listener, SECRET, clock)
        server.start()
        control.send(True)  # noqa: FBT003  any value says that it is there
        with contextlib.suppress(EOFError):
            while control.recv():
                control.send(WriterReport(counter.batches, time.process_time(), memory_mib()))
        server.stop()


def memory_mib() -> float:
    """The most memory that this process has had resident."""
    unit = 1 if sys.platform == "darwin" else _KIBIBYTES
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2


def postgres_cpu_s(url: str) -> float:
    """Processor time of the server's processes so far, if it runs on this machine and this is Linux; else 0."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()").fetchall()
    return sum(process_cpu_s(int(pid)) for (pid,) in rows)


def process_cpu_s(pid: int) -> float:
    """Processor time of a process so far; 0 where this is not Linux."""
    return _ticks(pid) / _TICKS_PER_S


def _ticks(pid: int) -> int:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(after_name[11]) + int(after_name[12])
