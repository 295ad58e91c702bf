"""How a job ends, or goes on: what became of an attempt, its hold and the job's stream move in one append.

Sans I/O. Whatever happens between two steps, the stream is read again and decides: the first end recorded wins, a
result that comes later is nobody's charge. Every request has a key of its own, so that asking twice does it once.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, assert_never
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import encode_event
from ledger.domain.commands import Command, CommitHold, ExpireHold, ReleaseHold
from ledger.domain.verdicts import Answer, Refused
from ledger.errors import NotDone, OutcomeUnknown
from ledger.ports import Companion, Request
from ledger.sansio import Sleep, Submit
from workers.generation import events
from workers.generation.asking import Asking
from workers.generation.job import Job, load
from workers.limits import SETTLE_PAUSE_S, SETTLE_TRIES_MAX


class Delivered(Struct, frozen=True, kw_only=True):
    """The pictures are verified and stored."""

    attempt_id: UUID
    outputs: tuple[events.StoredOutput, ...]
    seed: int
    gpu_ms: int
    cost_micro: int = 0


class Broken(Struct, frozen=True, kw_only=True):
    """An attempt ended without a result; ``again`` says whether another may be made."""

    attempt_id: UUID | None
    code: str
    again: bool
    gpu_ms: int = 0
    cost_micro: int = 0


class Withdrawn(Struct, frozen=True, kw_only=True):
    """The customer's cancel took effect; ``charge_ucr`` is what the tool's rule charges for it."""

    attempt_id: UUID | None
    charge_ucr: int = 0
    gpu_ms: int = 0
    cost_micro: int = 0


class Overdue(Struct, frozen=True, kw_only=True):
    """The job's deadline has passed."""


Outcome: TypeAlias = Delivered | Broken | Withdrawn | Overdue
Result: TypeAlias = Literal["given", "requeued", "ended", "late", "not-due", "unknown-job"]


class Settlement(Struct, frozen=True, kw_only=True):
    """What the stream says now. ``given``: this attempt's pictures are the job's; ``late``: they are nobody's."""

    result: Result
    job: Job | None


class SettlementStuck(Exception):
    """The ledger gave no definite answer for too long; the attempt's lease lapses and somebody tries again."""


class Step(Struct, frozen=True, kw_only=True):
    """One append: a ledger command, if any, and the event that goes with it."""

    key: str
    operation: str
    command: Command | None
    event: events.JobEvent


def settle(job_id: UUID, outcome: Outcome) -> Asking[Settlement]:
    """Bring an outcome into the books, once.

    :raises SettlementStuck: no definite answer after ``SETTLE_TRIES_MAX`` tries.
    """
    hold_gone = False
    for _ in range(SETTLE_TRIES_MAX):
        job = yield from load(job_id)
        if job is None:
            return Settlement(result="unknown-job", job=None)
        step = decide(job, outcome, hold_gone=hold_gone)
        if not isinstance(step, Step):
            return Settlement(result=step, job=job)
        refused = yield from append(job, step)
        if refused is None:
            continue
        if refused.code == "hold-not-due":
            return Settlement(result="not-due", job=job)
        if refused.code in {"hold-resolved", "hold-unknown"}:
            hold_gone = True
        else:
            yield Sleep(SETTLE_PAUSE_S)
    raise SettlementStuck(f"job {job_id} was not settled in {SETTLE_TRIES_MAX} tries")


def append(job: Job, step: Step) -> Asking[Refused | None]:
    """Ask for one append; None once it is done or may have been done: read the stream again to know."""
    companion = Companion(job.job_id, job.version, (encode_event(step.event),))
    request = Request(
        key=step.key,
        operation=step.operation,
        command=step.command,
        scope_id=job.accepted.account_id,
        subject_id=job.job_id,
        on_accept=(companion,),
    )
    try:
        answer: Answer = yield Submit(request)
    except (NotDone, OutcomeUnknown):
        yield Sleep(SETTLE_PAUSE_S)
        return None
    return answer.verdict if isinstance(answer.verdict, Refused) else None


def decide(job: Job, outcome: Outcome, *, hold_gone: bool) -> Step | Result:
    """The next append that an outcome calls for, or what it has come to. Pure and total.

    ``hold_gone``: the ledger says that the hold is resolved although the job has not ended; nothing can be charged.
    """
    if job.end is not None:
        return _after_the_end(job, job.end, outcome)
    match outcome:
        case Delivered():
            return _delivered(job, outcome, hold_gone=hold_gone)
        case Broken():
            return _broken(job, outcome, hold_gone=hold_gone)
        case Withdrawn():
            return _withdrawn(job, outcome, hold_gone=hold_gone)
        case Overdue():
            command = None if job.hold_id is None or hold_gone else _expire(job)
            return Step(
                key=f"expire:{job.job_id}",
                operation="expire-job",
                command=command,
                event=events.JobExpired(attempt_id=job.attempt_id),
            )
        case _:
            assert_never(outcome)


