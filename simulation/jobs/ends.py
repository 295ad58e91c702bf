"""What must hold of jobs after every step, and at the end."""

from __future__ import annotations

from uuid import UUID

from ledger.domain.codec import RecordedEvent
from simulation.jobs.stage import CREDIT, Stage
from workers.generation import events
from workers.generation.job import Job, fold


def check(stage: Stage) -> None:
    """After every step, of what was appended by it: invariants 47 and 48."""
    head = stage.ledger.head()
    for item in stage.ledger.log(after=stage.checked, limit=head - stage.checked) if head > stage.checked else []:
        stage.checked = item.position
        if item.tag == "workers.job-succeeded.v1":
            _check_given(stage, item)


def _check_given(stage: Stage, item: RecordedEvent) -> None:
    event = events.job_event(item.state)
    assert isinstance(event, events.JobSucceeded)
    rows = stage.database.tables.outputs
    for output in event.outputs:
        row = rows[output.output_id]
        assert row["sha256"] == output.sha256
        assert row["object_key"] in stage.objects.objects, "charged without its picture"


def check_end(stage: Stage) -> None:
    """At the end: every job ended once, nothing held, a picture for each charge and a charge for each picture."""
    given: set[str] = set()
    charged_ucr = 0
    for job_id in stage.jobs:
        job = job_of(stage, job_id)
        assert job is not None and job.end is not None, f"job {job_id} never ended"
        charged_ucr += job.charged_ucr
        _check_hold(stage, job)
        if isinstance(job.end, events.JobSucceeded):
            given |= {stage.database.tables.outputs[output.output_id]["object_key"] for output in job.end.outputs}
        stage.count(job.phase)
    balance = stage.ledger.balance(stage.account_id)
    assert balance is not None
    assert (balance.held_ucr, balance.open_holds) == (0, 0)
    assert balance.posted_ucr == 20 * CREDIT - charged_ucr
    assert set(stage.objects.objects) == given
    assert all(row["state"] == "ended" for row in stage.database.tables.attempts.values())


def _check_hold(stage: Stage, job: Job) -> None:
    if job.hold_id is None:
        assert job.charged_ucr == 0
        return
    hold = stage.ledger.hold(job.hold_id)
    assert hold is not None
    paid = job.accepted.price_ucr if isinstance(job.end, events.JobSucceeded) else 0
    assert (hold.committed_ucr, job.charged_ucr) == (paid, paid)
    assert hold.state in ({"committed"} if paid else {"released", "expired"})


def job_of(stage: Stage, job_id: UUID) -> Job | None:
    """A job as its stream says."""
    return fold(stage.ledger.stream(job_id))
