"""Tells waiting clients that something happened to their job: recorded in the log, or heard from its node.

One task reads the log's tail for all of them, one reads progress from Redis. A client is told that its job moved and
reads the changes itself, so what waits for it is bounded: a flag, and a short queue of progress that may be lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Generator
from typing import Protocol
from uuid import UUID

import psycopg

from api.crossing import Crossing
from api.errors import Overloaded, TooManyStreams
from api.limits import PROGRESS_KEPT_MAX, STREAMS_MAX, STREAMS_PER_ORGANISATION_MAX, TAIL_BATCH_MAX, TAIL_POLL_S
from api.live.feed import ProgressFeed
from ledger.domain.codec import RecordedEvent
from workers.progress import ProgressMessage

_log = logging.getLogger(__name__)
_RETRY_S = 1.0


class Log(Protocol):
    """The part of ``ledger.ports.LedgerReader`` that a tail needs."""

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        """Events in order."""
        ...

    def head(self) -> int:
        """Position of the last event."""
        ...


class Listener:
    """One client's interest in one job."""

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._moved = True
        self._progress: deque[ProgressMessage] = deque(maxlen=PROGRESS_KEPT_MAX)

    def tell_moved(self) -> None:
        """The job's stream has a new event, or may have one."""
        self._moved = True
        self._told.set()

    def tell_progress(self, message: ProgressMessage) -> None:
        """The job's node said something."""
        self._progress.append(message)
        self._told.set()

    def take_moved(self) -> bool:
        """Whether to read the job again; asked once for each time it was told."""
        moved, self._moved = self._moved, False
        return moved

    def take_progress(self) -> list[ProgressMessage]:
        """What was said since the last time."""
        said = list(self._progress)
        self._progress.clear()
        return said

    async def wait(self, seconds: float) -> bool:
        """Wait until told something; False when it took too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._told.wait()
        except TimeoutError:
            return False
        self._told.clear()
        return True


class Hub:
    """All listeners of this process. ``run`` is its one task; ``close`` lets every stream end."""

    def __init__(self, log: Log, crossing: Crossing, feed: ProgressFeed) -> None:
        self._log = log
        self._crossing = crossing
        self._feed = feed
        self._listeners: dict[UUID, set[Listener]] = {}
        self._open = Counter[UUID]()
        self._wanted = asyncio.Event()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closing = False

    @contextlib.contextmanager
    def listen(self, organisation_id: UUID, job_id: UUID) -> Generator[Listener]:
        """Hear of a job for as long as the block runs.

        :raises TooManyStreams: more are open than may.
        """
        if self._open.total() >= STREAMS_MAX or self._open[organisation_id] >= STREAMS_PER_ORGANISATION_MAX:
            raise TooManyStreams(f"at most {STREAMS_PER_ORGANISATION_MAX} requests of an organisation may wait at once")
        listener = Listener()
        self._open[organisation_id] += 1
        self._listeners.setdefault(job_id, set()).add(listener)
        self._feed.want(self._listeners.keys())
        self._wanted.set()
        try:
            yield listener
        finally:
            self._open -= Counter([organisation_id])
            self._listeners[job_id].discard(listener)
            if not self._listeners[job_id]:
                del self._listeners[job_id]
                self._feed.want(self._listeners.keys())

    async def run(self) -> None:
        """Feed all listeners, for ever."""
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(_for_ever("tail", self._tail), _for_ever("progress", lambda: self._feed.run(self._hear)))

    def wake(self) -> None:
        """Something was appended; may be called from any thread, and need not be."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._woken.set)

    def close(self) -> None:
        """Every stream says goodbye and ends."""
        self.closing = True
        self._tell_all()

    async def _tail(self) -> None:
        position: int | None = None
        while True:
            if not self._listeners:
                position = None
                self._wanted.clear()
                await self._wanted.wait()
            try:
                position = await self._advance(position)
            except (psycopg.Error, Overloaded) as error:
                _log.warning("the tail of the log waits: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TAIL_POLL_S):
                    await self._woken.wait()
            self._woken.clear()

    async def _advance(self, position: int | None) -> int:
        """Read on. Where the tail begins, whoever read before it must read again: something may lie between."""
        if position is None:
            position = await self._crossing.call(self._log.head)
            self._tell_all()
        while events := await self._crossing.call(self._log.log, after=position, limit=TAIL_BATCH_MAX):
            for event in events:
                for listener in self._listeners.get(event.stream_id, ()):
                    listener.tell_moved()
            position = events[-1].position
        return position

    def _hear(self, job_id: UUID, message: ProgressMessage) -> None:
        for listener in self._listeners.get(job_id, ()):
            listener.tell_progress(message)

    def _tell_all(self) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.tell_moved()


async def _for_ever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do something that goes on for ever, and begin again where it did not."""
    while True:
        try:
            return await work()
        except Exception:  # noqa: BLE001  logged with its cause: without this every stream of the process would fall silent
            _log.exception("the %s of live streams failed, and begins again", name)
            await asyncio.sleep(_RETRY_S)
