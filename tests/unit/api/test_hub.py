"""The hub: who listens to a job hears that it moved, whatever happens in which order."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.crossing import Crossing
from api.errors import Overloaded, TooManyStreams
from api.limits import PROGRESS_KEPT_MAX, STREAMS_PER_ORGANISATION_MAX, TAIL_POLL_S
from api.live.feed import Hear, NoProgress
from api.live.hub import Hub
from ledger.domain.codec import RecordedEvent
from workers.progress import ProgressMessage

ADA, JOB = uuid4(), uuid4()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_S = 60.0


class FakeLog:
    """A log that a test appends to; ``broken`` makes it fail once."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self.broken = False
        self.reads = 0

    def append(self, stream_id: UUID) -> None:
        self.events.append(RecordedEvent(len(self.events) + 1, stream_id, 1, "x.y.v1", b"", NOW, NOW, None, b""))

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        self.reads += 1
        if self.broken:
            self.broken = False
            raise psycopg.OperationalError("gone")
        return self.events[after : after + limit]

    def head(self) -> int:
        return len(self.events)


class HandFeed(NoProgress):
    """Progress that a test says."""

    hear: Hear

    async def run(self, hear: Hear) -> None:
        self.hear = hear


def with_hub(test: Callable[[Hub, FakeLog], Awaitable[Any]]) -> None:
    async def run() -> None:
        log, crossing = FakeLog(), Crossing(threads=2)
        hub = Hub(log, crossing, NoProgress())
        running = asyncio.create_task(hub.run())
        try:
            async with asyncio.timeout(LONG_S):
                await test(hub, log)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            crossing.close()

    asyncio.run(run())


def test_a_listener_first_reads_for_itself_and_then_hears_of_its_job_alone() -> None:
    async def test(hub: Hub, log: FakeLog) -> None:
        log.append(JOB)
        with hub.listen(ADA, JOB) as listener:
            assert listener.take_moved()
            assert await listener.wait(LONG_S)
            listener.take_moved()
            log.append(uuid4())
            assert not await listener.wait(3 * TAIL_POLL_S)
            log.append(JOB)
            assert await listener.wait(LONG_S) and listener.take_moved() and not listener.take_moved()

    with_hub(test)


def test_what_is_appended_between_a_reading_and_the_tails_beginning_is_heard() -> None:
    async def test(hub: Hub, log: FakeLog) -> None:
        with hub.listen(ADA, JOB) as listener:
            assert listener.take_moved()
            log.append(JOB)
            assert await listener.wait(LONG_S) and listener.take_moved()

    with_hub(test)


def test_nobody_listening_means_nothing_is_read() -> None:
    async def test(hub: Hub, log: FakeLog) -> None:
        with hub.listen(ADA, JOB) as listener:
            await listener.wait(LONG_S)
        while hub._wanted.is_set():  # noqa: ASYNC110 - nobody tells when the tail has seen that nobody listens
            await asyncio.sleep(TAIL_POLL_S)
        reads = log.reads
        await asyncio.sleep(3 * TAIL_POLL_S)
        assert log.reads == reads
        with hub.listen(ADA, JOB) as listener:
            await asyncio.sleep(2 * TAIL_POLL_S)
            listener.take_moved()
            log.append(JOB)
            while not listener.take_moved():
                assert await listener.wait(LONG_S)

    with_hub(test)


def test_a_database_that_is_away_is_waited_for() -> None:
    async def test(hub: Hub, log: FakeLog) -> None:
        log.broken = True
        with hub.listen(ADA, JOB) as listener:
            await listener.wait(LONG_S)
            listener.take_moved()
            log.append(JOB)
            while not listener.take_moved():
                assert await listener.wait(LONG_S)

    with_hub(test)


def test_a_fault_of_the_tail_is_not_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.hub._RETRY_S", 0.05)

    async def test(hub: Hub, log: FakeLog) -> None:
        real = log.log
        log.log = lambda **_: 1 / 0  # type: ignore[assignment,method-assign,return-value]
        with hub.listen(ADA, JOB) as listener:
            await listener.wait(LONG_S)
            await asyncio.sleep(0.2)
            log.log = real  # type: ignore[method-assign]
            listener.take_moved()
            log.append(JOB)
            while not listener.take_moved():
                assert await listener.wait(LONG_S)

    with_hub(test)


