"""What a whole site of processes tells a collector and whoever scrapes it."""

from __future__ import annotations

import contextlib
import gzip
import socket
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast

import httpx
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import SECRET
from tests.support.composed import free_port
from tests.support.servers import Database
from tests.support.site import QUICK, RunningSite, site

pytestmark = pytest.mark.timeout(150)

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PROMPT = "a harbour that no collector may hear of"
COMPONENTS = ("api", "worker", "followers")


class Collector(ThreadingHTTPServer):
    """Takes traces and metrics as a collector does, and keeps them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.raw: list[bytes] = []
        self.traces: list[Any] = []
        self.metrics: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def spans(self) -> list[tuple[str, Any]]:
        """All spans, each with the component that sent it."""
        return [
            (component(one.resource), span)
            for request in self.traces
            for one in request.resource_spans
            for scope in one.scope_spans
            for span in scope.spans
        ]


class Handler(BaseHTTPRequestHandler):
    """One export."""

    def do_POST(self) -> None:
        server = cast("Collector", self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        server.raw.append(body)
        if self.path == "/v1/traces":
            server.traces.append(ExportTraceServiceRequest.FromString(body))
        else:
            server.metrics.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name there
        """Say nothing."""


def component(resource: Any) -> str:
    return next(one.value.string_value for one in resource.attributes if one.key == "service.component")


@pytest.fixture
def collector() -> Generator[Collector]:
    found = Collector()
    Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture
def watched(database: Database, redis_url: str, collector: Collector) -> Generator[RunningSite]:
    """A site whose processes are seen in both ways."""
    environment = {
        "DATABASE_URL": database.serving_url,
        "DATABASE_OWNER_URL": database.owner_url,
        "DATABASE_WRITER_URL": database.writer_url,
        "REDIS_URL": redis_url,
        "TALLYSTICK_SECRET": SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "TALLYSTICK_METRICS_PORT": str(four_free_ports()),
    }
    with site(environment) as found:
        found.start()
        yield found


def four_free_ports() -> int:
    """The first of four in a row."""
    for _ in range(100):
        port = free_port()
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError, OverflowError):
            for following in range(port, port + 4):
                stack.enter_context(socket.create_server(("127.0.0.1", following)))
            return port
    raise AssertionError("no four ports in a row are free")


def scrape(port: int) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name: their labels' values and their value."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=60).raise_for_status().text
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(str(value) for value in sample.labels.values())] = sample.value
    return found


def test_every_process_tells_its_part_of_one_trace_and_its_own_figures(
    watched: RunningSite, collector: Collector
) -> None:
    headers = {"Idempotency-Key": "watched", "traceparent": CALLER}
    answer = watched.ask("POST", "/api/v1/generate", {**QUICK, "prompt": PROMPT}, **headers)
    watched.until(answer.json()["job_id"], "succeeded")
    trace = bytes.fromhex(CALLER[3:35])

    def ours() -> dict[str, set[str]]:
        spans = [(who, span) for who, span in collector.spans() if span.trace_id == trace]
        return {who: {span.name for span in (one for whose, one in spans if whose == who)} for who, _ in spans}

    def linked() -> set[tuple[str, str]]:
        every = collector.spans()
        return {(who, span.name) for who, span in every if any(link.trace_id == trace for link in span.links)}

    watched.wait_for(lambda: {"POST /api/v1/generate", "ledger generate"} <= ours().get("api", set()))
    at_work = {"attempt", "node submit", "node fetch", "ledger settle-job"}
    watched.wait_for(lambda: at_work <= ours().get("worker", set()))
    watched.wait_for(lambda: {("writer", "ledger batch"), ("followers", "follow jobs")} <= linked())
    watched.wait_for(lambda: any(span.name == "follow books" for _, span in collector.spans()))

    port = int(watched.environment["TALLYSTICK_METRICS_PORT"])
    api, worker, followers, writer = (scrape(port + offset) for offset in range(4))
    assert any("/api/v1/generate" in labels for labels in api["http_server_request_duration_seconds_count"])
    assert worker["tallystick_jobs_ended_total"] == {("succeeded",): 1.0}
    assert writer["tallystick_ledger_commit_seconds_count"][()] > 0
    assert writer["tallystick_ledger_lock_wait_seconds_count"][()] > 0
    watched.wait_for(lambda: scrape(port + 3)["tallystick_ledger_queue"] == {(): 0.0})
    assert writer["tallystick_ledger_callers"][()] >= 2
    assert writer["tallystick_ledger_answers_total"][("done",)] > 0
    watched.wait_for(lambda: all(lag == 0 for lag in scrape(port + 2)["tallystick_follower_lag"].values()))
    assert {labels[0] for labels in followers["tallystick_follower_lag"]} >= {"jobs", "books", "statement", "payments"}
    assert not [body for body in collector.raw if PROMPT.encode() in body or watched.key.encode() in body]


def test_a_collector_that_is_away_hinders_nothing(database: Database, redis_url: str) -> None:
    environment = {
        "DATABASE_URL": database.serving_url,
        "DATABASE_OWNER_URL": database.owner_url,
        "DATABASE_WRITER_URL": database.writer_url,
        "REDIS_URL": redis_url,
        "TALLYSTICK_SECRET": SECRET,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    with site(environment) as found:
        found.start()
        found.check([found.order()])
        found.stop()
