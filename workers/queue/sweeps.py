"""Sweeps: what would otherwise wait for somebody who died. Cores without I/O; every process may run them, at any time.

Each second: lost wake-ups are sent again, deadlines end jobs, cancels reach jobs that wait. Each few minutes: inputs
and pictures that no event names are deleted after an hour.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from ledger.sansio import Commit, Row, Run, Wake
from workers.attempt.effects import Acting, Erase
from workers.errors import StoreUnavailable
from workers.generation.events import JobSucceeded
from workers.generation.job import Job, load
from workers.generation.settle import Outcome, Overdue, Withdrawn, settle
from workers.limits import ORPHAN_AGE_S
from workers.queue import statements
from workers.topics import SLOTS_TOPIC

_WAKES_MAX = 50
_BATCH = 100


def send_wakes() -> Acting[int]:
    """One hint for each slot that has a job to run, and for each attempt that nobody holds; their number."""
    rows: list[Row] = yield Run(statements.WORK, {})
    yield Commit()
    sent = 0
    for row in rows:
        wanted = min(_WAKES_MAX, min(row["waiting"], row["free"]) + row["dead"])
        for _ in range(wanted):
            yield Wake(SLOTS_TOPIC, row["gpu_class"])
        sent += wanted
    return sent


def end_overdue() -> Acting[int]:
    """End the jobs whose deadline has passed, hold and stream in one append; their number."""
    return (yield from _settle_each(statements.DUE_JOBS, Overdue))


def end_cancelled() -> Acting[int]:
    """End the waiting jobs that somebody cancelled and whose canceller died in between; their number."""
    return (yield from _settle_each(statements.CANCELLED_WAITING, lambda: Withdrawn(attempt_id=None)))


def _settle_each(which: statements.Statement, outcome: Callable[[], Outcome]) -> Acting[int]:
    rows: list[Row] = yield Run(which, {"limit": _BATCH})
    yield Commit()
    ended = 0
    for row in rows:
        settled = yield from settle(row["job_id"], outcome())
        ended += settled.result == "ended"
    return ended


def forget_cancels(age_s: float = ORPHAN_AGE_S) -> Acting[None]:
    """Delete wishes to cancel that outlived their job."""
    yield Run(statements.FORGET_CANCELS, {"age_s": age_s})
    yield Commit()


def sweep_inputs(age_s: float = ORPHAN_AGE_S) -> Acting[int]:
    """Delete inputs of orders that were never accepted; their number. The log has the last word, not a row."""
    rows: list[Row] = yield Run(statements.ORPHAN_INPUTS, {"age_s": age_s, "limit": _BATCH})
    yield Commit()
    deleted = 0
    for row in rows:
        job = yield from load(row["job_id"])
        if job is None:
            yield Run(statements.DELETE_INPUTS, {"job_id": row["job_id"]})
            yield Commit()
            deleted += 1
    return deleted


def sweep_outputs(age_s: float = ORPHAN_AGE_S) -> Acting[int]:
    """Delete pictures that no event gives to anybody, object first; their number."""
    rows: list[Row] = yield Run(statements.ORPHAN_OUTPUTS, {"age_s": age_s, "limit": _BATCH})
    yield Commit()
    deleted = 0
    for row in rows:
        job = yield from load(row["job_id"])
        if job is None or gives(job, row["output_id"]):
            continue
        try:
            yield Erase(row["object_key"])
        except StoreUnavailable:
            return deleted
        yield Run(statements.DELETE_OUTPUT, {"output_id": row["output_id"]})
        yield Commit()
        deleted += 1
    return deleted


def gives(job: Job, output_id: UUID) -> bool:
    """Whether a picture is, or may yet become, one that the job gives."""
    if job.end is None:
        return True
    return isinstance(job.end, JobSucceeded) and any(output.output_id == output_id for output in job.end.outputs)
