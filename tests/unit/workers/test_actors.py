"""The messages: one actor, an explicit broker, and a Redis that may be away."""

from __future__ import annotations

import dramatiq
import pytest
import redis
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit

from workers import actors
from workers.limits import MESSAGE_AGE_MAX_MS


class Away(StubBroker):
    """A broker that nobody reaches."""

    def __init__(self) -> None:
        super().__init__(middleware=[])
        self.tries = 0

    def enqueue(self, message: dramatiq.Message[None], *, delay: int | None = None) -> dramatiq.Message[None]:
        del message, delay
        self.tries += 1
        raise dramatiq.errors.ConnectionClosed("nobody there")


def test_the_broker_ends_messages_by_age_and_retries_nothing() -> None:
    broker = actors.redis_broker(redis.Redis.from_url("redis://127.0.0.1:1/0"))
    (age,) = broker.middleware
    assert isinstance(age, AgeLimit) and age.max_age == MESSAGE_AGE_MAX_MS


def test_a_message_names_a_class_and_no_job() -> None:
    broker = StubBroker(middleware=[])
    taken: list[str] = []
    actors.declare(broker, taken.append)
    wakes = actors.Wakes(broker)
    wakes("slots", "standard")
    wakes("another-topic", "standard")
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=10)
    worker.start()
    broker.join(actors.QUEUE, timeout=60_000)
    worker.join()
    worker.stop()
    assert taken == ["standard"]


def test_a_redis_that_is_away_falls_back_and_is_not_tried_at_every_hint() -> None:
    broker, taken = Away(), list[str]()
    wakes = actors.Wakes(broker, taken.append)
    for _ in range(21):
        wakes("slots", "standard")
    assert (len(taken), broker.tries) == (21, 1)
    wakes("slots", "standard")
    assert broker.tries == 2


def test_a_hint_never_raises() -> None:
    actors.Wakes(Away())("slots", "standard")
    with pytest.raises(dramatiq.errors.ConnectionClosed):
        Away().enqueue(dramatiq.Message(queue_name="q", actor_name="a", args=(), kwargs={}, options={}))
