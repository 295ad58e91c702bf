"""The shorter way to the ledger's routes answers as Litestar's way does, whatever is sent and whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.limits import BODY_BYTES_MAX
from ledger.errors import InvalidRequest, NotDone, OutcomeUnknown
from tests.support.api import Customer, Site

HOLDS = "/api/v1/ledger/holds"
COMMIT = f"{HOLDS}/hold_{'0' * 32}/commit"
HOLD = json.dumps({"amount": "0.01", "lease_s": 60}).encode()
FRESH = {"date", "x-request-id", "ratelimit", "content-length"}
"""Headers that no two answers share, and the length of what no two bodies share."""

KEY = {"Idempotency-Key": "one"}
JSON = {"Content-Type": "application/json"}
CASES: dict[str, tuple[str, bytes, dict[str, str]]] = {
    "dry": (HOLDS, json.dumps({"amount": "0.01", "lease_s": 60, "dry_run": True}).encode(), KEY | JSON),
    "too much": (HOLDS, json.dumps({"amount": "1000000", "lease_s": 60, "dry_run": True}).encode(), KEY | JSON),
    "no key": (HOLDS, HOLD, JSON),
    "an empty key": (HOLDS, HOLD, {"Idempotency-Key": "", **JSON}),
    "no content type": (HOLDS, HOLD, KEY),
    "another content type": (HOLDS, HOLD, KEY | {"Content-Type": "text/plain"}),
    "no JSON": (HOLDS, b"{", KEY | JSON),
    "no body": (HOLDS, b"", KEY | JSON),
    "NUL": (COMMIT, b'{"amount": "\\u0000"}', KEY | JSON),
    "another shape": (HOLDS, b'{"amount": 1, "lease_s": 60}', KEY | JSON),
    "another field": (HOLDS, b'{"amount": "1", "lease_s": 60, "more": 1}', KEY | JSON),
    "an amount too large": (HOLDS, b'{"amount": "9999999999", "lease_s": 60}', KEY | JSON),
    "too large": (HOLDS, b" " * (BODY_BYTES_MAX + 1), KEY | JSON),
    "no hold": (COMMIT, b'{"amount": "1"}', KEY | JSON),
    "no id": (COMMIT.replace("hold_0", "hold_x"), b'{"amount": "1"}', KEY | JSON),
    "an empty batch": ("/api/v1/ledger/batch", b'{"operations": []}', JSON),
    "another account": (
        HOLDS,
        json.dumps({"amount": "1", "lease_s": 1, "account_id": f"acc_{'0' * 32}"}).encode(),
        KEY | JSON,
    ),
    "not allowed": ("/api/v1/ledger/grants", b'{"amount": "1", "kind": "promo"}', KEY | JSON),
    "no such key": (HOLDS, HOLD, KEY | JSON | {"Authorization": "Bearer tally_test_nobody"}),
    "no authorization": (HOLDS, HOLD, KEY | JSON | {"Authorization": ""}),
    "a named request": (HOLDS, b"{}", KEY | JSON | {"X-Request-Id": "my-request.1"}),
}


@pytest.fixture(scope="module")
def ada(site: Site) -> Customer:
    """A customer whom nothing happens to."""
    return site.customer()


@pytest.fixture
def ways(site: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that went Litestar's way, in order."""
    taken: list[str] = []
    short: Any = site.app.asgi_handler
    litestar = short._litestar

    async def told(scope: Any, receive: Any, send: Any) -> None:
        taken.append(scope["path"])
        await litestar(scope, receive, send)

    monkeypatch.setattr(short, "_litestar", told)
    return taken


