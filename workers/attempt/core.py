"""The course of one attempt: reserve, submit, watch, and hand over to ``finish``. Without I/O, lock or clock.

An attempt that was taken over from a dead worker enters where its row says: it attaches to what the node knows, and
never posts again. Whatever ends the core early, the lease lapses and somebody else enters in the same way.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from msgspec import Struct

from ledger.domain.codec import encode_event
from ledger.domain.verdicts import Answer, Done
from ledger.errors import NotDone, OutcomeUnknown
from ledger.ports import Companion, Request
from ledger.sansio import Submit
from workers.attempt import finish, statements
from workers.attempt.effects import Acting, CancelNode, Listen, LookUp, Post, Pulse, Rest, Tell, Vitals
from workers.attempt.report import Report
from workers.attempt.work import Closing, Fenced, Work, close, own, pulse, transact
from workers.generation.asking import Now
from workers.generation.bind import bind, prefix_of
from workers.generation.events import JobStarted
from workers.generation.job import Job, load
from workers.generation.reserve import Held, NotHeld, by_worker, ensure_hold
from workers.limits import POLL_S, RUN_LEAST_S, SETTLE_MARGIN_S
from workers.nodes.port import Completed, Submission, Submitted, Unknown
from workers.nodes.verdicts import (
    AskCancel,
    CancelCause,
    Collect,
    Course,
    Patience,
    Verdict,
    VerdictKind,
    Wait,
    ask_cancel,
    assess,
    begin,
    hear,
    observe,
    of_submission,
)

_ASK_AGAIN_S = 1.0
_START_TRIES = 3
_UNKNOWN_TOOL_S = 5.0


def run_attempt(work: Work) -> Acting[Report]:
    """Bring an attempt to its end, from wherever its row says it is."""
    try:
        return (yield from _run(work))
    except Fenced:
        return Report(result="fenced")


def _run(work: Work) -> Acting[Report]:
    job = yield from load(work.claim.job_id)
    if job is None or job.end is not None:
        return (yield from finish.of_ended_job(work, job))
    work.adopt(job)
    if not work.runnable:
        yield from close(work, Closing(verdict="unknown-tool", avoid=True, wait_s=_UNKNOWN_TOOL_S))
        return Report(result="postponed", verdict="unknown-tool")
    if work.claim.state == "stored":
        return (yield from finish.deliver(work, work.claim.outputs))
    if work.claim.state == "claimed":
        begun = yield from _begin(work, job)
    else:
        begun = yield from _attach(work)
    while isinstance(begun, Course):
        end = yield from _watch(work, begun)
        if isinstance(end, Verdict):
            begun = end
            break
        collected = yield from finish.collect(work, end.completed)
        if isinstance(collected, Report):
            return collected
        begun = observe(end.course, collected, now_s=(yield from pulse(work)).now_s)
    if isinstance(begun, Verdict):
        return (yield from finish.break_off(work, begun))
    return begun


def _begin(work: Work, job: Job) -> Acting[Course | Verdict | Report]:
    """Reserve, bind and submit; a report where there is nothing to run."""
    try:
        held = yield from ensure_hold(by_worker(job))
    except (NotDone, OutcomeUnknown):
        return (yield from finish.postpone(work, "ledger-busy"))
    if isinstance(held, NotHeld):
        return (yield from finish.not_held(work, held.refused))
    if not (yield from _fits(work, held)):
        yield from close(work, Closing(verdict="too-late"))
        return Report(result="postponed", verdict="too-late")
    rows = yield from transact(statements.INPUTS, {"job_id": job.job_id})
    if not rows:
        return (yield from finish.give_up(work, "inputs-erased"))
    inputs = work.inputs(prompt=rows[0]["prompt"], negative_prompt=rows[0]["negative_prompt"])
    prefix = prefix_of(work.claim.attempt_id)
    graph = bind(work.tool, work.template, inputs, seed=work.seed, prefix=prefix)
    yield Listen()
    yield from own(work, statements.SUBMITTING)
    work.sent = True
    submission: Submission = yield Post(graph)
    rejected = of_submission(submission)
    if rejected is not None:
        return rejected
    assert isinstance(submission, Submitted | Unknown)
    vitals = yield from pulse(work)
    work.began_s = vitals.now_s
    return begin(submission, now_s=vitals.now_s)


def _fits(work: Work, held: Held) -> Acting[bool]:
    """Whether the hold outlasts an attempt that begins now; the attempt's own limit is cut to it."""
    now: datetime = yield Now()
    left: timedelta = held.lease_until - now
    work.run_limit_s = min(work.run_limit_s, left.total_seconds() - SETTLE_MARGIN_S)
    return work.run_limit_s >= RUN_LEAST_S


