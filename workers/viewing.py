"""Jobs as their organisation sees them: from a replayed stream, or from rows of the jobs follower."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ledger.domain.codec import RecordedEvent
from ledger.sansio import Row
from workers.generation import events
from workers.generation.job import Job, phase_of
from workers.limits import LINK_S
from workers.naming import file_name_of, object_key_of
from workers.objects.port import ObjectStore
from workers.views import JobChange, JobState, JobView, OutputView, QueuePlace

Outputs = tuple[events.StoredOutput, ...]


def job_view(job: Job, *, state: JobState, outputs: tuple[OutputView, ...]) -> JobView:
    """A job from its stream; what the stream does not say (queue, progress, prompt) is added by the caller."""
    accepted, end = job.accepted, job.end
    return JobView(
        job_id=job.job_id,
        organisation_id=accepted.organisation_id,
        account_id=accepted.account_id,
        state=state,
        tool=accepted.tool,
        tool_version=accepted.tool_version,
        model=accepted.model,
        quality=accepted.quality,
        width=accepted.width,
        height=accepted.height,
        images=accepted.images,
        seed=end.seed if isinstance(end, events.JobSucceeded) else accepted.seed,
        price_ucr=accepted.price_ucr,
        price_version=accepted.price_version,
        held_ucr=accepted.price_ucr if end is None and job.hold_id is not None else 0,
        charged_ucr=job.charged_ucr,
        error_code=end.code if isinstance(end, events.JobFailed) else None,
        attempts=job.attempts,
        created_at=job.accepted_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        deadline_at=job.deadline_at,
        log_position=job.position,
        outputs=outputs,
    )


def row_view(row: Row, *, outputs: tuple[OutputView, ...]) -> JobView:
    """A job from a row of ``statements.LIST``."""
    ended = row["ended_at"] is not None
    return JobView(
        job_id=row["job_id"],
        organisation_id=row["organisation_id"],
        account_id=row["account_id"],
        state="cancelling" if row["cancel_asked"] and not ended else row["state"],
        tool=row["tool"],
        tool_version=row["tool_version"],
        model=row["model"],
        quality=row["quality"],
        width=row["width"],
        height=row["height"],
        images=row["images"],
        seed=int(row["seed"]),
        price_ucr=row["price_ucr"],
        price_version=row["price_version"],
        held_ucr=row["price_ucr"] if row["hold_id"] is not None and not ended else 0,
        charged_ucr=row["charged_ucr"],
        error_code=row["error_code"],
        attempts=row["attempts"],
        created_at=row["accepted_at"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        deadline_at=row["deadline_at"],
        log_position=row["position"],
        outputs=outputs,
        prompt=row["prompt"],
        negative_prompt=row["negative_prompt"],
    )


def row_outputs(row: Row) -> Outputs:
    """Stored outputs of a row of ``statements.LIST``."""
    return msgspec.convert(row["outputs"], Outputs)


def output_views(
    objects: ObjectStore, job_id: UUID, attempt_id: UUID, outputs: Outputs, now: datetime
) -> tuple[OutputView, ...]:
    """Pictures with links that last ``LINK_S`` from now."""
    until = now + timedelta(seconds=LINK_S)
    return tuple(
        OutputView(
            output_id=output.output_id,
            url=objects.link(
                object_key_of(job_id, attempt_id, ordinal, output.mime),
                until=until,
                file_name=file_name_of(job_id, ordinal, output.mime),
            ),
            url_expires_at=until,
            sha256=output.sha256,
            size_bytes=output.size_bytes,
            mime=output.mime,
            width=output.width,
            height=output.height,
        )
        for ordinal, output in enumerate(outputs)
    )


def place_view(row: Row) -> QueuePlace:
    """A place in the queue from a row of ``statements.PLACE``."""
    position, nodes = row["ahead"] + 1, max(1, row["nodes"])
    rounds = -(-position // nodes) - 1
    p50_s, p90_s = row["p50_s"], row["p90_s"]
    return QueuePlace(
        position=position,
        wait_p50_s=None if p50_s is None else round(rounds * p50_s + p50_s / 2, 1),
        wait_p90_s=None if p90_s is None else round((rounds + 1) * p90_s, 1),
        possible=row["possible"],
    )


def changes_of(recorded: Iterable[RecordedEvent], after_position: int) -> list[JobChange]:
    """State changes of a stream after a position."""
    changes: list[JobChange] = []
    for item in recorded:
        change = _change(item, events.job_event(item.state))
        if change is not None and item.position > after_position:
            changes.append(change)
    return changes


def _change(item: RecordedEvent, event: events.JobEvent) -> JobChange | None:
    match event:
        case events.JobHeld() | events.JobCostRecorded():
            return None
        case events.JobAccepted():
            return JobChange(position=item.position, state="accepted", at=item.recorded_at)
        case events.JobStarted():
            return JobChange(position=item.position, state="running", at=item.recorded_at)
        case events.JobRequeued():
            return JobChange(position=item.position, state="queued", at=item.recorded_at)
        case _:
            return JobChange(
                position=item.position,
                state=phase_of(event),
                at=item.recorded_at,
                error_code=event.code if isinstance(event, events.JobFailed) else None,
                charged_ucr=event.charged_ucr if isinstance(event, events.JobSucceeded | events.JobCancelled) else 0,
            )
