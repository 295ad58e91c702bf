"""``Prefer``, ``Last-Event-ID``, and events as they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from api.errors import Invalid
from api.live.stream import change_event, progress_event
from api.routes.jobs import last_event_id, preferred_wait_s
from workers.progress import ProgressMessage
from workers.views import JobChange

JOB = UUID(int=7)


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ('wait="7"', 7),
        ("Wait = 3", 3),
        ("wait=0", 0),
        ("wait=600", 60),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("await=5", 0),
        ("wait", 0),
    ],
)
def test_a_preferred_wait_is_read_and_bounded(prefer: str | None, seconds: int) -> None:
    assert preferred_wait_s(prefer) == seconds


def test_a_last_event_id_is_one_that_we_gave() -> None:
    assert [last_event_id(value) for value in (None, "", "0", "12")] == [0, 0, 0, 12]
    for value in ("-1", "x", "1e3", "9" * 19):
        with pytest.raises(Invalid) as refused:
            last_event_id(value)
        assert refused.value.faults[0].header == "Last-Event-ID"


def test_state_changes_carry_their_position_and_the_last_is_done() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    started = change_event(JOB, JobChange(position=12, state="running", at=at))
    assert started.startswith(b"event: state\nid: 12\ndata: {") and started.endswith(b"}\n\n")
    ended = change_event(JOB, JobChange(position=13, state="failed", at=at, error_code="stuck"))
    assert ended.startswith(b"event: done\nid: 13\n") and b'"error":{"code":"stuck"}' in ended


def test_progress_has_no_id_and_one_line_of_data() -> None:
    event = progress_event(ProgressMessage(kind="preview", fraction=0.5, mime="image/png", base64="AA=="))
    assert event == b'event: preview\ndata: {"fraction":0.5,"mime":"image/png","base64":"AA=="}\n\n'
    assert progress_event(ProgressMessage(kind="cancelling")) == b'event: cancelling\ndata: {"fraction":0.0}\n\n'
