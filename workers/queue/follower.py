"""The jobs follower: rows of ``jobs`` that people read, and of ``job_queue`` that workers claim, from the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, FoldError
from ledger.sansio import Run, Wake
from workers.generation import events
from workers.generation.job import phase_of
from workers.queue import statements
from workers.topics import SLOTS_TOPIC


class JobsFollower:
    """See ``ledger.follower.Follower``."""

    name = "jobs"

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """Write what happened to jobs; events of other packages are passed over."""
        classes: set[str] = set()
        for item in events:
            if item.tag.startswith("workers."):
                yield from _fold(item, classes)
        for gpu_class in sorted(classes):
            yield Wake(SLOTS_TOPIC, gpu_class)


def _fold(item: RecordedEvent, classes: set[str]) -> Fold:
    try:
        event = events.job_event(item.state)
    except msgspec.ValidationError as error:
        raise FoldError(item.position, str(error)) from error
    if isinstance(event, events.JobAccepted):
        classes.add(event.gpu_class)
        yield from _accepted(event, item)
        return
    facts: Mapping[str, Any] = {"job_id": item.stream_id, "position": item.position, "at": item.recorded_at}
    match event:
        case events.JobHeld():
            yield Run(statements.JOB_HELD, {**facts, "hold_id": event.hold_id})
        case events.JobStarted():
            yield Run(statements.JOB_STARTED, {**facts, "n": event.n})
        case events.JobRequeued():
            yield Run(statements.JOB_REQUEUED, facts)
        case events.JobCostRecorded():
            return
        case _:
            yield from _ended(event, facts)


def _accepted(event: events.JobAccepted, item: RecordedEvent) -> Fold:
    deadline_at = item.recorded_at + timedelta(seconds=event.queue_limit_s + event.run_limit_s)
    facts = {
        **{name: getattr(event, name) for name in event.__struct_fields__},
        "needs": f"{event.tool}/v{event.tool_version}/{event.model}",
        "accepted_at": item.recorded_at,
        "deadline_at": deadline_at,
        "position": item.position,
    }
    yield Run(statements.INSERT_JOB, facts)
    yield Run(statements.ENQUEUE, facts)
    yield Run(statements.NAME_INPUTS, {"job_id": event.job_id})


def _ended(event: events.JobEnd, facts: Mapping[str, Any]) -> Fold:
    succeeded = event if isinstance(event, events.JobSucceeded) else None
    outputs = succeeded.outputs if succeeded else ()
    ended = {
        **facts,
        "state": phase_of(event),
        "charged_ucr": event.charged_ucr if isinstance(event, events.JobSucceeded | events.JobCancelled) else 0,
        "error_code": event.code if isinstance(event, events.JobFailed) else None,
        "attempt_id": event.attempt_id,
        "outputs": msgspec.json.encode(outputs).decode(),
        "seed": succeeded.seed if succeeded else None,
    }
    yield Run(statements.JOB_ENDED, ended)
    yield Run(statements.DEQUEUE, {"job_id": facts["job_id"]})
    yield Run(statements.FORGET_CANCEL, {"job_id": facts["job_id"]})
    if outputs:
        yield Run(statements.GIVE_OUTPUTS, {"output_ids": [output.output_id for output in outputs]})
