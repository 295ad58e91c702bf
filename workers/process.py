"""A worker process: dramatiq's threads that run attempts, the heart, the sweeps, the keeper of nodes.

It is a process of its own, started by ``tallystick work``, never a fork of one that has threads and pools. Stopping it
claims nothing more and lets the attempts in hand end, up to a limit; what is left then is taken over by others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event, Semaphore, Thread
from typing import Any

import dramatiq
import psycopg

from ledger.errors import LedgerError
from ledger.ports import Ids
from workers import actors
from workers.attempt.driver import Workshop
from workers.attempt.effects import Erase
from workers.driving import CoreDriver, Rows
from workers.generation.settle import SettlementStuck
from workers.limits import SWEEP_S, THREADS_MAX
from workers.objects.port import ObjectStore
from workers.pool.keeper import keep_one
from workers.pool.prober import Prober
from workers.pool.statements import REGISTER
from workers.queue import sweeps
from workers.queue.turns import Observe, Turns, unobserved

_log = logging.getLogger(__name__)
_KEEPER_S = 0.5
_KEEPERS = 2
_ORPHANS_EVERY = 300
"""Sweeps between two looks for orphans: some five minutes."""

DRAIN_S = 600.0
_MESSAGE_WAIT_MS = 500
_SWEEPERS_S = 5.0


@dataclass(frozen=True, kw_only=True)
class WorkerParts:
    """What a worker process stands on; ``broker`` is ``actors.redis_broker``'s."""

    workshop: Workshop
    broker: dramatiq.Broker
    ids: Ids
    threads: int = 4
    observe: Observe = field(default=unobserved)
    drain_s: float = DRAIN_S


class WorkerProcess:
    """All of it. ``start`` returns at once; ``stop`` drains."""

    def __init__(self, parts: WorkerParts) -> None:
        assert 1 <= parts.threads <= THREADS_MAX
        self._parts = parts
        self._workshop = parts.workshop
        self._clock = parts.workshop.around.clock
        self._turns = Turns(parts.workshop, parts.ids, parts.observe)
        self._stopping = Event()
        self._spare = Semaphore(parts.threads)
        actors.declare(parts.broker, self._take)
        self._worker = dramatiq.Worker(
            parts.broker, queues={actors.QUEUE}, worker_threads=parts.threads, worker_timeout=_MESSAGE_WAIT_MS
        )
        self._worker.queue_prefetch = parts.threads  # no more than can be worked on: others may be idle
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Register the configured nodes, and begin."""
        self._register()
        self._workshop.heart.start()
        self._worker.start()
        self._threads = [Thread(target=self._sweep, name="sweep", daemon=True)]
        self._threads += [Thread(target=self._keep, name=f"keeper-{n}", daemon=True) for n in range(_KEEPERS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Claim nothing more, finish what is in hand within ``drain_s``, and end."""
        self._turns.stop()
        self._stopping.set()
        sweepers_end_s = self._clock.monotonic_s() + _SWEEPERS_S
        for thread in self._threads:
            thread.join(timeout=max(0.0, sweepers_end_s - self._clock.monotonic_s()))
        ends_s = self._clock.monotonic_s() + self._parts.drain_s
        self._worker.stop(timeout=round(self._parts.drain_s * 1000))
        self._wait_for_spare(ends_s)
        self._workshop.heart.stop()

    def take_without_redis(self, gpu_class: str) -> None:
        """Take a turn on a thread of its own: what ``actors.Wakes`` falls back to while Redis is away."""
        if not self._stopping.is_set() and self._spare.acquire(blocking=False):
            Thread(target=self._take_spare, args=(gpu_class,), name="spare", daemon=True).start()

    def _wait_for_spare(self, ends_s: float) -> None:
        """Wait for the attempts that were taken without Redis, which the broker's worker does not know."""
        for _ in range(self._parts.threads):
            self._spare.acquire(timeout=max(0.0, ends_s - self._clock.monotonic_s()))

    def _take_spare(self, gpu_class: str) -> None:
        try:
            self._take(gpu_class)
        finally:
            self._spare.release()

    def _take(self, gpu_class: str) -> None:
        self._turns.take(gpu_class)

    def _register(self) -> None:
        rows = Rows(self._workshop.around.pool)
        for config, _executor in self._workshop.nodes.values():
            rows.run(REGISTER, {"name": config.name, "url": config.url, "gpu_class": config.gpu_class})
        rows.commit()

    def _sweep(self) -> None:
        driver = SweepDriver(self._workshop)
        turn = 0
        while not self._stopping.wait(SWEEP_S):
            for sweep in _due(turn):
                _patiently(sweep.__name__, lambda sweep=sweep: driver.drive(sweep()))
            turn += 1

    def _keep(self) -> None:
        nodes = self._workshop.nodes
        executors = {name: executor for name, (_config, executor) in nodes.items()}
        classes = {name: config.gpu_class for name, (config, _executor) in nodes.items()}
        driver = Prober(self._workshop.around, executors, self._workshop.catalogue, self._parts.ids)
        while not self._stopping.is_set():
            if not _patiently("keeper", lambda: driver.drive(keep_one(sorted(nodes), classes))):
                self._stopping.wait(_KEEPER_S)


class SweepDriver(CoreDriver):
    """Drives sweeps; deletes objects too."""

    def __init__(self, workshop: Workshop) -> None:
        super().__init__(workshop.around)
        self._objects: ObjectStore = workshop.objects

    def answer(self, effect: Any) -> Any:
        """Answer one effect."""
        if isinstance(effect, Erase):
            return self._objects.delete(effect.key)
        return super().answer(effect)


def _due(turn: int) -> Iterable[Callable[[], Any]]:
    """Sweeps of this second; orphans are looked for some seconds after the start, then every few minutes."""
    often: Sequence[Callable[[], Any]] = (sweeps.send_wakes, sweeps.end_overdue, sweeps.end_cancelled)
    seldom: Sequence[Callable[[], Any]] = (sweeps.sweep_inputs, sweeps.sweep_outputs, sweeps.forget_cancels)
    return (*often, *seldom) if turn % _ORPHANS_EVERY == _ORPHANS_EVERY // 10 else often


def _patiently(name: str, work: Callable[[], Any]) -> Any:
    """Do a round of something that goes on for ever: a database or ledger that is away is waited for."""
    try:
        return work()
    except (LedgerError, SettlementStuck, psycopg.Error) as error:
        _log.warning("%s: %s", name, error)
        return None
    except Exception:  # noqa: BLE001  a round that fails is logged with its cause and must not end the thread
        _log.exception("%s failed; it goes on with the next round", name)
        return None
