"""A page's stream: what it shows goes on being followed, or the stream ends and the page comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from api.crossing import Crossing
from api.errors import Overloaded
from api.limits import STREAMS_PER_ORGANISATION_MAX
from api.live.feed import NoProgress
from api.live.hub import Hub
from api.live.stream import Gone
from api.pages import live
from api.pages.limits import FOLLOWED_MAX
from api.pages.live import Follow, PageStream
from workers.errors import JobUnknown

ADA, JOB = uuid4(), uuid4()
LONG_S = 60.0


class FakeLoader:
    """Says what state the job is in, or what hinders it."""

    state = "running"
    broken: Exception | None = None

    def job(self, _member: Any, _job_id: UUID) -> Any:
        if self.broken is not None:
            raise self.broken
        return SimpleNamespace(state=self.state, ended=self.state == "succeeded")


class Reader:
    """Reads a page's stream of one job, or more, until it leaves."""

    def __init__(self, *more: UUID) -> None:
        self.loader = FakeLoader()
        self.hub = Hub(cast("Any", None), Crossing(threads=1), NoProgress())
        self.said = ""
        self.slow = False
        self._left = asyncio.Event()
        crossing = Crossing(threads=1)
        ledger = SimpleNamespace(stream=lambda *_, **__: [])  # pyright: ignore[reportUnknownLambdaType]
        services: Any = SimpleNamespace(hub=self.hub, crossing=crossing, ledger=ledger)
        member: Any = SimpleNamespace(organisation_id=ADA, account_id=uuid4(), session=SimpleNamespace(token="t"))
        loader: Any = self.loader
        follow = Follow(version=0, parts=frozenset({"jobs"}), jobs=(JOB, *more), topups=())
        stream = PageStream(services, loader, member, follow, self._guard)
        self.serving = asyncio.create_task(stream({}, self._receive, self._send))

    async def hears(self, state: str) -> None:
        """Wait until the page shows a state."""
        while state not in self.said:
            assert not self.serving.done()
            await asyncio.sleep(0.01)

    def tell(self) -> None:
        for listener in self.hub._listeners.get(JOB, ()):
            listener.tell_moved()

    async def leave(self) -> None:
        self._left.set()
        await self.serving

    async def _guard(self) -> bool:
        return True

    async def _receive(self) -> dict[str, str]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        body = message.get("body", b"").decode()
        if self.slow and "succeeded" in body:
            raise TimeoutError
        self.said += body


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards are words, and what is looked at now and then is looked at often."""

    def words(_template: str, parts: dict[str, Any]) -> str:
        return " ".join(card.state for card in parts.get("jobs", []))

    monkeypatch.setattr(live, "render", words)
    monkeypatch.setattr(live, "_said", lambda *_, **__: {})  # pyright: ignore[reportUnknownLambdaType]
    monkeypatch.setattr(live, "PING_S", 0.05)


def read(test: Callable[[Reader], Coroutine[Any, Any, None]], *more: UUID) -> None:
    async def run() -> None:
        async with asyncio.timeout(LONG_S):
            await test(Reader(*more))

    asyncio.run(run())


@pytest.mark.parametrize("error", [Overloaded("many wait"), psycopg.OperationalError("away"), Gone()], ids=repr)
def test_a_job_that_could_not_be_read_ends_the_stream_so_that_its_page_comes_back(error: Exception) -> None:
    async def test(reader: Reader) -> None:
        await reader.hears("running")
        reader.loader.broken = error
        reader.tell()
        await reader.serving

    read(test)


def test_a_page_that_reads_too_slowly_is_not_left_with_half_a_stream() -> None:
    async def test(reader: Reader) -> None:
        await reader.hears("running")
        reader.slow = True
        reader.loader.state = "succeeded"
        reader.tell()
        await reader.serving

    read(test)


@pytest.mark.parametrize("error", [JobUnknown(), ZeroDivisionError()], ids=repr)
def test_a_job_that_is_not_to_be_read_ends_no_stream(error: Exception) -> None:
    async def test(reader: Reader) -> None:
        await reader.hears("running")
        reader.loader.broken = error
        reader.tell()
        while reader.hub._listeners.get(JOB):  # noqa: ASYNC110 - nobody tells when it is followed no more
            await asyncio.sleep(0.01)
        reader.said = ""
        await reader.hears(live.PING.decode())
        await reader.leave()

    read(test)


def test_a_page_follows_so_many_jobs_and_no_more() -> None:
    async def test(reader: Reader) -> None:
        await reader.hears("running")
        assert len(reader.hub._listeners) == 1 + FOLLOWED_MAX
        await reader.leave()

    read(test, *(uuid4() for _ in range(FOLLOWED_MAX)))


def test_a_job_beyond_the_streams_of_an_organisation_is_looked_at_now_and_then() -> None:
    async def test(reader: Reader) -> None:
        others = [reader.hub.listen(ADA, uuid4()) for _ in range(STREAMS_PER_ORGANISATION_MAX - 1)]
        for other in others:
            other.__enter__()
        await reader.hears("running")
        assert JOB not in reader.hub._listeners
        reader.loader.state = "succeeded"
        await reader.hears("succeeded")
        await reader.leave()

    read(test)
