"""Live streams: resume, end, progress, revocation, stopping."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Generator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from api import limits
from api.live import stream as live_stream
from customers.limits import REVOKED_WITHIN_S
from ledger.ids import parse
from tallystick.settings import Settings
from tests.support.api import Customer, Event, Site, read_events, serving
from workers.progress import ProgressMessage

SOON_S = 60.0


@contextlib.contextmanager
def following(ada: Customer, job: str, *, last: int | None = None) -> Generator[tuple[httpx.Response, Iterator[Any]]]:
    """A stream and its events."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with ada.http.stream("GET", f"/api/v1/jobs/{job}/events", headers=headers) as answer:
        yield answer, read_events(answer.iter_lines())


def events_of(events: Iterator[Any]) -> list[Event]:
    """What is left of a stream, without comments."""
    return [event for event in events if isinstance(event, Event)]


def first_event(events: Iterator[Any]) -> Event:
    """The next event, without comments."""
    return next(event for event in events if isinstance(event, Event))


def job_id(job: str) -> UUID:
    """Its UUID."""
    return parse("job", job)


def test_a_stream_begins_with_what_was_and_ends_with_the_jobs_end(site: Site) -> None:
    ada = site.customer()
    job = ada.order()
    with following(ada, job) as (answer, events):
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert next(events) == f"retry: {limits.STREAM_RETRY_MS}"
        accepted = first_event(events)
        assert (accepted.name, accepted.data["state"], accepted.data["job_id"]) == ("state", "accepted", job)
        ada.post(f"/jobs/{job}/cancel")
        (done,) = events_of(events)
    assert (done.name, done.data["state"], done.data["charged"]) == ("done", "cancelled", "0")
    assert accepted.id is not None and done.id is not None and done.id > accepted.id
    assert done.id == ada.get(f"/jobs/{job}").json()["log_position"]


def test_a_stream_goes_on_where_it_was_and_nobody_comes_back_after_the_end(site: Site) -> None:
    ada = site.customer()
    job = ada.order()
    ada.post(f"/jobs/{job}/cancel")
    with following(ada, job) as (_, events):
        accepted, done = events_of(events)
    with following(ada, job, last=accepted.id) as (_, events):
        assert events_of(events) == [done]
    with following(ada, job, last=done.id) as (answer, events):
        assert (answer.status_code, list(events)) == (204, [])
    with following(ada, job, last=0) as (_, events):
        assert events_of(events) == [accepted, done]


def test_many_clients_hear_of_the_same_end(site: Site) -> None:
    ada = site.customer()
    job = ada.order()
    ended: list[str] = []
    begun = threading.Barrier(11)

    def follow() -> None:
        with following(ada, job) as (_, events):
            first_event(events)
            begun.wait(SOON_S)
            ended.extend(event.data["state"] for event in events_of(events))

    threads = [threading.Thread(target=follow) for _ in range(10)]
    for thread in threads:
        thread.start()
    begun.wait(SOON_S)
    ada.post(f"/jobs/{job}/cancel")
    for thread in threads:
        thread.join(SOON_S)
    assert ended == ["cancelled"] * 10


def test_progress_comes_through_redis_and_has_no_id(site: Site) -> None:
    ada = site.customer()
    job = ada.order()
    with following(ada, job) as (_, events):
        first_event(events)
        saying = threading.Event()

        def say() -> None:
            while not saying.wait(0.05):
                site.runtime.progress.publish(job_id(job), ProgressMessage(kind="progress", fraction=0.25))

        thread = threading.Thread(target=say, daemon=True)
        thread.start()
        try:
            heard = first_event(events)
        finally:
            saying.set()
        thread.join()
        assert (heard.name, heard.id, heard.data) == ("progress", None, {"fraction": 0.25})
        ada.post(f"/jobs/{job}/cancel")
        assert events_of(events)[-1].name == "done"


def test_a_silent_stream_pings(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "PING_S", 0.2)
    ada = site.customer()
    with following(ada, ada.order()) as (_, events):
        first_event(events)
        assert [next(events) for _ in range(3)] == [":"] * 3


def outlives_its_key_s(site: Site) -> float:
    """How long a stream lasts after the revocation of its key."""
    ada = site.customer()
    job = ada.order()
    with following(ada, job) as (_, events):
        first_event(events)
        time.sleep(1.2)
        # In another process: nothing here is told.
        site.runtime.keys._store.revoke_key(ada.organisation_id, ada.key_id)
        start = time.monotonic()
        assert events_of(events) == []
        return time.monotonic() - start


def test_a_stream_ends_within_two_seconds_of_its_keys_revocation(site: Site) -> None:
    # Where the machine stands still for a moment one of them lasts longer; if all do, it is ours.
    assert any(outlives_its_key_s(site) < REVOKED_WITHIN_S + 0.5 for _ in range(5))


def test_a_client_that_does_not_read_is_closed_and_harms_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_stream, "STREAM_SEND_S", 0.5)
    ada = site.customer()
    slow_job, job = ada.order(), ada.order(seed=9)
    address = urlsplit(site.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        key = f"Authorization: Bearer {ada.secret}"
        slow.sendall(f"GET /api/v1/jobs/{slow_job}/events HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n".encode())
        preview = ProgressMessage(kind="preview", fraction=0.1, mime="image/png", base64="A" * 400_000)
        start = time.monotonic()
        while site.services.hub._open[ada.organisation_id] != 0 or time.monotonic() - start < 2:
            assert time.monotonic() - start < SOON_S, "the slow client was not closed"
            site.runtime.progress.publish(job_id(slow_job), preview)
            time.sleep(0.05)
    with following(ada, job) as (_, events):
        ada.post(f"/jobs/{job}/cancel")
        assert events_of(events)[-1].name == "done"


def test_a_client_that_goes_away_is_forgotten(site: Site) -> None:
    ada = site.customer()
    with following(ada, ada.order()) as (_, events):
        first_event(events)
        assert site.services.hub._open[ada.organisation_id] == 1
    ends = time.monotonic() + SOON_S
    while site.services.hub._open[ada.organisation_id]:
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_one_stream_too_many_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.live.hub.STREAMS_PER_ORGANISATION_MAX", 1)
    ada = site.customer()
    job = ada.order()
    with following(ada, job) as (_, events):
        first_event(events)
        refused = ada.get(f"/jobs/{job}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")


def test_stopping_with_open_streams_and_waits_says_goodbye_and_ends(settings: Settings) -> None:
    with serving(settings) as site:
        ada = site.customer()
        job = ada.order()
        waited: list[int] = []

        def wait() -> None:
            body = {"prompt": "a lighthouse", "seed": 3}
            waited.append(ada.post("/generate", body, key="w", Prefer="wait=60").status_code)

        waiting = threading.Thread(target=wait)
        with following(ada, job) as (_, events):
            first_event(events)
            waiting.start()
            held = time.monotonic() + SOON_S
            while ada.get("/balance").json()["open_holds"] < 2:
                assert time.monotonic() < held
                time.sleep(0.05)
            took: list[float] = []
            stopping = threading.Thread(target=lambda: took.append(site.stop()))
            stopping.start()
            rest = list(events)
            assert rest[-1] == f"retry: {limits.STREAM_RETRY_MS}"
            stopping.join(SOON_S)
        waiting.join(SOON_S)
        assert took, "it stopped"
        assert waited == [202]
