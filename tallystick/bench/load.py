"""Callers for the ledger: asyncio tasks that hold and commit, in one process or several."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid4

from msgspec import Struct
from msgspec.structs import replace

from ledger.domain.commands import Command, CommitHold, GrantCredits, HoldCredits, OpenAccount
from ledger.domain.verdicts import Answer, Done
from ledger.ports import LedgerWriter, Request
from ledger.remote.client import WriterClient
from ledger.store.connection import WriterStore
from ledger.writer_thread import WriterThread
from tallystick.bench.processes import CONTEXT, SECRET, WriterProcess, postgres_cpu_s
from tallystick.clock import SystemClock, SystemIds
from tallystick.tuning import tune_process

HOLD_UCR = 1_000_000
ENOUGH_UCR = 10**14
CHUNK = 1_000
LEASE_S = 3_600
_PRIME, _LARGER_PRIME = 7_919, 104_729
"""Strides, so that callers walk over all accounts in different orders."""


class Load(Struct, frozen=True, kw_only=True):
    """How much at once, and for how long.

    ``open_holds`` are there on each account before; ``busy``: a thread of the callers' process computes all the time;
    ``own_writers``: each process has a writer in it, as processes of several hosts have.
    """

    callers: int
    accounts: int
    seconds: float
    processes: int = 1
    open_holds: int = 0
    busy: bool = False
    own_writers: bool = False


class Measured(Struct, kw_only=True):
    """What came of it; latencies are of one hold and its commit, ``*_cpu_s`` processor time of each part."""

    commands: int
    seconds: float
    job_ms: list[float]
    errors: int = 0
    batches: int = 0
    callers_cpu_s: float = 0.0
    writer_cpu_s: float = 0.0
    postgres_cpu_s: float = 0.0

    @property
    def commands_per_s(self) -> float:
        """Commands answered after their commit, a second."""
        return self.commands / self.seconds

    @property
    def batch_size(self) -> int:
        """Mean number of commands in one transaction."""
        return max(1, round(self.commands / max(1, self.batches)))

    def job_ms_at(self, share: float) -> float:
        """A quantile of the time one hold and its commit took."""
        ordered = sorted(self.job_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class AsyncWriter(LedgerWriter, Protocol):
    """A writer that callers on an event loop can ask, too."""

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """See ``LedgerWriter.submit_many``."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@contextlib.contextmanager
def client(path: Path | None, url: str) -> Generator[AsyncWriter]:
    """The writer behind a socket, or one in this process."""
    clock = SystemClock()
    if path is None:
        found: AsyncWriter = WriterThread(WriterStore(url, clock, time.sleep), SECRET)
    else:
        found = WriterClient(path, SECRET, clock)
    try:
        yield found
    finally:
        found.close()


