"""``tallystick bench as-of``: what a question about the past costs in accounts of few, some and many events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import psycopg
from msgspec import Struct
from psycopg_pool import ConnectionPool

from ledger.as_of import AsOf
from ledger.domain.commands import (
    Command,
    CommitHold,
    DebitCredits,
    GrantCredits,
    HoldCredits,
    OpenAccount,
    ReverseDebit,
)
from ledger.domain.verdicts import Done
from ledger.drivers import Driver, catch_up
from ledger.effective import EffectiveFollower
from ledger.store.reads import PostgresReader
from tallystick.bench.load import CHUNK, ENOUGH_UCR, HOLD_UCR, LEASE_S, AsyncWriter, client, request
from tallystick.bench.schema import scratch
from tallystick.clock import SystemClock

FEW, SOME = 10, 1_000
OPEN_HOLDS = 50
_JOBS_BETWEEN_REVERSALS = 9
_BACK_S_MAX = 300 * 24 * 3600
_HOLDS = "SELECT hold_id, opened_position FROM holds WHERE account_id = %s ORDER BY hold_id LIMIT 1000"
_CHUNKS_AT_ONCE = 4
_WARM = 20


class Cost(Struct, frozen=True, kw_only=True):
    """Median of one kind of question by events of the account; ``ratio`` of many by some, ``few_ratio`` by few.

    An account of few events has less to replay than lies behind a snapshot elsewhere, so that ``few_ratio`` is bounded
    and above 1; beyond the first snapshots nothing grows, and ``ratio`` is near 1.
    """

    few_ms: float
    some_ms: float
    many_ms: float
    ratio: float
    few_ratio: float


class AsOfFigures(Struct, frozen=True, kw_only=True):
    """What each kind of question costs; ``balance``, ``hold`` and ``open_holds`` are as of a position.

    ``recorded`` is a balance as of a time, ``effective`` what was posted by effective time.
    """

    events: int
    build_events_per_s: float
    backdated: int
    balance: Cost
    recorded: Cost
    effective: Cost
    hold: Cost
    open_holds: Cost


class Past(Struct):
    """An account with a history: where it lies in the log and in time, and some of its holds."""

    account_id: UUID
    first: int
    last: int
    began: datetime
    ended: datetime
    holds: list[tuple[UUID, int]]


Question = Callable[[AsOf, Past, Random], object]
Progress = Callable[[str], None]


def measure(owner_url: str, events: int, questions: int, tell: Progress) -> AsOfFigures:
    """Build accounts of ``FEW``, ``SOME`` and ``events`` events, then ask each kind of question about random points."""
    with scratch(owner_url, migrated=True) as url, ConnectionPool[Any](url, min_size=1, max_size=1, open=True) as pool:
        pasts: list[Past] = []
        start = time.perf_counter()
        for number in (FEW, SOME, events):
            tell(f"building {number:,} events")
            start = time.perf_counter()
            pasts.append(build(url, pool, number))
        seconds = time.perf_counter() - start
        tell("following")
        catch_up(Driver(pool), [EffectiveFollower()])
        backdated = settle(url)
        reader, dice = PostgresReader(pool), Random(1)  # noqa: S311  the same questions every time
        costs: dict[str, Cost] = {}
        for name, question in QUESTIONS.items():
            tell(f"asking: {name}")
            costs[name] = _cost(reader, pasts, question, questions, dice)
    return AsOfFigures(events=events, build_events_per_s=round(events / seconds, 1), backdated=backdated, **costs)


def build(url: str, pool: ConnectionPool[Any], events: int) -> Past:
    """An account of as many events, through the writer."""
    reader = PostgresReader(pool)
    account_id, first = uuid4(), reader.head() + 1
    with client(None, url) as writer:
        asyncio.run(_play(writer, islice(commands(account_id, events), events)))
    last = reader.head()
    assert last - first + 1 == events, "one event a command"
    began, ended = (reader.log(after=position - 1, limit=1)[0].recorded_at for position in (first, last))
    with pool.connection() as connection:
        holds = connection.execute(_HOLDS, [account_id]).fetchall()
    return Past(account_id, first, last, began, ended, holds)


async def _play(writer: AsyncWriter, todo: Iterator[Command]) -> None:
    waiting: list[asyncio.Task[Any]] = []
    while chunk := [request(command, uuid4()) for command in islice(todo, CHUNK)]:
        waiting.append(asyncio.create_task(_all_done(writer, chunk)))
        await asyncio.sleep(0)
        if len(waiting) == _CHUNKS_AT_ONCE:
            await waiting.pop(0)
    await asyncio.gather(*waiting)


async def _all_done(writer: AsyncWriter, chunk: Sequence[Any]) -> None:
    for answer in await writer.submit_async(chunk):
        assert isinstance(answer.verdict, Done), answer


def commands(account_id: UUID, events: int) -> Iterator[Command]:
    """One event each: jobs of which some are always open, and now and then a debit with its backdated reversal."""
    yield OpenAccount(account_id=account_id, organisation_id=account_id)
    yield GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=ENOUGH_UCR, kind="paid")
    dice = Random(events)  # noqa: S311  the same account every time
    open_ones: list[UUID] = []
    while True:
        for _ in range(_JOBS_BETWEEN_REVERSALS):
            open_ones.append(uuid4())
            yield HoldCredits(account_id=account_id, hold_id=open_ones[-1], amount_ucr=HOLD_UCR, lease_s=LEASE_S)
            if len(open_ones) > min(OPEN_HOLDS, events // FEW):
                yield CommitHold(account_id=account_id, hold_id=open_ones.pop(0), amount_ucr=HOLD_UCR)
        debit_id = uuid4()
        yield DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=dice.randint(1, HOLD_UCR), reason="fee")
        yield ReverseDebit(
            account_id=account_id,
            reversal_id=uuid4(),
            debit_id=debit_id,
            reason="bench",
            effective_at=SystemClock().now() - timedelta(seconds=dice.random() * _BACK_S_MAX),
        )


def _between(past: Past, dice: Random, *, back_s: float = 0.0) -> datetime:
    began = past.began - timedelta(seconds=back_s)
    return began + dice.random() * (past.ended - began)


def _position(past: Past, dice: Random) -> int:
    return dice.randint(past.first, past.last)


def _hold(reader: AsOf, past: Past, dice: Random) -> object:
    hold_id, opened = dice.choice(past.holds)
    return reader.hold_at(hold_id, position=dice.randint(opened, past.last))


QUESTIONS: Mapping[str, Question] = {
    "balance": lambda reader, past, dice: reader.balance_at(past.account_id, position=_position(past, dice)),
    "recorded": lambda reader, past, dice: reader.balance_at(past.account_id, recorded_at=_between(past, dice)),
    "effective": lambda reader, past, dice: reader.posted_effective(
        past.account_id, _between(past, dice, back_s=_BACK_S_MAX)
    ),
    "hold": _hold,
    "open_holds": lambda reader, past, dice: reader.open_holds_at(
        past.account_id, position=_position(past, dice), limit=2 * OPEN_HOLDS
    ),
}


def _cost(reader: AsOf, pasts: Sequence[Past], question: Question, times: int, dice: Random) -> Cost:
    """Ask the accounts in turn, so that what else goes on in the machine hurts all alike."""
    found_ms: list[list[float]] = [[] for _ in pasts]
    for turn in range(_WARM + times):
        for past, measured in zip(pasts, found_ms, strict=True):
            start = time.perf_counter()
            question(reader, past, dice)
            if turn >= _WARM:
                measured.append((time.perf_counter() - start) * 1_000)
    few_ms, some_ms, many_ms = map(median, found_ms)
    return Cost(
        few_ms=round(few_ms, 3),
        some_ms=round(some_ms, 3),
        many_ms=round(many_ms, 3),
        ratio=round(many_ms / some_ms, 2),
        few_ratio=round(many_ms / few_ms, 2),
    )


def settle(url: str) -> int:
    """Have the planner know the tables; how many events are backdated."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT count(*) FROM events WHERE effective_at <> recorded_at").fetchone()
    assert row is not None
    return row[0]