def _attach(work: Work) -> Acting[Course]:
    """Take up an attempt that may be on the node: only a look-up can tell."""
    yield Listen()
    vitals = yield from pulse(work)
    work.began_s = vitals.now_s
    known = work.claim.state != "submitting"
    submission = Submitted(attached=True) if known else Unknown(reason="taken over", sent=True)
    return begin(submission, now_s=vitals.now_s)


class _Completion(Struct, frozen=True):
    """The node is done; ``course`` goes on if the files cannot be had."""

    completed: Completed
    course: Course


def _watch(work: Work, course: Course) -> Acting[Verdict | _Completion]:
    """Look the attempt up until it has ended one way or another."""
    times = work.tool.times
    patience = Patience(stall_s=times.stall_s, pending_s=times.pending_s, deadline_s=work.run_limit_s)
    asked_s = 0.0
    while True:
        vitals = yield from pulse(work)
        if work.cancel_asked and (course.cancel is None or vitals.now_s - asked_s >= _ASK_AGAIN_S):
            course = yield from _cancel(course, CancelCause.ASKED, vitals)
            asked_s = vitals.now_s
        course = yield from _look(work, course, vitals)
        now_s = (yield Pulse()).now_s
        step = assess(course, patience, now_s=now_s)
        match step:
            case Wait():
                yield Rest(POLL_S)
            case AskCancel(cause=cause):
                course = yield from _cancel(course, cause, vitals)
                asked_s = vitals.now_s
            case Collect(completed=completed):
                return _Completion(completed, course)
            case Verdict():
                return (yield from _fence(step))
            case _:
                assert_never(step)


def _look(work: Work, course: Course, vitals: Vitals) -> Acting[Course]:
    if vitals.heard_s is not None and vitals.heard_s > course.heard_s:
        course = hear(course, now_s=vitals.heard_s)
    state = yield LookUp()
    now_s = (yield from pulse(work)).now_s
    course = observe(course, state, now_s=now_s)
    if course.accepted and not work.started:
        yield from _start(work)
    return course


def _cancel(course: Course, cause: CancelCause, vitals: Vitals) -> Acting[Course]:
    if course.cancel is None and cause is CancelCause.ASKED:
        yield Tell("cancelling")
    yield CancelNode()
    return ask_cancel(course, cause, now_s=vitals.now_s)


def _fence(end: Verdict) -> Acting[Verdict]:
    """Ask once more for the end of an attempt that is given up although the node may still have it."""
    if end.kind in {VerdictKind.LOST, VerdictKind.STUCK}:
        yield CancelNode()
    return end


def _start(work: Work) -> Acting[None]:
    """Record that the node has the attempt, once; a busy ledger is asked again at the next look."""
    yield from own(work, statements.SUBMITTED)
    for _ in range(_START_TRIES):
        job = yield from load(work.claim.job_id)
        if job is None or job.end is not None or job.attempt_id == work.claim.attempt_id:
            work.started = True
            return
        try:
            answer: Answer = yield Submit(_started(work, job))
        except (NotDone, OutcomeUnknown):
            return
        if isinstance(answer.verdict, Done):
            work.started = True
            return


def _started(work: Work, job: Job) -> Request:
    event = JobStarted(attempt_id=work.claim.attempt_id, n=work.claim.n)
    return Request(
        key=f"start:{job.job_id}:{work.claim.attempt_id}",
        operation="start-job",
        scope_id=job.accepted.account_id,
        subject_id=job.job_id,
        on_accept=(Companion(job.job_id, job.version, (encode_event(event),)),),
    )
