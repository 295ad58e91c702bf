"""A job's life as Server-Sent Events: state changes with their place in the log, progress without one.

Ends after the job's end, when the key that opened it is revoked, when the client stops reading, and when the server
stops; then with ``retry``, so that the client comes back elsewhere and goes on where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from uuid import UUID

import msgspec

from api.crossing import Crossing
from api.limits import PING_S, STREAM_CHECK_S, STREAM_RETRY_MS, STREAM_SEND_S
from api.live.hub import Hub, Listener
from api.views.jobs import change_out
from workers.errors import JobUnknown
from workers.progress import ProgressMessage
from workers.service import Jobs
from workers.views import ENDED, JobChange

_log = logging.getLogger(__name__)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
PING = b":\n\n"
RETRY = b"retry: %d\n\n" % STREAM_RETRY_MS
Guard = Callable[[], Awaitable[bool]]


class Gone(Exception):
    """The client went away, or is too slow."""


class Source(Protocol):
    """What streams are fed from; ``api.services.Services`` has it."""

    @property
    def hub(self) -> Hub:
        """Who says that something moved."""
        ...

    @property
    def crossing(self) -> Crossing:
        """The way to what blocks."""
        ...

    @property
    def jobs(self) -> Jobs:
        """Where changes are read."""
        ...


class JobStream:
    """An ASGI application that answers with the stream. ``guard`` says whether its reader may go on."""

    def __init__(self, source: Source, organisation_id: UUID, job_id: UUID, *, after: int, guard: Guard) -> None:
        self._source = source
        self._organisation_id = organisation_id
        self._job_id = job_id
        self._after = after
        self._guard = guard

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve until one of the ends."""
        del scope
        with self._source.hub.listen(self._organisation_id, self._job_id) as listener:
            await _send(send, {"type": "http.response.start", "status": 200, "headers": _HEADERS})
            tasks = [
                asyncio.create_task(self._write(listener, send)),
                asyncio.create_task(self._watch()),
                asyncio.create_task(_disconnected(receive)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(tasks)
        await _finish(send)

    async def _write(self, listener: Listener, send: Any) -> None:
        await _body(send, RETRY)
        while not self._source.hub.closing:
            if listener.take_moved() and await self._write_changes(send):
                return
            for message in listener.take_progress():
                await _body(send, progress_event(message))
            if not await listener.wait(PING_S):
                listener.tell_moved()
                await _body(send, PING)
        await _body(send, RETRY)

    async def _write_changes(self, send: Any) -> bool:
        """Send what is new; whether that was the end."""
        jobs = self._source.jobs
        changes = await self._source.crossing.call(jobs.job_changes, self._organisation_id, self._job_id, self._after)
        for change in changes.changes:
            await _body(send, change_event(self._job_id, change))
            self._after = change.position
        return changes.ended

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(STREAM_CHECK_S)
            if not await self._guard():
                return


async def nothing_more(_scope: Any, _receive: Any, send: Any) -> None:
    """An ASGI application that answers 204: who gets it does not come back."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def change_event(job_id: UUID, change: JobChange) -> bytes:
    """A state change; the last one is called ``done``."""
    name = b"done" if change.state in ENDED else b"state"
    data = msgspec.json.encode(change_out(job_id, change))
    return b"event: %s\nid: %d\ndata: %s\n\n" % (name, change.position, data)


def progress_event(message: ProgressMessage) -> bytes:
    """What a node said; it has no id, and nobody hears it twice."""
    fields = {"fraction": round(message.fraction, 4), "mime": message.mime, "base64": message.base64}
    shown = {name: value for name, value in fields.items() if value is not None}
    return b"event: %s\ndata: %s\n\n" % (message.kind.encode(), msgspec.json.encode(shown))


async def _body(send: Any, content: bytes) -> None:
    await _send(send, {"type": "http.response.body", "body": content, "more_body": True})


async def _send(send: Any, message: dict[str, Any]) -> None:
    try:
        async with asyncio.timeout(STREAM_SEND_S):
            await send(message)
    except (TimeoutError, OSError) as error:
        raise Gone from error


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, Gone | JobUnknown):
            _log.warning("a live stream ended early: %s: %s", type(outcome).__name__, outcome)


async def _finish(send: Any) -> None:
    try:
        await _send(send, {"type": "http.response.body", "body": b"", "more_body": False})
    except Gone:
        return