def both(who: Customer, path: str, body: bytes, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """The answers of both ways: a slash at the end is not plain enough for the shorter one."""
    for at in (path, f"{path}/"):
        yield who.http.post(at, content=body, headers=headers)


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """What must be the same: status, headers, body, less what names the one request and what its hour is."""
    headers = {name: value for name, value in answer.headers.items() if name not in FRESH}
    assert answer.headers.keys() >= {"x-request-id", "content-length", "date"}
    body = {name: value for name, value in answer.json().items() if name not in {"recorded_at", "subject_id"}}
    if body.get("instance", "").startswith("urn:request:"):
        assert body.pop("instance") == f"urn:request:{answer.headers['X-Request-Id']}"
    return answer.status_code, headers, body


@pytest.mark.parametrize("case", CASES)
def test_both_ways_answer_the_same(ada: Customer, ways: list[str], case: str) -> None:
    path, body, headers = CASES[case]
    short, long = both(ada, path, body, headers)
    assert ways == [f"{path}/"]
    assert seen(short) == seen(long)
    assert short.status_code >= 400 or case == "dry"
    assert ("ratelimit" in short.headers) == ("ratelimit" in long.headers)


@pytest.mark.parametrize(
    "error", [RuntimeError("secret"), NotDone("full"), OutcomeUnknown("late"), InvalidRequest("x", "y")]
)
def test_both_ways_tell_the_same_of_what_fails_behind_them(
    site: Site, ada: Customer, ways: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(site.runtime.ledger, "submit_async", fail)
    short, long = both(ada, HOLDS, HOLD, {"Idempotency-Key": uuid4().hex, **JSON})
    assert len(ways) == 1 and seen(short) == seen(long)
    assert "secret" not in short.text


def test_a_repeat_over_the_other_way_is_a_repeat(ada: Customer, ways: list[str]) -> None:
    short, long = both(ada, HOLDS, HOLD, {"Idempotency-Key": uuid4().hex, **JSON})
    assert len(ways) == 1 and short.content == long.content
    assert (short.headers.get("Idempotency-Replayed"), long.headers["Idempotency-Replayed"]) == (None, "true")


def test_a_body_in_pieces_is_put_together(ada: Customer, ways: list[str]) -> None:
    def pieces() -> Iterator[bytes]:
        for at in range(0, len(HOLD), 7):
            yield HOLD[at : at + 7]

    answer = ada.http.post(HOLDS, content=pieces(), headers={"Idempotency-Key": uuid4().hex, **JSON})
    assert not ways and answer.status_code == 201


def test_a_body_in_pieces_is_bounded(ada: Customer, ways: list[str]) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(BODY_BYTES_MAX // 65_536 + 2):
            yield b" " * 65_536

    answer = ada.http.post(HOLDS, content=pieces(), headers={"Idempotency-Key": uuid4().hex, **JSON})
    assert not ways and (answer.status_code, answer.json()["code"]) == (413, "body-too-large")


def test_another_method_and_options_go_the_long_way(ada: Customer, ways: list[str]) -> None:
    assert ada.http.get(HOLDS).json()["code"] == "method-not-allowed"
    assert ada.http.options(HOLDS).headers["Allow"] == "OPTIONS, POST"
    assert ways == [HOLDS, HOLDS]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{HOLDS}/hold_0/", 404),
        (f"{HOLDS}/anything%20at%20all/", 404),
        (f"{HOLDS}//x/", 404),
        ("/api/v1/ledger/debits/debit_1/", 404),
        ("/api/v1/ledger/batch/x/", 404),
        (f"{HOLDS}%2Fx%2F", 404),
        (f"{HOLDS}/", 201),
        (f"{HOLDS}%2F", 201),
        ("/api/v1//ledger/holds", 201),
    ],
)
def test_an_odd_path_is_answered_as_the_router_answers_it(ada: Customer, path: str, status: int) -> None:
    headers = {"Idempotency-Key": "odd", **JSON}
    short, long = (ada.http.post(path, content=HOLD, headers=headers | more) for more in ({}, {"Host": "not_plain"}))
    assert short.status_code == long.status_code == status, short.text
    said = "code" if status == 404 else "subject_id"
    assert short.json()[said] == long.json()[said]