def test_a_wake_up_from_another_thread_saves_the_wait() -> None:
    async def test(hub: Hub, log: FakeLog) -> None:
        with hub.listen(ADA, JOB) as listener:
            await listener.wait(LONG_S)
            for _ in range(5):
                listener.take_moved()
                log.append(JOB)
                threading.Thread(target=hub.wake).start()
                while not listener.take_moved():
                    assert await listener.wait(LONG_S)

    with_hub(test)


@pytest.mark.parametrize("turns", range(6))
def test_who_is_cancelled_while_being_told_ends_all_the_same(turns: int) -> None:
    """Otherwise a stream, or the process, would wait for ever for a part that goes on."""

    async def ends(work: Coroutine[Any, Any, Any], tell: Callable[[], None]) -> bool:
        task = asyncio.create_task(work)
        await asyncio.sleep(3 * TAIL_POLL_S / 10)
        tell()
        for _ in range(turns):
            await asyncio.sleep(0)
        over = task.done()
        task.cancel()
        await asyncio.wait([task], timeout=1)
        return over or (task.done() and task.cancelled())

    async def test() -> None:
        hub = Hub(FakeLog(), Crossing(threads=1), NoProgress())
        with hub.listen(ADA, JOB) as listener:
            listener.take_moved()
            assert await ends(listener.wait(LONG_S), listener.tell_moved)
            assert await ends(hub.run(), hub._woken.set)

    asyncio.run(test())


def test_a_wake_up_after_the_end_is_nobodys() -> None:
    hub = Hub(FakeLog(), Crossing(threads=1), NoProgress())

    async def test() -> None:
        running = asyncio.create_task(hub.run())
        await asyncio.sleep(0)
        running.cancel()

    asyncio.run(test())
    assert hub._loop is not None and hub._loop.is_closed()
    hub.wake()


def test_closing_wakes_everybody() -> None:
    async def test(hub: Hub, _log: FakeLog) -> None:
        with hub.listen(ADA, JOB) as listener:
            await listener.wait(LONG_S)
            listener.take_moved()
            hub.close()
            assert hub.closing and await listener.wait(LONG_S)

    with_hub(test)


def test_progress_waits_in_a_short_queue_and_the_oldest_is_lost() -> None:
    async def test() -> None:
        feed = HandFeed()
        hub = Hub(FakeLog(), Crossing(threads=1), feed)
        running = asyncio.create_task(hub.run())
        await asyncio.sleep(0.02)
        with hub.listen(ADA, JOB) as listener:
            for n in range(PROGRESS_KEPT_MAX + 3):
                feed.hear(JOB, ProgressMessage(kind="progress", fraction=n / 100))
            feed.hear(uuid4(), ProgressMessage(kind="progress", fraction=1.0))
            said = listener.take_progress()
            assert [message.fraction for message in said] == [n / 100 for n in range(3, PROGRESS_KEPT_MAX + 3)]
            assert listener.take_progress() == []
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(test())


def test_an_organisation_has_so_many_streams_and_no_more() -> None:
    hub = Hub(FakeLog(), Crossing(threads=1), NoProgress())

    async def test() -> None:
        opened = [hub.listen(ADA, JOB) for _ in range(STREAMS_PER_ORGANISATION_MAX)]
        for one in opened:
            one.__enter__()
        with pytest.raises(TooManyStreams), hub.listen(ADA, uuid4()):
            raise AssertionError
        with hub.listen(uuid4(), JOB):
            opened.pop().__exit__(None, None, None)
        with hub.listen(ADA, JOB):
            assert len(hub._listeners[JOB]) == STREAMS_PER_ORGANISATION_MAX
        for one in opened:
            one.__exit__(None, None, None)
        assert not hub._listeners and not hub._open

    asyncio.run(test())


def test_calls_beyond_the_queue_are_refused_at_once_and_a_caller_that_leaves_leaves_the_call_running() -> None:
    async def test() -> None:
        crossing, release, done = Crossing(threads=1, waiting_max=1), threading.Event(), threading.Event()

        def work() -> None:
            release.wait(LONG_S)
            done.set()

        first, second = asyncio.create_task(crossing.call(work)), asyncio.create_task(crossing.call(release.wait))
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await crossing.call(work)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        with pytest.raises(Overloaded):  # it still takes its thread
            await crossing.call(work)
        release.set()
        await second
        assert done.wait(LONG_S)
        assert await crossing.call(lambda: 7) == 7
        crossing.close()

    asyncio.run(test())
