"""The messages: "a slot of class X may be free", and nothing else. They name no job and may be lost or come twice.

The broker is built here, explicitly: messages end with age, nothing retries or times them out, because an attempt's
lease, deadline and retries are PostgreSQL's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, Middleware

from workers.limits import MESSAGE_AGE_MAX_MS
from workers.topics import SLOTS_TOPIC

_log = logging.getLogger(__name__)
QUEUE = "slots"
ACTOR = "slot_may_be_free"
_HEARTBEAT_LIMIT_MS = 60_000
_SKIPPED_AFTER_FAILURE = 20
"""Hints that do not even try after one failed: each try may take a whole time-out."""


def redis_broker(client: redis.Redis, middleware: Sequence[Middleware] = ()) -> RedisBroker:
    """A broker with AgeLimit, what the caller adds (telemetry), and nothing else."""
    broker = RedisBroker(
        client=client,
        middleware=[AgeLimit(max_age=MESSAGE_AGE_MAX_MS), *middleware],
        namespace="tallystick",
        heartbeat_timeout=_HEARTBEAT_LIMIT_MS,
    )
    broker.declare_queue(QUEUE)
    return broker


def declare(broker: dramatiq.Broker, take_turn: Callable[[str], Any]) -> dramatiq.Actor[[str], None]:
    """The one actor: whoever gets the message takes turns of the class until nothing can be claimed."""

    def slot_may_be_free(gpu_class: str) -> None:
        take_turn(gpu_class)

    return dramatiq.Actor(slot_may_be_free, broker=broker, actor_name=ACTOR, queue_name=QUEUE, priority=0, options={})


class Wakes:
    """Sends the message on a wake-up of topic ``slots``. A Redis that is away costs time only: ``fallback`` is told.

    ``fallback`` takes a GPU class; a process without workers has none, and the sweep of those that have sends again.
    """

    def __init__(self, broker: dramatiq.Broker, fallback: Callable[[str], None] = lambda _gpu_class: None) -> None:
        self._broker: Any = broker  # its messages' results have no type
        self.fallback = fallback
        self._skipped = 0

    def __call__(self, topic: str, payload: str) -> None:
        """See ``ledger.drivers.WakeUp``; other topics are not for us."""
        if topic != SLOTS_TOPIC:
            return
        if self._skipped:
            self._skipped -= 1
            self.fallback(payload)
            return
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name=QUEUE, actor_name=ACTOR, args=(payload,), kwargs={}, options={}
        )
        try:
            self._broker.enqueue(message)
        except (dramatiq.errors.BrokerConnectionError, redis.RedisError) as error:
            _log.warning("no message could be sent: %s", error)
            self._skipped = _SKIPPED_AFTER_FAILURE
            self.fallback(payload)
