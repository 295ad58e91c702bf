"""What goes wrong behind the API is told without telling more than the caller needs, and never as what it is not."""

from __future__ import annotations

import json
import logging
import socket
import threading
from typing import Any

import pytest
import redis
from litestar import Litestar

from api.app import create_app
from api.call import Call
from ledger.errors import NotDone, OutcomeUnknown
from tallystick.embedded.postgres import SERVING_ROLE, WRITER_ROLE
from tallystick.settings import Settings
from tests.support import servers
from tests.support.api import PROMPT, Customer, Site, serving


def failing(monkeypatch: pytest.MonkeyPatch, site: Site, error: Exception, *, after: bool = False) -> None:
    """Let the ordering of jobs fail, before or after it has done its work."""
    real = site.runtime.jobs.generate

    def generate(*args: Any, **more: Any) -> Any:
        if after:
            real(*args, **more)
        raise error

    monkeypatch.setattr(site.runtime.jobs, "generate", generate)


def test_a_fault_of_ours_tells_the_caller_nothing_and_the_log_everything(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ada = site.customer()
    failing(monkeypatch, site, RuntimeError("the secret ingredient"))
    with caplog.at_level(logging.ERROR):
        answer = ada.post("/generate", PROMPT, key="k")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "secret ingredient" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["X-Request-Id"] in caplog.text and "secret ingredient" in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(NotDone("full"), 503, "not-done"), (OutcomeUnknown("late"), 409, "outcome-unknown")],
)
def test_what_became_of_a_request_is_never_guessed(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    ada = site.customer()
    with monkeypatch.context() as patch:
        failing(patch, site, error, after=isinstance(error, OutcomeUnknown))
        answer = ada.post("/generate", PROMPT, key="k")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert int(answer.headers["Retry-After"]) > 0
    again = ada.post("/generate", PROMPT, key="k")
    assert again.status_code == 202
    assert ("Idempotency-Replayed" in again.headers) == isinstance(error, OutcomeUnknown)
    assert len(ada.get("/holds").json()["data"]) == 1


def test_more_calls_than_may_wait_are_refused_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = site.customer()
    monkeypatch.setattr(site.services.crossing, "_open_max", 0)
    answer = ada.get("/balance")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["Retry-After"] == "1"


def test_a_database_that_restarts_is_said_not_to_be_ready_and_then_all_goes_on(settings: Settings) -> None:
    with (
        servers.postgres_with_template() as server,
        serving(
            settings.with_values(
                database_url=server.url(SERVING_ROLE, servers.MIGRATED),
                database_writer_url=server.url(WRITER_ROLE, servers.MIGRATED),
            )
        ) as site,
    ):
        ada = site.customer()
        ada.order()
        server.stop()
        away = ada.get("/balance")
        assert (away.status_code, away.json()["code"]) == (503, "not-ready")
        with site.stranger() as client:
            assert client.get("/readyz").json()["parts"] == ["database"]
            assert client.get("/healthz").status_code == 200
        server.start()
        assert ada.get("/balance").json()["open_holds"] == 1
        assert ada.order(seed=8)


def test_an_emptied_redis_costs_nothing(settings: Settings) -> None:
    with serving(settings, limited=True) as site:
        ada = site.customer()
        job = ada.order()
        assert settings.redis_url is not None
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()
            client.script_flush()
        assert ada.get(f"/jobs/{job}").status_code == 200
        assert ada.order(seed=8)


def order_of(ada: Customer, key: str) -> bytes:
    """An order as it is sent, for who does not wait for the answer."""
    body = json.dumps(PROMPT).encode()
    headers = {"Host": "x", **ada.http.headers, "Idempotency-Key": key, "Content-Type": "application/json"}
    lines = ["POST /api/v1/generate HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def test_a_caller_that_goes_away_does_not_leave_half_an_order(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = site.customer()
    begun, go_on = threading.Event(), threading.Event()
    real = site.runtime.jobs.generate

    def generate(*args: Any, **more: Any) -> Any:
        begun.set()
        go_on.wait(60)
        return real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(site.runtime.jobs, "generate", generate)
        with socket.create_connection(site.socket.getsockname()) as caller:
            caller.sendall(order_of(ada, "k"))
            assert begun.wait(60)
        go_on.set()
    again = ada.post("/generate", PROMPT, key="k")
    assert again.status_code == 202
    assert len(ada.get("/holds").json()["data"]) == 1


def test_the_application_holds_nothing_of_a_request(site: Site) -> None:
    app: Litestar = create_app(site.services)
    assert app.request_class is Call
    assert set(app.state.dict()) == {"services", "problems", "desk", "openapi"}
