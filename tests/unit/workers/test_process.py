"""A worker process's stop, with a broker in memory and nothing behind it."""

from __future__ import annotations

from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from dramatiq.brokers.stub import StubBroker

from tallystick.clock import SystemClock
from workers import actors
from workers.process import WorkerParts, WorkerProcess

LIMIT_S = 60.0


class Heart:
    """Knows whether it was stopped."""

    def __init__(self) -> None:
        self.stopped = Event()

    def stop(self) -> None:
        self.stopped.set()


class Attempt:
    """One that goes on until it may end."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.ended = Event(), Event(), Event()

    def take(self, _gpu_class: str) -> int:
        self.begun.set()
        assert self.may_end.wait(LIMIT_S)
        self.ended.set()
        return 1


@pytest.fixture
def heart() -> Heart:
    return Heart()


@pytest.fixture
def attempt(monkeypatch: pytest.MonkeyPatch) -> Attempt:
    found = Attempt()
    monkeypatch.setattr("workers.process.Turns.take", lambda _self, gpu_class: found.take(gpu_class))
    return found


def worker(heart: Heart, drain_s: float) -> WorkerProcess:
    """A worker with two threads that was never started: it takes what it is told to without Redis."""
    broker = StubBroker(middleware=[])
    broker.declare_queue(actors.QUEUE)
    workshop: Any = SimpleNamespace(heart=heart, nodes={}, around=SimpleNamespace(clock=SystemClock()))
    ids: Any = None
    return WorkerProcess(WorkerParts(workshop=workshop, broker=broker, ids=ids, threads=2, drain_s=drain_s))


def test_an_attempt_taken_without_redis_ends_before_the_worker_does(heart: Heart, attempt: Attempt) -> None:
    process = worker(heart, drain_s=LIMIT_S)
    process.take_without_redis("standard")
    assert attempt.begun.wait(LIMIT_S)
    stopping = Thread(target=process.stop, daemon=True)
    stopping.start()
    assert not heart.stopped.wait(1.0), "its lease is kept alive"
    attempt.may_end.set()
    stopping.join(LIMIT_S)
    assert not stopping.is_alive() and heart.stopped.is_set() and attempt.ended.is_set()


def test_an_attempt_taken_without_redis_is_left_after_the_time_for_jobs_in_hand(heart: Heart, attempt: Attempt) -> None:
    process = worker(heart, drain_s=0.1)
    process.take_without_redis("standard")
    assert attempt.begun.wait(LIMIT_S)
    process.stop()
    assert heart.stopped.is_set() and not attempt.ended.is_set()
    attempt.may_end.set()