class Measurement:
    """Accounts behind one writer's process, and loads on them."""

    def __init__(self, url: str, writer: WriterProcess) -> None:
        self.url = url
        self.writer = writer
        self.account_ids: list[UUID] = []

    def fill(self, load: Load) -> None:
        """Open the accounts of a load."""
        self.account_ids = [uuid4() for _ in range(load.accounts)]
        with client(self.writer.path, self.url) as writer:
            open_accounts(writer, self.account_ids)
            for account_id in self.account_ids if load.open_holds else ():
                for start in range(0, load.open_holds, CHUNK):
                    hold_ids = [uuid4() for _ in range(min(CHUNK, load.open_holds - start))]
                    _all_done(writer, [_hold(account_id, hold_id) for hold_id in hold_ids])

    def run(self, load: Load) -> Measured:
        """Hold and commit until the time is over."""
        with self.running(load) as futures:
            parts = [future.result() for future in futures]
        return self.measured(parts)

    @contextlib.contextmanager
    def running(self, load: Load) -> Generator[list[Future[Measured]]]:
        """The same, while the block looks on. Then ``measured`` says what came of it."""
        self._before = self.writer.report(), postgres_cpu_s(self.url)
        share = replace(load, callers=load.callers // load.processes)
        place = None if load.own_writers else self.writer.path
        with ProcessPoolExecutor(load.processes, mp_context=CONTEXT) as pool:
            yield [pool.submit(call, place, self.url, share, self.account_ids) for _ in range(load.processes)]

    def measured(self, parts: Sequence[Measured]) -> Measured:
        """Put the processes' parts together."""
        before, postgres_s = self._before
        after = self.writer.report()
        return Measured(
            commands=sum(part.commands for part in parts),
            seconds=max(part.seconds for part in parts),
            job_ms=[ms for part in parts for ms in part.job_ms],
            errors=sum(part.errors for part in parts),
            batches=after.batches - before.batches,
            callers_cpu_s=sum(part.callers_cpu_s for part in parts),
            writer_cpu_s=after.cpu_s - before.cpu_s,
            postgres_cpu_s=postgres_cpu_s(self.url) - postgres_s,
        )


def open_accounts(writer: LedgerWriter, account_ids: Sequence[UUID]) -> None:
    """Open accounts with a grant each that no measurement uses up."""
    for start in range(0, len(account_ids), CHUNK // 2):
        chunk = account_ids[start : start + CHUNK // 2]
        commands: list[Command] = [OpenAccount(account_id=one, organisation_id=one) for one in chunk]
        commands += [
            GrantCredits(account_id=one, grant_id=uuid4(), amount_ucr=ENOUGH_UCR, kind="paid") for one in chunk
        ]
        _all_done(writer, commands)


def hold_and_commit(account_id: UUID, hold_id: UUID) -> tuple[Request, Request]:
    """The two requests of one job."""
    return (
        request(_hold(account_id, hold_id), hold_id),
        request(CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=HOLD_UCR), hold_id),
    )


def request(command: Command, key: UUID) -> Request:
    """A command under a key of its own."""
    return Request(key=key.hex, operation=type(command).__name__, command=command)


def call(path: Path | None, url: str, load: Load, account_ids: Sequence[UUID]) -> Measured:
    """One process of callers."""
    tune_process()
    with client(path, url) as writer, _computing(busy=load.busy):
        return asyncio.run(_measure(writer, load, account_ids))


async def _measure(writer: AsyncWriter, load: Load, account_ids: Sequence[UUID]) -> Measured:
    found = Measured(commands=0, seconds=0.0, job_ms=[])
    start, cpu_s = time.perf_counter(), time.process_time()
    end = start + load.seconds
    offset = uuid4().int  # processes do not walk in step
    await asyncio.gather(
        *(_caller(writer, account_ids, offset + number * _PRIME, end, found) for number in range(load.callers))
    )
    found.seconds = time.perf_counter() - start
    found.commands = 2 * len(found.job_ms)
    found.callers_cpu_s = time.process_time() - cpu_s
    return found


async def _caller(writer: AsyncWriter, account_ids: Sequence[UUID], turn: int, end: float, found: Measured) -> None:
    new_id = SystemIds().new
    while (before := time.perf_counter()) < end:
        hold, commit = hold_and_commit(account_ids[turn % len(account_ids)], new_id())
        turn += _LARGER_PRIME
        held = await writer.submit_async([hold])
        committed = await writer.submit_async([commit])
        if isinstance(held[0].verdict, Done) and isinstance(committed[0].verdict, Done):
            found.job_ms.append((time.perf_counter() - before) * 1_000)
        else:
            found.errors += 1


@contextlib.contextmanager
def _computing(*, busy: bool) -> Generator[None]:
    """Keep the interpreter busy beside the callers."""
    over = threading.Event()
    thread = threading.Thread(target=_compute, args=(over,), daemon=True)
    if busy:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if busy:
            thread.join()


def _compute(over: threading.Event) -> None:
    while not over.is_set():
        sum(range(1_000))


def _hold(account_id: UUID, hold_id: UUID) -> HoldCredits:
    return HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=HOLD_UCR, lease_s=LEASE_S, reference=hold_id)


def _all_done(writer: LedgerWriter, commands: Sequence[Command]) -> None:
    for answer in writer.submit_many([request(command, uuid4()) for command in commands], timeout_s=60.0):
        assert isinstance(answer.verdict, Done), answer
