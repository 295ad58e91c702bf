"""A job's stream: replayed, frozen, and ending once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args
from uuid import UUID

import msgspec
import pytest

from ledger.domain.codec import RecordedEvent, encode_event
from tests.support.ledger import ManualClock
from workers.generation import events
from workers.generation.job import fold
from workers.viewing import changes_of

JOB, ORG, ACC, HOLD, ATTEMPT = (UUID(int=n) for n in range(1, 6))
ACCEPTED = events.JobAccepted(
    job_id=JOB,
    organisation_id=ORG,
    account_id=ACC,
    tool="txt2img_sdxl",
    tool_version=1,
    model="sdxl",
    quality="standard",
    width=1024,
    height=1024,
    images=1,
    seed=2**64 - 1,
    seed_given=True,
    price_ucr=1_000_000,
    price_version=1,
    gpu_class="standard",
    queue_limit_s=3600,
    run_limit_s=300,
    expected_ms=7000,
    inputs_mac="00" * 32,
    hold_id=HOLD,
)
OUTPUT = events.StoredOutput(
    output_id=UUID(int=9), sha256="11" * 32, size_bytes=10, mime="image/png", width=1024, height=1024
)
SUCCEEDED = events.JobSucceeded(attempt_id=ATTEMPT, charged_ucr=1_000_000, outputs=(OUTPUT,), seed=7, gpu_ms=1200)
STARTED = events.JobStarted(attempt_id=ATTEMPT, n=1)
REQUEUED = events.JobRequeued(attempt_id=ATTEMPT, code="lost", gpu_ms=10)
COST = events.JobCostRecorded(attempt_id=ATTEMPT, reason="late", gpu_ms=1200, cost_micro=300)


def recorded(*said: events.JobEvent) -> list[RecordedEvent]:
    at = ManualClock().now()
    return [
        RecordedEvent(10 + n, JOB, n, *encode_event(event), at, at, None, b"") for n, event in enumerate(said, start=1)
    ]


def test_a_job_is_what_its_stream_says() -> None:
    job = fold(recorded(ACCEPTED, STARTED, REQUEUED, STARTED, SUCCEEDED, COST))
    assert job is not None
    assert (job.phase, job.version, job.position, job.charged_ucr) == ("succeeded", 6, 16, 1_000_000)
    assert (job.attempts, job.last_code, job.requeued, job.costed) == (1, "lost", {ATTEMPT}, {ATTEMPT})
    assert (job.deadline_at - job.accepted_at).total_seconds() == 3900
    assert fold([]) is None


@pytest.mark.parametrize(
    "said",
    [
        (STARTED,),
        (ACCEPTED, ACCEPTED),
        (ACCEPTED, SUCCEEDED, SUCCEEDED),
        (ACCEPTED, SUCCEEDED, events.JobFailed(code="failed")),
        (ACCEPTED, SUCCEEDED, STARTED),
        (ACCEPTED, events.JobHeld(hold_id=HOLD, n=3)),
    ],
)
def test_invariant_50_a_stream_with_two_ends_or_none_to_begin_with_is_a_bug(said: tuple[events.JobEvent, ...]) -> None:
    with pytest.raises(AssertionError):
        fold(recorded(*said))


def test_changes_after_a_position_are_what_a_live_stream_resumes_with() -> None:
    stream = recorded(ACCEPTED, STARTED, REQUEUED, STARTED, SUCCEEDED, COST)
    assert [change.state for change in changes_of(stream, 0)] == [
        "accepted", "running", "queued", "running", "succeeded"
    ]  # fmt: skip
    assert [change.position for change in changes_of(stream, 13)] == [14, 15]


SAMPLES: tuple[events.JobEvent, ...] = (
    ACCEPTED,
    events.JobHeld(hold_id=HOLD, n=2),
    STARTED,
    REQUEUED,
    SUCCEEDED,
    events.JobFailed(code="lost"),
    events.JobCancelled(),
    events.JobExpired(),
    COST,
)
FROZEN = (Path(__file__).parents[2] / "data" / "workers" / "job-events.jsonl").read_text().splitlines()


@pytest.mark.parametrize(("event", "line"), list(zip(SAMPLES, FROZEN, strict=True)))
def test_a_frozen_sample_of_every_tag_is_read_and_written_as_it_was(event: events.JobEvent, line: str) -> None:
    assert events.job_event(line.encode()) == event
    written: Any = msgspec.json.decode(encode_event(event).state)
    assert written == msgspec.json.decode(line)


def test_the_samples_cover_the_catalogue() -> None:
    assert {type(event) for event in SAMPLES} == set(get_args(events.JobEvent))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        events.job_event(b'{"type":"workers.job-cancelled.v1","prompt":"a cat"}')
