"""One request is followed from the API to the commit of what it ordered, through every part on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from api.app import create_app
from api.ratelimit import LocalLimiter
from customers.domain.scopes import CUSTOMER_SCOPES
from ledger.domain.codec import RecordedEvent
from ledger.drivers import Driver
from ledger.ids import parse
from ledger.verify import verify
from tallystick.clock import SystemIds
from tallystick.run_worker import make_worker
from tallystick.settings import Settings
from tallystick.telemetry.gauges import add_database_gauges, forget_traces
from tallystick.telemetry.http import SeenApplication
from tallystick.wiring import Background, Runtime, build, make_services
from tests.support.api import UNBOUNDED
from tests.support.ledger import CREDIT, grant
from tests.support.nodes import StandIn
from tests.support.servers import Database
from tests.support.telemetry import SeenTelemetry, is_child, linked, span_id, trace_id
from workers import process
from workers.generation.events import JobSucceeded, job_event
from workers.nodes.faults import Fault

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SPAN = int(CALLER[3:35], 16), int(CALLER[36:52], 16)
PROMPT = "a fox that nobody must read about in a log"
LIMIT_S = 30.0


class Story:
    """The program in one process, seen, and one customer of it."""

    def __init__(self, settings: Settings, telemetry: SeenTelemetry) -> None:
        self.telemetry = telemetry
        self.runtime: Runtime = build(settings, telemetry)
        self.services = replace(make_services(self.runtime), limiter=LocalLimiter(self.runtime.clock, UNBOUNDED))
        self.app = SeenApplication(create_app(self.services), telemetry, SystemIds())
        organisation = self.runtime.organisations.sign_up(uuid4().hex, "Ada").organisation
        self.organisation_id, account_id = organisation.organisation_id, organisation.account_id
        grant(self.runtime.ledger, account_id, 10 * CREDIT)
        self.secret = self.runtime.keys.create(self.organisation_id, "test", CUSTOMER_SCOPES).secret

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                sent = {"Authorization": f"Bearer {self.secret}", **headers}
                return await client.request(method, path, json=body, headers=sent)

        return asyncio.run(send())

    def order(self, **headers: str) -> UUID:
        """A job."""
        body = {"prompt": PROMPT, "width": 256, "height": 256, "quality": "draft"}
        answer = self.ask("POST", "/api/v1/generate", body, **{"Idempotency-Key": uuid4().hex, **headers})
        assert answer.status_code == 202, answer.text
        return parse("job", answer.json()["job_id"])

    def end(self, job_id: UUID) -> list[RecordedEvent]:
        """The job's events once it has ended."""
        wait_for(lambda: self.runtime.jobs.get(self.organisation_id, job_id).ended)
        return self.runtime.ledger.stream(job_id)

    def one(self, sql: str) -> Any:
        """One value of the database."""
        with self.runtime.pool.connection() as connection:
            row = connection.execute(sql.encode()).fetchone()
        return row and row[0]


@pytest.fixture
def node(tmp_path: Path) -> Generator[StandIn]:
    (tmp_path / "node").mkdir()
    found = StandIn(tmp_path / "node", "--step-ms", "5")
    yield found
    found.stop()


@pytest.fixture
def story(settings: Settings, node: StandIn) -> Generator[Story]:
    """All parts run; they have stopped, and so told everything, when the test looks."""
    telemetry = SeenTelemetry()
    found = Story(settings.with_values(comfyui_nodes=(node.url,)), telemetry)
    yield found
    found.services.crossing.close()
    found.runtime.close()


@contextlib.contextmanager
def working(story: Story) -> Generator[None]:
    """Everything runs, with a node that is ready; stopped afterwards."""
    background, worker = Background(story.runtime), make_worker(story.runtime, drain_s=LIMIT_S)
    background.start()
    worker.start()
    try:
        wait_for(lambda: story.one("SELECT count(*) FROM nodes WHERE state = 'ready'") == 1)
        wait_for(lambda: story.telemetry.value("tallystick.messages") >= 1)  # that the node is free
        yield
    finally:
        worker.stop()
        background.stop()


def run(story: Story, **headers: str) -> list[RecordedEvent]:
    """One job through everything."""
    with working(story):
        return story.end(story.order(**headers))


def wait_for(what: Callable[[], bool]) -> None:
    """Until it is so."""
    ends = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)


