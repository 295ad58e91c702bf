"""Logs: JSON lines with ids, without secrets and without what customers wrote."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Generator
from typing import Any

import pytest

from tallystick.settings import Settings
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.logs import JsonLines, bound, hidden_values, log_to, scrub
from tallystick.telemetry.providers import Providers, tracer_provider

PROMPT = "a fox in a lab coat, oil on canvas"
SECRET = "the-root-secret-of-this-installation-0123456789"


@pytest.fixture
def lines() -> Generator[list[dict[str, Any]]]:
    """What a logger of ours writes, line by line."""
    found: list[dict[str, Any]] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Keep()
    handler.setFormatter(JsonLines("api", [SECRET]))
    log = logging.getLogger("tallystick.test")
    log.addHandler(handler)
    log.setLevel("DEBUG")
    log.propagate = False
    yield found
    log.removeHandler(handler)


LOG = logging.getLogger("tallystick.test")


def test_a_line_has_time_level_message_and_the_ids_at_hand(lines: list[dict[str, Any]]) -> None:
    with bound(request_id="r1", job_id="job_1"):
        LOG.info("attempt %d ended", 2, extra={"node": "gpu7", "ms": 12.5})
    (line,) = lines
    assert line["message"] == "attempt 2 ended"
    assert (line["level"], line["component"], line["logger"]) == ("info", "api", "tallystick.test")
    assert (line["request_id"], line["job_id"], line["node"], line["ms"]) == ("r1", "job_1", "gpu7", 12.5)
    assert line["time"].endswith("+00:00")


def test_ids_are_bound_for_the_block_alone(lines: list[dict[str, Any]]) -> None:
    with bound(request_id="r1"), bound(job_id="j1"):
        LOG.info("inside")
    LOG.info("outside")
    assert {"request_id", "job_id"} <= lines[0].keys()
    assert not {"request_id", "job_id"} & lines[1].keys()


def test_a_line_inside_a_span_names_its_trace(lines: list[dict[str, Any]]) -> None:
    telemetry = Telemetry(Providers(tracers=tracer_provider()))
    with telemetry.tracer.start_as_current_span("here") as span:
        LOG.info("inside")
    assert lines[0]["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_a_field_that_is_not_known_is_not_written(lines: list[dict[str, Any]]) -> None:
    LOG.info("ordered", extra={"prompt": PROMPT, "body": {"prompt": PROMPT}, "customer_email": "a@b.c"})
    assert not {"prompt", "body", "customer_email"} & lines[0].keys()
    assert PROMPT not in json.dumps(lines)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("key tally_live_abcdefghijklmnopqrstuvwxyz0123456789 used", "abcdefghijklmnopqrstuvwxyz"),
        ("key tally_test_abcdefghijklmnopqrstuvwxyz0123456789 used", "abcdefghijklmnopqrstuvwxyz"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("headers {'authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("connecting to postgresql://tallystick:hunter2@db:5432/x", "hunter2"),
        ("stripe said no to sk_live_51Habcdefghijk", "51Habcdefghijk"),
        ("secret whsec_C2FVsBQIhrscChlQIMV", "C2FVsBQIhrscChlQIMV"),
        ("GET /outputs/jobs/1.png?until=1&signature=deadbeef", "deadbeef"),
        (f"JobParams(prompt='{PROMPT}', width=512)", PROMPT),
        (f'{{"prompt": "{PROMPT}", "seed": 1}}', PROMPT),
        (f'JobParams(negative_prompt="{PROMPT}\'s", width=512)', PROMPT),
        (f"cut off: {{'prompt': '{PROMPT}", PROMPT),
        (f"violates check constraint\nDETAIL:  Failing row contains (1, {PROMPT}).\nCONTEXT:  x", PROMPT),
        (f"secret is {SECRET}", SECRET),
    ],
)
def test_nothing_secret_and_nothing_that_a_customer_wrote_is_written(
    lines: list[dict[str, Any]], text: str, secret: str
) -> None:
    LOG.warning("it was %s", text)
    error = RuntimeError("again: " + text)
    error.__cause__ = ValueError(text)
    LOG.error("failed", exc_info=error)
    written = json.dumps(lines)
    assert secret not in written
    assert "[hidden]" in lines[0]["message"] and "[hidden]" in lines[1]["exception"]["cause"]["message"]


def test_an_exception_says_where_and_not_with_what(lines: list[dict[str, Any]]) -> None:
    def order(prompt: str) -> None:
        raise KeyError(len(prompt))

    try:
        order(PROMPT)
    except KeyError:
        LOG.exception("failed")
    error = lines[0]["exception"]
    assert error["type"] == "builtins.KeyError"
    assert error["at"][-1].endswith(" order") and __file__ in error["at"][-1]
    assert PROMPT not in json.dumps(lines)


def test_ordinary_words_stay_as_they_are() -> None:
    text = "follower statement is parked at event 17: unknown tag 'ledger.x.v1' (3 tokens, position=4)"
    assert scrub(text) == text


def test_a_line_is_bounded() -> None:
    assert len(scrub("x" * 100_000)) < 5_000


def test_the_settings_own_secrets_are_hidden_whatever_they_look_like(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings(secret="just a few ordinary words in a row", stripe_api_key="oddly formed key")
    assert set(hidden_values(settings)) == {"just a few ordinary words in a row", "oddly formed key"}
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    try:
        log_to(stream, settings, "worker")
        logging.getLogger("workers.x").info("with just a few ordinary words in a row, and oddly formed key")
        logging.getLogger("httpx").info("a library's chatter")
    finally:
        root.handlers, root.level = before, level
        logging.captureWarnings(capture=False)
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    ours = [line["message"] for line in found if line["logger"] in {"workers.x", "httpx"}]  # threads of others log too
    assert ours == ["with [hidden], and [hidden]"]
    said = capsys.readouterr().err
    assert not [words for words in ("ordinary words", "oddly formed", "[hidden]", "chatter") if words in said]
