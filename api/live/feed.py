"""Progress of running jobs as it comes through Redis. A Redis that is away costs previews, nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol, cast
from uuid import UUID

import msgspec
import redis
from redis.asyncio import Redis

from workers.progress import ProgressMessage, channel, decode_message

_log = logging.getLogger(__name__)
_TURN_S = 0.2
_RETRY_S = 1.0
Hear = Callable[[UUID, ProgressMessage], None]


class ProgressFeed(Protocol):
    """Where progress comes from."""

    def want(self, job_ids: Iterable[UUID]) -> None:
        """From now on these jobs matter, and no others."""
        ...

    async def run(self, hear: Hear) -> None:
        """Pass on what is said of them, for ever."""
        ...


class NoProgress:
    """Nothing is ever heard."""

    def want(self, job_ids: Iterable[UUID]) -> None:
        """See ``ProgressFeed``."""

    async def run(self, hear: Hear) -> None:
        """See ``ProgressFeed``."""
        del hear


class RedisFeed:
    """One subscription for the whole process; its channels follow what is wanted within a moment."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted: dict[str, UUID] = {}
        self._changed = asyncio.Event()

    def want(self, job_ids: Iterable[UUID]) -> None:
        """See ``ProgressFeed``."""
        self._wanted = {channel(job_id): job_id for job_id in job_ids}
        self._changed.set()

    async def run(self, hear: Hear) -> None:
        """See ``ProgressFeed``."""
        while True:
            client = cast("Any", Redis.from_url(self._url))  # pyright: ignore[reportUnknownMemberType]  # untyped kwargs
            try:
                async with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:
                    await self._follow(pubsub, hear)
            except (redis.RedisError, OSError) as error:
                _log.debug("progress is not heard: %s", error)
                await asyncio.sleep(_RETRY_S)

    async def _follow(self, pubsub: Any, hear: Hear) -> None:
        followed: set[str] = set()
        while True:
            wanted = set(self._wanted)
            if new := wanted - followed:
                await pubsub.subscribe(*new)
            if old := followed - wanted:
                await pubsub.unsubscribe(*old)
            followed = wanted
            if not followed:
                await self._changed.wait()
                self._changed.clear()
                continue
            message = await pubsub.get_message(timeout=_TURN_S)
            if message is not None:
                self._pass_on(message, hear)

    def _pass_on(self, message: dict[str, Any], hear: Hear) -> None:
        job_id = self._wanted.get(message["channel"].decode())
        if job_id is None:
            return
        try:
            hear(job_id, decode_message(message["data"]))
        except msgspec.MsgspecError as error:
            _log.debug("progress of %s cannot be read: %s", job_id, error)
