"""Keeps one page current over one stream: its account, the jobs and the top-ups that it shows.

Everything sent is fragments of the page, rendered anew from what is true now, so that whoever comes back after a pause
is right again with the next one. The account's events name new jobs, wherever they were ordered; those are followed
too. Ends when the session does, when the reader goes away or is too slow, when a part of it cannot be read, and when
the server stops: the page then looks for itself and comes back, which it would not while a stream is open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import psycopg
from msgspec import Struct
from msgspec.structs import replace

from api.errors import Overloaded, TooManyStreams
from api.limits import PING_S, STREAM_CHECK_S, STREAM_SEND_S
from api.live.hub import Listener
from api.live.stream import PING, RETRY, Gone
from api.pages.call import Member
from api.pages.limits import EVENTS_READ_MAX, FOLLOWED_MAX, PAUSE_S, STATEMENT_TURN_S, STATEMENT_TURNS
from api.pages.loading import Loader
from api.pages.rendering import render
from api.pages.show import preview_url
from api.pages.show_topups import TopUpCard
from api.services import Services
from ledger.domain.codec import account_event
from ledger.domain.events import CreditsHeld
from ledger.ids import render as name_of
from payments.errors import PaymentsError
from workers.errors import WorkersError
from workers.progress import ProgressMessage

_log = logging.getLogger(__name__)
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
Guard = Callable[[], Awaitable[bool]]


class Follow(Struct, frozen=True, kw_only=True):
    """What a page shows: the account as of ``version``, parts by name, and what of it may still change."""

    version: int
    parts: frozenset[str]
    jobs: tuple[UUID, ...]
    topups: tuple[UUID, ...]


class Moves(Struct, frozen=True, kw_only=True):
    """What happened to an account since a version: where it is now, and jobs that were ordered."""

    version: int
    position: int
    jobs: tuple[UUID, ...]


class PageStream:
    """An ASGI application that answers with the stream."""

    def __init__(self, services: Services, loader: Loader, member: Member, follow: Follow, guard: Guard) -> None:
        self._services = services
        self._loader = loader
        self._member = member
        self._follow = follow
        self._guard = guard
        self._version = follow.version
        self._tasks: set[asyncio.Task[None]] = set()
        self._followed: set[UUID] = set()
        self._turn = asyncio.Lock()
        self._send_raw: Any = None
        self._over = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve until one of the ends."""
        del scope
        self._send_raw = send
        hub, member = self._services.hub, self._member
        with hub.listen(member.organisation_id, member.account_id) as account:
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            ends = [
                self._start(self._follow_account(account)),
                self._start(self._watch()),
                self._start(_disconnected(receive)),
                self._start(self._until_over()),
            ]
            for job_id in self._follow.jobs:
                self._begin(job_id, self._follow_job)
            for topup_id in self._follow.topups:
                self._begin(topup_id, self._follow_topup)
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await self._end()

    # --- what is followed

    async def _follow_account(self, heard: Listener) -> None:
        await self._write(RETRY)
        while not self._services.hub.closing:
            if heard.take_moved():
                await self._show_account()
                await asyncio.sleep(PAUSE_S)
            elif not await heard.wait(PING_S):
                heard.tell_moved()
                await self._write(PING)
        await self._write(RETRY)

    async def _show_account(self) -> None:
        moves = await self._cross(self._moves)
        if moves is None:
            return
        self._version = moves.version
        parts, shown = self._follow.parts, {"balance": await self._cross(self._loader.balance, self._member)}
        if "jobs" in parts and self._member.may("jobs:read"):
            shown["new_jobs"] = await self._cross(self._cards, moves.jobs)
        if "pending" in parts:
            shown["pending"] = await self._cross(self._loader.pending, self._member)
        await self._show(**shown)
        await self._write(event("account", "1"))
        for job_id in moves.jobs:
            if "jobs" in parts:
                self._begin(job_id, self._follow_job)
        if "statement" in parts:
            await self._show_statement(moves.position)

    async def _show_statement(self, position: int) -> None:
        """Wait a moment until the statement has reached an event, then show it, however far it is."""
        for _ in range(STATEMENT_TURNS):
            if await self._cross(self._loader.folded, self._member) >= position:
                break
            await asyncio.sleep(STATEMENT_TURN_S)
        await self._show(statement=await self._cross(self._loader.statement, self._member))

    async def _follow_job(self, job_id: UUID, heard: Listener) -> None:
        last = ""
        while not self._services.hub.closing:
            if heard.take_moved():
                card = await self._cross(self._loader.job, self._member, job_id)
                html = self._html(jobs=[card], **_said(card.state, ended=card.ended))
                if html != last:
                    await self._write(event("show", html))
                    last = html
                if card.ended:
                    return
            for message in heard.take_progress():
                await self._show_progress(job_id, message)
            if not await heard.wait(PING_S):
                heard.tell_moved()

    async def _follow_topup(self, topup_id: UUID, heard: Listener) -> None:
        """To the end of the stream: money may come late, and more than once."""
        last: TopUpCard | None = None
        while not self._services.hub.closing:
            if heard.take_moved():
                card: TopUpCard = await self._cross(self._loader.topup, self._member, topup_id)
                shown = replace(card, left="")  # what is left of the price's time is no news
                if shown != last and "pending" in self._follow.parts:
                    await self._show(pending=await self._cross(self._loader.pending, self._member))
                elif shown != last:
                    await self._show(topups=[card], **_said(card.state, ended=not card.pending))
                last = shown
            if not await heard.wait(PING_S):
                heard.tell_moved()

    async def _show_progress(self, job_id: UUID, message: ProgressMessage) -> None:
        if message.kind == "cancelling":
            await self._show(jobs=[await self._cross(self._loader.job, self._member, job_id)])
            return
        shown = {
            "job_id": name_of("job", job_id),
            "percent": round(message.fraction * 100),
            "preview": preview_url(message.mime, message.base64) if message.kind == "preview" else "",
        }
        await self._write(event("show", render("_progress.html", shown)))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(STREAM_CHECK_S)
            if not await self._guard():
                await self._write(event("bye", "1"))
                return

    # --- blocking calls

    def _moves(self) -> Moves | None:
        """What the account's stream has beyond the version that the page shows; None for nothing."""
        ledger, account_id = self._services.ledger, self._member.account_id
        events = ledger.stream(account_id, after_version=self._version, limit=EVENTS_READ_MAX)
        if not events:
            return None
        held = [found for found in (account_event(item.state) for item in events) if isinstance(found, CreditsHeld)]
        jobs = [found.reference for found in held if found.reference is not None]
        return Moves(version=events[-1].version, position=events[-1].position, jobs=tuple(jobs[-FOLLOWED_MAX:]))

    def _cards(self, job_ids: tuple[UUID, ...]) -> list[Any]:
        return [self._loader.job(self._member, job_id) for job_id in job_ids if job_id not in self._followed]

    # --- tasks

    def _begin(self, stream_id: UUID, follow: Callable[[UUID, Listener], Coroutine[Any, Any, None]]) -> None:
        """Follow one stream more, unless it is followed already, or too many are."""
        if stream_id not in self._followed and len(self._followed) < FOLLOWED_MAX:
            self._followed.add(stream_id)
            self._start(self._listening(stream_id, follow))

    async def _listening(self, stream_id: UUID, follow: Callable[[UUID, Listener], Coroutine[Any, Any, None]]) -> None:
        try:
            with contextlib.ExitStack() as listening:
                await follow(stream_id, self._ear(stream_id, listening))
        except (WorkersError, PaymentsError) as error:
            _log.debug("%s is not followed: %s", stream_id, error)
        finally:
            self._followed.discard(stream_id)

    def _ear(self, stream_id: UUID, listening: contextlib.ExitStack) -> Listener:
        """Where no more may listen, one that nobody tells anything: what it is for is looked at every ``PING_S``."""
        try:
            return listening.enter_context(self._services.hub.listen(self._member.organisation_id, stream_id))
        except TooManyStreams:
            return Listener()

    async def _until_over(self) -> None:
        await self._over.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Gone | Overloaded | psycopg.Error):
            _log.debug("a page's stream ends: %s: %s", type(error).__name__, error)
            self._over.set()
        elif error is not None:
            _log.warning("a page's stream lost a part", exc_info=error)

    async def _end(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(Gone):
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    # --- what is sent

    async def _cross(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self._services.crossing.call(function, *args)

    async def _show(self, **parts: Any) -> None:
        await self._write(event("show", self._html(**parts)))

    def _html(self, **parts: Any) -> str:
        return render("fragments.html", {"oob": True, "token": self._member.session.token, **parts})

    async def _write(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            async with self._turn, asyncio.timeout(STREAM_SEND_S):
                await self._send_raw(message)
        except (TimeoutError, OSError) as error:
            raise Gone from error


def event(name: str, data: str) -> bytes:
    """One Server-Sent Event."""
    lines = [f"data: {line}" for line in data.splitlines() if line.strip()]
    return "\n".join((f"event: {name}", *lines, "\n")).encode()


def _said(state: str, *, ended: bool) -> dict[str, str]:
    """What the tab and a screen reader say."""
    return {"title": state, "say": state} if ended else {"title": state}


async def _disconnected(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
