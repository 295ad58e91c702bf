"""Bodies and queries, with the place of each mistake."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.cursors import Cursors
from api.errors import Invalid, MalformedBody, NotFound, WrongMediaType
from api.reading import read_body, read_choice, read_id, read_number, read_page, read_time
from api.views.jobs import GenerateIn
from api.views.topups import TopUpIn
from ledger.ids import render

JSON = "application/json"


class Part(msgspec.Struct, forbid_unknown_fields=True):
    n: int


class Body(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    parts: list[Part] = []
    named: dict[str, str] = {}


def pointer(raw: bytes, kind: type[Any] = Body) -> str | None:
    with pytest.raises(Invalid) as refused:
        read_body(JSON, raw, kind)
    (fault,) = refused.value.faults
    return fault.pointer


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b"{}", "/text"),
        (b"[]", ""),
        (b'{"text": 1}', "/text"),
        (b'{"text": null}', "/text"),
        (b'{"text": "a", "more": 1}', "/more"),
        (b'{"text": "a", "a/b~c": 1}', "/a~1b~0c"),
        (b'{"text": "a", "parts": [{"n": 1}, {"n": 2.5}]}', "/parts/1/n"),
        (b'{"text": "a", "parts": [{"n": 1}, {"n": 1.0}]}', "/parts/1/n"),
        (b'{"text": "a", "parts": [{"m": 1}]}', "/parts/0/m"),
        (b'{"text": "a\\u0000"}', "/text"),
        (b'{"text": "a", "named": {"x/y": "\\u0000"}}', "/named/x~1y"),
    ],
)
def test_each_mistake_is_told_with_its_place(raw: bytes, where: str) -> None:
    assert pointer(raw) == where


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"hello",
        b'{"text": "a"} x',
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"text": "\\udc00a"}',
        b'{"text": "\xed\xa0\x80"}',
        b'{"text": NaN}',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
    ],
)
def test_what_is_not_json_is_said_not_to_be(raw: bytes) -> None:
    with pytest.raises((MalformedBody, Invalid)) as refused:
        read_body(JSON, raw, Body)
    assert isinstance(refused.value, MalformedBody) or raw.startswith(b"[")


@pytest.mark.parametrize("sent", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_a_body_must_be_said_to_be_json(sent: str | None) -> None:
    with pytest.raises(WrongMediaType):
        read_body(sent, b'{"text": "a"}', Body)


@pytest.mark.parametrize(
    "sent", [JSON, "application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"]
)
def test_json_has_several_names(sent: str) -> None:
    assert read_body(sent, b'{"text": "a"}', Body) == Body("a")


@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault_of_ours(raw: bytes) -> None:
    for kind in (Body, GenerateIn, TopUpIn):
        try:
            read_body(JSON, raw, kind)
        except (MalformedBody, Invalid):
            continue


def test_a_refusal_is_short_whatever_was_sent() -> None:
    with pytest.raises(Invalid) as refused:
        read_body(JSON, msgspec.json.encode({"text": "a", "x" * 100_000: 1}), Body)
    (fault,) = refused.value.faults
    assert len(fault.detail) <= 200 and len(fault.pointer or "") <= 201


@pytest.mark.parametrize("text", ["0", "-1", "201", "1.0", "1e1", "", " 1", "\uff19", "99999999999999999999"])
def test_a_limit_out_of_range_names_its_parameter(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_number({"limit": text}, "limit", 50, 200)
    assert refused.value.faults[0].parameter == "limit"


def test_parameters_have_defaults() -> None:
    assert read_number({}, "limit", 50, 200) == 50
    assert read_number({"limit": "200"}, "limit", 50, 200) == 200
    assert read_choice({}, "state", ("a",)) is None
    with pytest.raises(Invalid):
        read_choice({"state": "b"}, "state", ("a",))


def test_a_cursor_of_another_list_is_refused() -> None:
    cursors, ada = Cursors(b"s" * 32), uuid4()
    after = cursors.write("jobs", ada, 7)
    assert read_page({"after": after}, cursors, "jobs", ada).position == 7
    for listing, organisation_id in (("topups", ada), ("jobs", uuid4())):
        with pytest.raises(Invalid) as refused:
            read_page({"after": after}, cursors, listing, organisation_id)
        assert refused.value.faults[0].parameter == "after"


@pytest.mark.parametrize("text", ["", "job_", "job_1", "top_" + "0" * 32, "job_" + "G" * 32, "job_" + "0" * 33])
def test_a_malformed_id_is_no_different_from_an_unknown_one(text: str) -> None:
    with pytest.raises(NotFound):
        read_id("job", text)


def test_an_id_reads_back() -> None:
    job_id = uuid4()
    assert read_id("job", render("job", job_id)) == job_id


def test_a_time_is_read_as_utc() -> None:
    assert read_time({}, "at") is None
    read = read_time({"at": "2026-01-31T12:00:00+02:00"}, "at")
    assert read is not None and read.isoformat() == "2026-01-31T10:00:00+00:00"


@pytest.mark.parametrize(
    "text", ["", "now", "2026-01-31", "2026-01-31T12:00:00", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59"]
)
def test_a_time_that_is_none_in_utc_names_its_parameter(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_time({"at": text}, "at")
    assert [fault.parameter for fault in refused.value.faults] == ["at"]
