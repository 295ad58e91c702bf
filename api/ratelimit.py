"""Request quotas (draft-ietf-httpapi-ratelimit-headers-10), counted on Redis in fixed windows.

Where Redis is away every process counts for itself: open, but bounded. A count is never the authority for anything.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from typing import Any, Protocol, cast

import redis
from msgspec import Struct
from redis.asyncio import Redis

from api.limits import (
    LIMITER_COUNTERS_MAX,
    LIMITER_PAUSE_S,
    LIMITER_TIMEOUT_S,
    QUOTA,
    QUOTA_LEDGER,
    QUOTA_LEDGER_CHUNK,
    QUOTA_PUBLIC,
    WINDOW_S,
)
from ledger.ports import Clock

_log = logging.getLogger(__name__)

_TAKE = """
local taken = redis.call('INCRBY', KEYS[1], ARGV[2])
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms < 0 then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    left_ms = tonumber(ARGV[1])
end
return {taken, left_ms}
"""


class Policy(Struct, frozen=True):
    """``quota`` requests in ``window_s`` seconds; a process takes ``chunk`` of them from the common count at once."""

    name: str
    quota: int
    window_s: int = WINDOW_S
    chunk: int = 1


class Policies(Struct, frozen=True, kw_only=True):
    """What applies to an organisation, to its operations on the ledger, and to an address that showed no key."""

    known: Policy = Policy("burst", QUOTA)
    ledger: Policy = Policy("ledger", QUOTA_LEDGER, chunk=QUOTA_LEDGER_CHUNK)
    unknown: Policy = Policy("public", QUOTA_PUBLIC)


class Taken(Struct, frozen=True, kw_only=True):
    """One request was counted; the window ends in ``reset_s`` seconds."""

    policy: Policy
    allowed: bool
    remaining: int
    reset_s: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields that tell the caller."""
        policy, name = self.policy, self.policy.name.encode()
        return [
            (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (name, policy.quota, policy.window_s)),
            (b"ratelimit", b'"%b";r=%d;t=%d' % (name, self.remaining, self.reset_s)),
        ]


class Limiter(Protocol):
    """Counts requests. Never raises, never waits long."""

    @property
    def policies(self) -> Policies:
        """The quotas."""
        ...

    async def take(self, policy: Policy, who: str, number: int = 1) -> Taken:
        """Count one request, or several at once."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


class LocalLimiter:
    """Counts in this process; the least recent counters are forgotten."""

    def __init__(
        self, clock: Clock, policies: Policies | None = None, counters_max: int = LIMITER_COUNTERS_MAX
    ) -> None:
        self._clock = clock
        self._counters: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()
        self._counters_max = counters_max
        self.policies = policies or Policies()

    async def take(self, policy: Policy, who: str, number: int = 1) -> Taken:
        """See ``Limiter``."""
        now_s = self._clock.monotonic_s()
        taken, ends_s = self._counters.pop((policy.name, who), (0, 0.0))
        if ends_s <= now_s:
            taken, ends_s = 0, now_s + policy.window_s
        self._counters[(policy.name, who)] = (taken + number, ends_s)
        while len(self._counters) > self._counters_max:
            self._counters.popitem(last=False)
        return _taken(policy, taken + number, ends_s - now_s)

    async def close(self) -> None:
        """See ``Limiter``."""


class Chunk(Struct):
    """Of one counter: ``left`` requests that were counted on Redis and not made yet; there it stood at ``taken``."""

    left: int
    taken: int
    ends_s: float


class RedisLimiter:
    """Counts on Redis, and in this process while Redis does not answer."""

    def __init__(self, url: str, clock: Clock, policies: Policies | None = None) -> None:
        client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its keyword arguments are untyped
            url, socket_timeout=LIMITER_TIMEOUT_S, socket_connect_timeout=LIMITER_TIMEOUT_S
        )
        self._client = cast("Any", client)
        self._take = self._client.register_script(_TAKE)
        self._clock = clock
        self._local = LocalLimiter(clock, policies)
        self._away_until_s = -math.inf
        self._chunks: OrderedDict[tuple[str, str], Chunk] = OrderedDict()
        self.policies = self._local.policies

    async def take(self, policy: Policy, who: str, number: int = 1) -> Taken:
        """See ``Limiter``."""
        now_s = self._clock.monotonic_s()
        chunk = self._chunks.get((policy.name, who))
        if chunk is not None and chunk.ends_s > now_s and chunk.left >= number:
            chunk.left -= number
            return _taken(policy, chunk.taken - chunk.left, chunk.ends_s - now_s)
        if now_s >= self._away_until_s:
            try:
                return await self._count(policy, who, number, now_s)
            except (redis.RedisError, OSError) as error:
                self._away_until_s = self._clock.monotonic_s() + LIMITER_PAUSE_S
                _log.warning("quotas are counted in this process, Redis does not answer: %s", type(error).__name__)
        return await self._local.take(policy, who, number)

    async def _count(self, policy: Policy, who: str, number: int, now_s: float) -> Taken:
        """Count on Redis, and keep what is counted beyond ``number`` for requests to come."""
        counted = max(number, policy.chunk)
        told = await self._take(keys=[f"quota:{policy.name}:{who}"], args=[policy.window_s * 1000, counted])
        taken, left_s = int(told[0]), int(told[1]) / 1000
        if counted > number and taken <= policy.quota:
            self._chunks[(policy.name, who)] = Chunk(counted - number + self._rest(policy, who), taken, now_s + left_s)
            while len(self._chunks) > LIMITER_COUNTERS_MAX:
                self._chunks.popitem(last=False)
        return _taken(policy, taken - counted + number, left_s)

    def _rest(self, policy: Policy, who: str) -> int:
        """What is left of the chunk before, if its window goes on."""
        before = self._chunks.pop((policy.name, who), None)
        return before.left if before is not None and before.ends_s > self._clock.monotonic_s() else 0

    async def close(self) -> None:
        """See ``Limiter``."""
        await self._client.aclose()


def _taken(policy: Policy, taken: int, left_s: float) -> Taken:
    return Taken(
        policy=policy,
        allowed=taken <= policy.quota,
        remaining=max(0, policy.quota - taken),
        reset_s=max(1, math.ceil(left_s)),
    )
