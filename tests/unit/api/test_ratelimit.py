"""Quotas in one process, and while Redis is away."""

from __future__ import annotations

import asyncio

from api.limits import LIMITER_PAUSE_S
from api.ratelimit import LocalLimiter, Policy, RedisLimiter, Taken
from tests.support.ledger import ManualClock

THREE = Policy("burst", 3, 60)


def take(limiter: LocalLimiter | RedisLimiter, who: str = "ada", times: int = 1) -> list[Taken]:
    async def all_of_them() -> list[Taken]:
        return [await limiter.take(THREE, who) for _ in range(times)]

    return asyncio.run(all_of_them())


def test_a_quota_is_used_up_and_comes_back() -> None:
    clock = ManualClock()
    limiter = LocalLimiter(clock)
    assert [(one.allowed, one.remaining) for one in take(limiter, times=4)] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    assert take(limiter, "eve")[0].remaining == 2
    clock.pass_s(59)
    assert not take(limiter)[0].allowed
    clock.pass_s(1)
    assert take(limiter)[0].remaining == 2


def test_the_headers_are_structured_fields() -> None:
    clock = ManualClock()
    taken = take(LocalLimiter(clock))[0]
    assert taken.headers() == [(b"ratelimit-policy", b'"burst";q=3;w=60'), (b"ratelimit", b'"burst";r=2;t=60')]


def test_counters_are_bounded_in_number() -> None:
    limiter = LocalLimiter(ManualClock(), counters_max=10)
    for n in range(100):
        take(limiter, str(n))
    assert len(limiter._counters) == 10


def test_without_redis_requests_are_counted_here_and_redis_is_left_alone_for_a_while() -> None:
    clock = ManualClock()
    limiter = RedisLimiter("redis://127.0.0.1:1/0", clock)
    asked: list[int] = []

    async def gone(**_: object) -> None:
        asked.append(1)
        raise ConnectionRefusedError

    limiter._take = gone
    assert [one.allowed for one in take(limiter, times=4)] == [True, True, True, False]
    assert len(asked) == 1
    clock.pass_s(LIMITER_PAUSE_S)
    take(limiter)
    assert len(asked) == 2


class Counter:
    """Redis's part of the limiter."""

    def __init__(self) -> None:
        self.counted: list[int] = []

    async def __call__(self, *, keys: list[str], args: list[int]) -> list[int]:
        assert keys == ["quota:ledger:ada"]
        self.counted.append(args[1])
        return [sum(self.counted), 60_000]


def test_many_are_counted_in_chunks_and_the_quota_holds() -> None:
    clock, counter = ManualClock(), Counter()
    limiter = RedisLimiter("redis://127.0.0.1:1/0", clock)
    limiter._take = counter
    policy = Policy("ledger", 100, chunk=10)

    async def take_of(*numbers: int) -> list[Taken]:
        return [await limiter.take(policy, "ada", number) for number in numbers]

    first = asyncio.run(take_of(*[1] * 12))
    assert [one.remaining for one in first] == list(range(99, 87, -1))
    assert counter.counted == [10, 10]
    large = asyncio.run(take_of(50, 8))
    assert [one.allowed for one in large] == [True, True] and counter.counted == [10, 10, 50]
    assert not asyncio.run(take_of(31))[0].allowed
    clock.pass_s(60)
    assert asyncio.run(take_of(1))[0].remaining == 0, "a chunk ends with its window"
