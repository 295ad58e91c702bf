"""Whatever is sent, the answer is a problem that says what is wrong and where; and nothing happened."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.limits import BODY_BYTES_MAX
from api.problem_types import PROBLEM_TYPES
from payments.limits import NOTIFICATION_BYTES_MAX
from tests.support.api import PROMPT, Customer, Site

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def ada(site: Site) -> Customer:
    """A customer whom nothing is to happen to."""
    return site.customer()


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, after checking that it is one."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert (answer.status_code, found["status"], found["code"]) == (status, status, code), answer.text
    assert found["title"] == PROBLEM_TYPES[code].title
    assert found["type"].endswith(f"/problems/{code}")
    assert found["instance"] == f"urn:request:{answer.headers['X-Request-Id']}"
    return found


def pointers(answer: httpx.Response) -> list[str]:
    """Places of what is wrong."""
    return [error["pointer"] for error in problem(answer, 422, "invalid-request")["errors"]]


def send(ada: Customer, path: str, raw: bytes, **headers: str) -> httpx.Response:
    """POST some bytes."""
    return ada.http.post(f"/api/v1{path}", content=raw, headers={**JSON, "Idempotency-Key": uuid4().hex, **headers})


@pytest.mark.parametrize(
    "amount",
    [
        "-1",
        "0",
        "0.000000",
        "1.0000001",
        "1e3",
        "1E3",
        "+1",
        " 1",
        "1,5",
        "0x10",
        "01",
        "1_000",
        ".5",
        "5.",
        "",
        "NaN",
        "Infinity",
        "1" + "0" * 30,
        "1e30",
        "\uff11",
        5,
        5.0,
        1.5,
        10**30,
        True,
        None,
        [],
        {},
    ],
)
def test_an_amount_that_is_none_is_refused_at_its_place(ada: Customer, amount: Any) -> None:
    answer = ada.post("/topups", {"rail": "sandbox", "credits": amount}, key=uuid4().hex)
    assert pointers(answer) == ["" if amount is None else "/credits"]


@pytest.mark.parametrize("amount", [-1, 0, 10**30, 499, 10**9, 1.5, 500.0, "500", True])
def test_a_price_that_is_none_is_refused_at_its_place(ada: Customer, amount: Any) -> None:
    answer = ada.post("/topups", {"rail": "sandbox", "amount_minor": amount}, key=uuid4().hex)
    assert pointers(answer) == ["/amount_minor"]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"rail": "sandbox"}, [""]),
        ({"rail": "sandbox", "pack": "starter", "credits": "5"}, [""]),
        ({"rail": "sandbox", "pack": "nothing"}, ["/pack"]),
        ({"rail": "cash", "pack": "starter"}, ["/rail"]),
        ({"rail": "sand\0box", "pack": "starter"}, ["/rail"]),
        ({"pack": "starter"}, ["/rail"]),
        ({"rail": "sandbox", "pack": "starter", "tip": 1}, ["/tip"]),
        ([], [""]),
        ("sandbox", [""]),
        (None, [""]),
    ],
)
def test_a_top_up_out_of_shape_is_refused_at_its_place(ada: Customer, body: Any, where: list[str]) -> None:
    assert pointers(send(ada, "/topups", json.dumps(body).encode())) == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"prompt": 7}, ["/prompt"]),
        ({"prompt": "  "}, ["/prompt"]),
        ({"prompt": "a\0b"}, ["/prompt"]),
        ({"prompt": "x" * 100_000}, ["/prompt"]),
        ({"negative_prompt": "x" * 100_000}, ["/negative_prompt"]),
        ({"seed": -1}, ["/seed"]),
        ({"seed": 2**64}, ["/seed"]),
        ({"seed": 1.0}, ["/seed"]),
        ({"images": 0}, ["/images"]),
        ({"images": 10**30}, ["/images"]),
        ({"width": 7, "height": 10**30}, ["/width", "/height"]),
        ({"model": "none"}, ["/model"]),
        ({"model": {}}, ["/model"]),
        ({"tool": "rm -rf"}, ["/tool"]),
        ({"quality": "perfect", "model": "none"}, ["/model", "/quality"]),
        ({"graph": {}}, ["/graph"]),
    ],
)
def test_a_job_out_of_bounds_is_refused_at_its_place(ada: Customer, changes: Any, where: list[str]) -> None:
    for path in ("/generate", "/quotes"):
        assert pointers(send(ada, path, json.dumps(PROMPT | changes).encode())) == where


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"prompt=cat",
        b"\xff\xfe\x00",
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "\\udfff cat"}',
        b'{"prompt": "\xed\xa0\x80"}',
        b'{"prompt": "a"} {"prompt": "b"}',
        b'{"prompt": NaN}',
        b"[" * 200_000,
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/quotes"])
def test_what_is_not_json_is_said_not_to_be(ada: Customer, path: str, raw: bytes) -> None:
    answer = send(ada, path, raw)
    if raw.startswith(b"["):
        assert pointers(answer) == [""]
    else:
        problem(answer, 400, "malformed-body")


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_that_is_not_said_to_be_json_is_not_read(ada: Customer, sent: str) -> None:
    answer = send(ada, "/quotes", json.dumps(PROMPT).encode(), **{"Content-Type": sent})
    problem(answer, 415, "unsupported-media-type")


def test_a_body_too_large_is_not_read(ada: Customer) -> None:
    problem(send(ada, "/quotes", b" " * (BODY_BYTES_MAX + 1)), 413, "body-too-large")

    def chunks() -> Any:
        for _ in range(BODY_BYTES_MAX // 65_536 + 2):
            yield b" " * 65_536

    answer = ada.http.post("/api/v1/quotes", content=chunks(), headers=JSON)
    problem(answer, 413, "body-too-large")


def test_a_notification_is_bounded_and_authenticated(site: Site) -> None:
    with site.stranger() as rail:
        large = rail.post("/api/v1/rails/sandbox/notifications", content=b"x" * (NOTIFICATION_BYTES_MAX + 1))
        problem(large, 413, "body-too-large")
        forged = rail.post("/api/v1/rails/sandbox/notifications", content=b"{}", headers={"sandbox-signature": "x"})
        problem(forged, 400, "notification-refused")
        problem(rail.post("/api/v1/rails/cash/notifications", content=b"{}"), 404, "not-found")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (None, "idempotency-key-missing"),
        ("", "idempotency-key-invalid"),
        ('"', "idempotency-key-invalid"),
        ("a,b", "idempotency-key-invalid"),
        ("k" * 256, "idempotency-key-invalid"),
    ],
)
def test_money_needs_an_idempotency_key(ada: Customer, sent: str | None, code: str) -> None:
    headers = {} if sent is None else {"Idempotency-Key": sent}
    for path, body in (("/generate", PROMPT), ("/topups", {"rail": "sandbox", "pack": "starter"})):
        problem(ada.http.post(f"/api/v1{path}", json=body, headers=headers), 400, code)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1.0", "after=x", "after=", "after=%00"])
@pytest.mark.parametrize("path", ["/jobs", "/topups", "/statement"])
def test_a_page_that_is_none_names_its_parameter(ada: Customer, path: str, query: str) -> None:
    found = problem(ada.get(f"{path}?{query}"), 422, "invalid-request")
    assert [error["parameter"] for error in found["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "path",
    ["/jobs/x", "/jobs/job_" + "0" * 32, "/jobs/%00", "/jobs/job_%F0%9F%92%A9", "/topups/x", "/nothing", "/jobs/a/b/c"],
)
def test_what_is_not_there_is_not_found(ada: Customer, path: str) -> None:
    problem(ada.get(path), 404, "not-found")


def test_a_method_that_does_not_fit_lists_those_that_do(ada: Customer) -> None:
    answer = ada.http.put("/api/v1/topups", json={})
    problem(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_a_live_streams_place_must_be_one_that_we_gave(ada: Customer) -> None:
    found = problem(ada.get(f"/jobs/{ada.order()}/events", **{"Last-Event-ID": "x"}), 422, "invalid-request")
    assert found["errors"][0]["header"] == "Last-Event-ID"


def test_nothing_came_of_all_that(site: Site) -> None:
    eve = site.customer()
    before = site.runtime.ledger.head()
    for raw in (b"{", json.dumps(PROMPT | {"seed": -1}).encode(), b""):
        send(eve, "/generate", raw)
        send(eve, "/topups", raw)
    assert site.runtime.ledger.head() == before
    assert eve.get("/balance").json()["available"] == "100"


def test_a_request_keeps_the_name_that_it_came_with(ada: Customer) -> None:
    assert ada.get("/balance", **{"X-Request-Id": "my-request.1"}).headers["X-Request-Id"] == "my-request.1"
    for bad in ("", "a b", "x" * 129, "<script>"):
        named = ada.get("/balance", **{"X-Request-Id": bad}).headers["X-Request-Id"]
        assert len(named) == 32 and named != bad


def test_problem_types_have_pages(site: Site) -> None:
    with site.stranger() as client:
        for code in PROBLEM_TYPES:
            page = client.get(f"/problems/{code}", headers={"Accept": "text/html"})
            assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
            assert PROBLEM_TYPES[code].code in page.text
        problem(client.get("/problems/nothing"), 404, "not-found")
        text = client.get("/problems/not-found", headers={"Accept": "text/plain"})
        assert text.text.startswith(PROBLEM_TYPES["not-found"].title)
