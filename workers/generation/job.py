"""A job, as its stream tells it: state by evolve, never stored, always replayed (a stream has under a dozen events)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal, assert_never
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from ledger.domain.codec import RecordedEvent
from workers.generation import events
from workers.generation.asking import Asking, Stream, asked

Phase = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]


class Job(Struct, frozen=True, kw_only=True):
    """A job at one version of its stream. ``end`` is set once; only costs are recorded after it.

    ``position`` is the place in the log of its last event, ``accepted_position`` of its first. ``holds`` counts the
    holds taken for it, ``hold_id`` is the last of them. ``requeued`` are attempts that ended without a result,
    ``costed`` attempts whose cost was recorded after the end.
    """

    accepted: events.JobAccepted
    accepted_at: datetime
    accepted_position: int
    version: int
    position: int
    changed_at: datetime
    phase: Phase = "queued"
    hold_id: UUID | None = None
    holds: int = 0
    attempts: int = 0
    attempt_id: UUID | None = None
    started_at: datetime | None = None
    last_code: str | None = None
    requeued: frozenset[UUID] = frozenset()
    costed: frozenset[UUID] = frozenset()
    end: events.JobEnd | None = None
    ended_at: datetime | None = None

    @property
    def job_id(self) -> UUID:
        """Its id, which is its stream's."""
        return self.accepted.job_id

    @property
    def deadline_at(self) -> datetime:
        """When it ends, whatever happens."""
        return self.accepted_at + timedelta(seconds=self.accepted.queue_limit_s + self.accepted.run_limit_s)

    @property
    def charged_ucr(self) -> int:
        """What its end charged."""
        end = self.end
        return end.charged_ucr if isinstance(end, events.JobSucceeded | events.JobCancelled) else 0


def fold(recorded: Iterable[RecordedEvent]) -> Job | None:
    """Replay a stream; None where there is no such job."""
    job: Job | None = None
    for item in recorded:
        job = evolve(job, events.job_event(item.state), item)
    return job


def load(job_id: UUID) -> Asking[Job | None]:
    """Read a job's stream and replay it."""
    recorded: list[RecordedEvent] = yield from asked(Stream(job_id))
    return fold(recorded)


def evolve(job: Job | None, event: events.JobEvent, item: RecordedEvent) -> Job:
    """Apply one recorded event."""
    if isinstance(event, events.JobAccepted):
        assert job is None, "a job is accepted once"
        return _accepted(event, item)
    assert job is not None and item.version == job.version + 1, "a stream begins with its acceptance and has no gap"
    job = replace(job, version=item.version, position=item.position, changed_at=item.recorded_at)
    if isinstance(event, events.JobCostRecorded):
        return replace(job, costed=job.costed | {event.attempt_id})
    assert job.end is None, "nothing but a cost follows the end"
    if isinstance(event, events.JobHeld | events.JobStarted | events.JobRequeued):
        return _underway(job, event, item.recorded_at)
    return replace(job, phase=phase_of(event), end=event, ended_at=item.recorded_at)


def phase_of(end: events.JobEnd) -> Phase:
    """Name an end."""
    match end:
        case events.JobSucceeded():
            return "succeeded"
        case events.JobFailed():
            return "failed"
        case events.JobCancelled():
            return "cancelled"
        case events.JobExpired():
            return "expired"
        case _:
            assert_never(end)


def _accepted(event: events.JobAccepted, item: RecordedEvent) -> Job:
    return Job(
        accepted=event,
        accepted_at=item.recorded_at,
        accepted_position=item.position,
        version=item.version,
        position=item.position,
        changed_at=item.recorded_at,
        hold_id=event.hold_id,
        holds=0 if event.hold_id is None else 1,
    )


def _underway(job: Job, event: events.JobHeld | events.JobStarted | events.JobRequeued, at: datetime) -> Job:
    match event:
        case events.JobHeld():
            assert event.n == job.holds + 1
            return replace(job, hold_id=event.hold_id, holds=event.n)
        case events.JobStarted():
            return replace(
                job, phase="running", attempts=event.n, attempt_id=event.attempt_id, started_at=job.started_at or at
            )
        case events.JobRequeued():
            return replace(job, phase="queued", requeued=job.requeued | {event.attempt_id}, last_code=event.code)
        case _:
            assert_never(event)