def _delivered(job: Job, outcome: Delivered, *, hold_gone: bool) -> Step:
    price_ucr = job.accepted.price_ucr
    if price_ucr > 0 and (hold_gone or job.hold_id is None):
        return _failed(job, outcome.attempt_id, "hold-lapsed", outcome.gpu_ms, hold_gone=True)
    command = None
    if job.hold_id is not None and price_ucr > 0:
        command = CommitHold(account_id=job.accepted.account_id, hold_id=job.hold_id, amount_ucr=price_ucr)
    event = events.JobSucceeded(
        attempt_id=outcome.attempt_id,
        charged_ucr=price_ucr,
        outputs=outcome.outputs,
        seed=outcome.seed,
        gpu_ms=outcome.gpu_ms,
    )
    return Step(key=f"commit:{job.job_id}", operation="settle-job", command=command, event=event)


def _broken(job: Job, outcome: Broken, *, hold_gone: bool) -> Step | Result:
    if outcome.attempt_id is not None and outcome.attempt_id in job.requeued:
        return "requeued"
    if not outcome.again or outcome.attempt_id is None:
        return _failed(job, outcome.attempt_id, outcome.code, outcome.gpu_ms, hold_gone=hold_gone)
    event = events.JobRequeued(attempt_id=outcome.attempt_id, code=outcome.code, gpu_ms=outcome.gpu_ms)
    key = f"requeue:{job.job_id}:{outcome.attempt_id}"
    return Step(key=key, operation="requeue-job", command=None, event=event)


def _failed(job: Job, attempt_id: UUID | None, code: str, gpu_ms: int, *, hold_gone: bool) -> Step:
    command = None if job.hold_id is None or hold_gone else _release(job, "job-failed")
    event = events.JobFailed(code=code, attempt_id=attempt_id, gpu_ms=gpu_ms)
    return Step(key=f"release:{job.job_id}", operation="settle-job", command=command, event=event)


def _withdrawn(job: Job, outcome: Withdrawn, *, hold_gone: bool) -> Step:
    charge_ucr = min(outcome.charge_ucr, job.accepted.price_ucr)
    command: Command | None = None
    if job.hold_id is None or hold_gone:
        charge_ucr = 0
    elif charge_ucr > 0:
        command = CommitHold(account_id=job.accepted.account_id, hold_id=job.hold_id, amount_ucr=charge_ucr)
    else:
        command = _release(job, "job-cancelled")
    event = events.JobCancelled(charged_ucr=charge_ucr, attempt_id=outcome.attempt_id, gpu_ms=outcome.gpu_ms)
    return Step(key=f"cancel:{job.job_id}", operation="settle-job", command=command, event=event)


def _after_the_end(job: Job, end: events.JobEnd, outcome: Outcome) -> Step | Result:
    """An outcome of a job that has ended: its own, or one that comes too late and is recorded as our cost."""
    attempt_id = None if isinstance(outcome, Overdue) else outcome.attempt_id
    if isinstance(outcome, Delivered) and isinstance(end, events.JobSucceeded) and end.attempt_id == attempt_id:
        return "given"
    done: Result = "late" if isinstance(outcome, Delivered) else "ended"
    if isinstance(outcome, Overdue) or attempt_id is None or outcome.gpu_ms == 0:
        return done
    told = attempt_id in job.costed or attempt_id in job.requeued or _accounted(end, attempt_id)
    return done if told else _cost(job, end, attempt_id, outcome)


def _accounted(end: events.JobEnd, attempt_id: UUID) -> bool:
    return not isinstance(end, events.JobExpired) and end.attempt_id == attempt_id and end.gpu_ms > 0


def _cost(job: Job, end: events.JobEnd, attempt_id: UUID, outcome: Delivered | Broken | Withdrawn) -> Step:
    event = events.JobCostRecorded(
        attempt_id=attempt_id,
        reason="duplicate" if isinstance(end, events.JobSucceeded) else "late",
        gpu_ms=outcome.gpu_ms,
        cost_micro=outcome.cost_micro,
    )
    return Step(key=f"cost:{job.job_id}:{attempt_id}", operation="record-cost", command=None, event=event)


def _release(job: Job, reason: str) -> ReleaseHold:
    assert job.hold_id is not None
    return ReleaseHold(account_id=job.accepted.account_id, hold_id=job.hold_id, reason=reason)


def _expire(job: Job) -> ExpireHold:
    assert job.hold_id is not None
    return ExpireHold(account_id=job.accepted.account_id, hold_id=job.hold_id)