def test_a_request_is_followed_from_the_api_to_the_commit(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SWEEP_S", 60.0)  # whose hints belong to nobody's trace
    recorded = run(story, traceparent=CALLER)
    assert isinstance(job_event(recorded[-1].state), JobSucceeded)
    seen = story.telemetry
    ours = {span.name: span for span in seen.spans() if trace_id(span) == TRACE}

    request, accept = ours["POST /api/v1/generate"], ours["ledger generate"]
    assert request.parent is not None and request.parent.span_id == SPAN, "the caller's own trace goes on"
    assert is_child(accept, request), "on the other side of the thread that it crosses to"
    attempt, settle = ours["attempt"], ours["ledger settle-job"]
    assert is_child(attempt, request) or is_child(attempt, accept), "in another process at any later time"
    assert is_child(ours["node submit"], attempt) and is_child(ours["node fetch"], attempt)
    assert is_child(settle, attempt)

    for submitted in (accept, settle):
        (batch,) = (one for one in seen.spans("ledger batch") if span_id(submitted) in linked(one))
        assert trace_id(batch) != TRACE, "a batch is nobody's alone"
        assert any(is_child(one, batch) for one in seen.spans("ledger lock and read"))
        (commit,) = (one for one in seen.spans("ledger commit") if is_child(one, batch))
        assert commit.attributes is not None and commit.end_time is not None and submitted.end_time is not None
        assert commit.end_time <= submitted.end_time, "nothing is answered before the commit"
    assert settle.attributes is not None and settle.attributes["tallystick.position"] == recorded[-1].position

    (follow,) = (one for one in seen.spans("follow jobs") if span_id(accept) in linked(one))
    (message,) = (one for one in seen.spans("message slot_may_be_free") if trace_id(one) == trace_id(follow))
    assert is_child(message, follow)
    assert span_id(message) in linked(attempt), "two ways lead to it"
    assert any(span_id(settle) in linked(one) for one in seen.spans("follow statement"))


def test_spans_hold_ids_and_no_words_of_the_customer(story: Story) -> None:
    run(story, traceparent=CALLER)
    everything = json.dumps([json.loads(span.to_json()) for span in story.telemetry.spans()])
    assert PROMPT not in everything
    assert story.secret not in everything


def test_a_trace_is_beside_the_events_and_in_no_hash(story: Story, database: Database) -> None:
    recorded = run(story, traceparent=CALLER)
    with psycopg.connect(database.serving_url) as connection:
        rows = dict(connection.execute("SELECT position, traceparent FROM event_traces").fetchall())
    accept = next(span for span in story.telemetry.spans("ledger generate"))
    expected = f"00-{TRACE:032x}-{span_id(accept):016x}-01"
    assert rows[recorded[0].position] == expected
    assert rows[recorded[0].position - 1] == expected, "the hold of the same append"
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("DELETE FROM event_traces")
    assert not Driver(story.runtime.pool).drive(verify()).findings


def test_a_caller_who_is_not_traced_leaves_no_span_behind(settings: Settings, node: StandIn) -> None:
    telemetry = SeenTelemetry(percent=0)
    story = Story(settings.with_values(comfyui_nodes=(node.url,)), telemetry)
    try:
        run(story)
        assert telemetry.spans() == []
        assert story.one("SELECT count(*) FROM event_traces") == 0
    finally:
        story.services.crossing.close()
        story.runtime.close()


def test_metrics_tell_batches_refusals_ends_and_requests_by_route(story: Story) -> None:
    add_database_gauges(story.telemetry, story.runtime.pool)
    run(story)
    refused = story.ask(
        "POST", "/api/v1/generate", {"prompt": PROMPT, "images": 8, "quality": "high"}, **{"Idempotency-Key": "much"}
    )
    assert refused.status_code == 402
    assert story.ask("GET", "/api/v1/jobs/job_0" + "0" * 31).status_code in {404, 422}
    assert story.ask("GET", "/no/such/place").status_code == 404
    seen = story.telemetry
    assert seen.value("tallystick.ledger.requests", operation="generate", outcome="done") == 1
    assert seen.value("tallystick.ledger.requests", operation="generate", outcome="insufficient-credits") == 1
    assert seen.value("tallystick.jobs.ended", end="succeeded") == 1
    assert seen.value("tallystick.attempts", gpu_class="standard", result="given") == 1
    assert seen.value("tallystick.ledger.batch") >= seen.value("tallystick.ledger.commit") > 0
    assert seen.value("tallystick.ledger.lock.wait") == seen.value("tallystick.ledger.read") > 0
    assert seen.value("tallystick.ledger.queue") == 0
    assert seen.value("tallystick.node.call", call="submit", answer="Submitted") >= 1
    assert seen.value("tallystick.follower.events", follower="jobs") > 0
    routes = {
        (point["http.route"], point["http.response.status_code"])
        for point, _ in seen.points("http.server.request.duration")
    }
    assert ("/api/v1/generate", 202) in routes and ("/api/v1/generate", 402) in routes
    assert ("/api/v1/jobs/{job_id}", 404) in routes and ("(none)", 404) in routes
    assert {point["name"] for point, _ in seen.points("tallystick.follower.lag")} >= {"jobs", "statement"}
    assert seen.value("tallystick.nodes", state="ready") == 1


def test_queue_gauges_tell_how_many_wait_and_how_long(story: Story) -> None:
    add_database_gauges(story.telemetry, story.runtime.pool)
    background = Background(story.runtime)
    background.start()
    try:
        story.order()
        story.order()
        wait_for(lambda: story.telemetry.value("tallystick.queue.depth", gpu_class="standard") == 2)
        assert 0 < story.telemetry.value("tallystick.queue.oldest.wait", gpu_class="standard") < LIMIT_S
    finally:
        background.stop()


def test_every_attempt_of_a_job_is_part_of_its_trace(story: Story, node: StandIn) -> None:
    with working(story):
        node.script(Fault.EXCEPTION)
        story.end(story.order(traceparent=CALLER))
    attempts = [span for span in story.telemetry.spans("attempt") if span.attributes]
    assert [trace_id(span) for span in attempts] == [TRACE] * len(attempts)
    assert all(span.attributes and span.attributes["tallystick.result"] for span in attempts)


def test_traces_far_behind_the_end_are_forgotten(story: Story) -> None:
    run(story, traceparent=CALLER)
    head = story.runtime.ledger.head()
    assert forget_traces(story.runtime.pool, kept=head) == 0
    assert forget_traces(story.runtime.pool, kept=1) > 0
    assert story.one("SELECT min(position) FROM event_traces") in {head, None}
