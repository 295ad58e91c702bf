"""Callers for the ledger: asyncio tasks that hold and commit, in one process or several."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from uuid import UUID, uuid4

from msgspec import Struct
from psycopg_pool import ConnectionPool

from ledger.domain.commands import Command, CommitHold, GrantCredits, HoldCredits, OpenAccount
from ledger.domain.verdicts import Done
from ledger.ports import Request
from ledger.store.postgres import PostgresLedger
from ledger.writer.prepare import Prepared
from ledger.writer.requests import WriterRequest
from tallystick.clock import SystemClock, SystemIds
from tallystick.tuning import tune_process

HOLD_UCR = 1_000_000
ENOUGH_UCR = 10**14
_CHUNK = 1_000


class Load(Struct, frozen=True, kw_only=True):
    """How much at once, and for how long."""

    callers: int
    accounts: int
    seconds: float
    processes: int = 1


class Measured(Struct, kw_only=True):
    """What came of it; latencies are of one hold and its commit."""

    commands: int
    batches: int
    seconds: float
    job_ms: list[float]

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


class BatchCounter:
    """Counts the writer's transactions."""

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


def run_load(url: str, load: Load) -> Measured:
    """Open accounts, then hold and commit on them until the time is over."""
    tune_process()
    account_ids = [uuid4() for _ in range(load.accounts)]
    if load.processes == 1:
        _fill(url, account_ids)
        return _callers(url, load, account_ids)
    _fill(url, account_ids)
    context = multiprocessing.get_context("spawn")
    share = Load(callers=load.callers // load.processes, accounts=load.accounts, seconds=load.seconds)
    with ProcessPoolExecutor(load.processes, mp_context=context) as pool:
        parts = list(pool.map(_callers, *zip(*[(url, share, account_ids)] * load.processes, strict=True)))
    return Measured(
        commands=sum(part.commands for part in parts),
        batches=sum(part.batches for part in parts),
        seconds=max(part.seconds for part in parts),
        job_ms=[ms for part in parts for ms in part.job_ms],
    )


def _fill(url: str, account_ids: Sequence[UUID]) -> None:
    with _pool(url) as pool:
        ledger = _ledger(url, pool, BatchCounter())
        try:
            for start in range(0, len(account_ids), _CHUNK):
                chunk = account_ids[start : start + _CHUNK]
                ledger.submit_many([_request(OpenAccount(account_id=one, organisation_id=one)) for one in chunk])
                ledger.submit_many(
                    [
                        _request(GrantCredits(account_id=one, grant_id=uuid4(), amount_ucr=ENOUGH_UCR, kind="paid"))
                        for one in chunk
                    ]
                )
        finally:
            ledger.close()


def _callers(url: str, load: Load, account_ids: Sequence[UUID]) -> Measured:
    tune_process()
    counter = BatchCounter()
    with _pool(url) as pool:
        ledger = _ledger(url, pool, counter)
        try:
            return asyncio.run(_measure(ledger, load, account_ids, counter))
        finally:
            ledger.close()


async def _measure(ledger: PostgresLedger, load: Load, account_ids: Sequence[UUID], counter: BatchCounter) -> Measured:
    job_ms: list[float] = []
    start = time.perf_counter()
    end = start + load.seconds
    await asyncio.gather(*(_caller(ledger, account_ids, number, end, job_ms) for number in range(load.callers)))
    seconds = time.perf_counter() - start
    return Measured(commands=2 * len(job_ms), batches=counter.batches, seconds=seconds, job_ms=job_ms)


async def _caller(
    ledger: PostgresLedger, account_ids: Sequence[UUID], number: int, end: float, job_ms: list[float]
) -> None:
    new_id = SystemIds().new
    turn = number * 7_919  # a prime apart, so that callers walk over all accounts in different orders
    while (before := time.perf_counter()) < end:
        account_id, hold_id = account_ids[turn % len(account_ids)], new_id()
        turn += 104_729
        await _do(
            ledger,
            HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=HOLD_UCR, lease_s=60, reference=hold_id),
        )
        await _do(ledger, CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=HOLD_UCR))
        job_ms.append((time.perf_counter() - before) * 1_000)


async def _do(ledger: PostgresLedger, command: Command) -> None:
    (answer,) = await ledger.submit_async([_request(command)])
    assert isinstance(answer.verdict, Done), answer


def _request(command: Command) -> Request:
    return Request(key=uuid4().hex, operation=type(command).__name__, command=command)


def _pool(url: str) -> ConnectionPool:
    return ConnectionPool(url, min_size=1, max_size=2, open=False)


def _ledger(url: str, pool: ConnectionPool, counter: BatchCounter) -> PostgresLedger:
    return PostgresLedger(url, pool, clock=SystemClock(), secret=b"bench", sleep=time.sleep, observer=counter)
