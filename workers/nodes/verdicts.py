"""From what was observed of one attempt to what it means: pure, and the whole table of it.

`Course` folds what a runner sees over time (`observe`, `hear`, `ask_cancel`); `assess` says whether to wait, to ask the
node for a cancel, to fetch the outputs, or gives the verdict. Times are seconds of one monotonic clock, given in.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias, assert_never

import msgspec

from workers.nodes.port import (
    Absent,
    Cancelled,
    Completed,
    Failed,
    InProgress,
    JobState,
    NodeError,
    Pending,
    Refusal,
    Rejected,
    Submission,
    Submitted,
    Unknown,
    Unreachable,
)
from workers.outputs import OutputFault, OutputRefused


class VerdictKind(StrEnum):
    """What became of an attempt."""

    SUCCESS = "success"
    OUTPUTS_MISSING = "outputs_missing"
    SUSPECT_BLACK = "suspect_black"
    INVALID = "invalid"
    CAPABILITY = "capability"
    FAILED = "failed"
    OOM = "oom"
    POISONED = "poisoned"
    STUCK = "stuck"
    LOST = "lost"
    OVERDUE = "overdue"
    CANCELLED = "cancelled"


class Retry(StrEnum):
    """Whether and where a fresh attempt makes sense; who counts attempts and deadlines decides if it happens."""

    NONE = "none"
    ONCE = "once"
    """One more attempt, anywhere, with a file prefix of its own."""
    ELSEWHERE = "elsewhere"
    """On another node."""
    CAPABLE = "capable"
    """On a node that has what this one lacks; if there is none, release and raise an alert."""
    LARGER = "larger"
    """On a larger GPU class."""


class NodeAction(StrEnum):
    """What should happen to the node."""

    KEEP = "keep"
    COUNT = "count"
    """Keep it, count the failure; three in a row make it prove itself on the canary graph."""
    CANARY = "canary"
    """No job before the canary graph succeeded."""
    DROP_CAPABILITY = "drop-capability"
    """Read its capabilities again; no job that needs what was missing."""
    FREE = "free"
    """Ask it to free memory, then keep it."""
    RESTART = "restart"
    """Restart its process; nothing runs there until then."""
    QUARANTINE = "quarantine"
    """Take it out and kill its process."""
    PROBATION = "probation"
    """Out until its health checks pass again, then the canary graph."""


RULES: Mapping[VerdictKind, tuple[Retry, NodeAction]] = MappingProxyType(
    {
        VerdictKind.SUCCESS: (Retry.NONE, NodeAction.KEEP),
        VerdictKind.OUTPUTS_MISSING: (Retry.ONCE, NodeAction.KEEP),
        VerdictKind.SUSPECT_BLACK: (Retry.ELSEWHERE, NodeAction.COUNT),
        VerdictKind.INVALID: (Retry.NONE, NodeAction.KEEP),
        VerdictKind.CAPABILITY: (Retry.CAPABLE, NodeAction.DROP_CAPABILITY),
        VerdictKind.FAILED: (Retry.ONCE, NodeAction.COUNT),
        VerdictKind.OOM: (Retry.LARGER, NodeAction.FREE),
        VerdictKind.POISONED: (Retry.ELSEWHERE, NodeAction.RESTART),
        VerdictKind.STUCK: (Retry.ELSEWHERE, NodeAction.QUARANTINE),
        VerdictKind.LOST: (Retry.ELSEWHERE, NodeAction.PROBATION),
        VerdictKind.OVERDUE: (Retry.NONE, NodeAction.KEEP),
        VerdictKind.CANCELLED: (Retry.NONE, NodeAction.KEEP),
    }
)
"""What follows from each verdict. Money: SUCCESS commits, everything else keeps the hold for a retry or releases it."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one attempt. `detail` is for operators; it may hold a node's own text, never show it to customers."""

    kind: VerdictKind
    retry: Retry
    action: NodeAction
    detail: str
    lacks: tuple[str, ...] = ()


def verdict(kind: VerdictKind, detail: str = "", *, lacks: tuple[str, ...] = ()) -> Verdict:
    """Give `kind` with what the table says follows from it."""
    retry, action = RULES[kind]
    return Verdict(kind=kind, retry=retry, action=action, detail=detail, lacks=lacks)


# --- facts that stand alone


def of_rejection(rejected: Rejected) -> Verdict:
    """Judge a graph that the node refused, in whole or in part."""
    kind = VerdictKind.CAPABILITY if rejected.refusal is Refusal.CAPABILITY else VerdictKind.INVALID
    return verdict(kind, f"{rejected.type}: {rejected.message}", lacks=rejected.lacks)


def of_error(error: NodeError) -> Verdict:
    """Judge what a graph's node raised: out of memory, a CUDA context gone bad, or a plain failure."""
    detail = f"{error.node_type}: {error.exception_type}: {error.message.strip()}"
    if "OutOfMemory" in error.exception_type or "can't allocate memory" in error.message:
        return verdict(VerdictKind.OOM, detail)
    if "CUDA error" in error.message or "HIP error" in error.message:
        return verdict(VerdictKind.POISONED, detail)
    return verdict(VerdictKind.FAILED, detail)


_OUTPUT_VERDICTS: Mapping[OutputFault, VerdictKind] = MappingProxyType(
    {
        OutputFault.TOO_FEW: VerdictKind.OUTPUTS_MISSING,
        OutputFault.MISSING: VerdictKind.OUTPUTS_MISSING,
        OutputFault.EMPTY: VerdictKind.OUTPUTS_MISSING,
        OutputFault.UNREADABLE: VerdictKind.OUTPUTS_MISSING,
        OutputFault.TOO_MANY: VerdictKind.FAILED,
        OutputFault.TOO_LARGE: VerdictKind.FAILED,
        OutputFault.BLACK: VerdictKind.SUSPECT_BLACK,
        OutputFault.CONSTANT: VerdictKind.SUSPECT_BLACK,
    }
)


def of_outputs(refused: OutputRefused | None) -> Verdict:
    """Judge a completed attempt by the check of its outputs; None: all of them are good and safely stored."""
    if refused is None:
        return verdict(VerdictKind.SUCCESS)
    return verdict(_OUTPUT_VERDICTS[refused.fault], f"{refused.fault.value}: {refused.detail}")


# --- the course of an attempt


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait for what, in seconds; per workflow version."""

    stall_s: float
    """Running without a sign of life (event or change of state)."""
    pending_s: float
    """Waiting in the node's own queue, which holds one job of ours at most."""
    deadline_s: float
    """From the start of the attempt to its end."""
    unreachable_s: float = 5.0
    """Without an answer to any look-up."""
    unseen_s: float = 2.0
    """Unknown to the node after a POST whose answer was lost."""
    obey_s: float = 2.0
    """For a cancel to have an effect."""


class CancelCause(StrEnum):
    """Why the node was asked for a cancel."""

    ASKED = "asked"
    STALLED = "stalled"
    DEADLINE = "deadline"


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """What was observed of one attempt so far."""

    began_s: float
    heard_s: float
    """Last sign of life: an event of the stream, or a change of state."""
    state: Pending | InProgress | Completed | Failed | Cancelled | Absent | None = None
    """The last answer that said something; None before the first."""
    accepted: bool = False
    """The node has said at least once that it has the attempt."""
    unreachable_since_s: float | None = None
    cancel: CancelCause | None = None
    cancel_s: float = 0.0


def begin(submission: Submitted | Unknown, *, now_s: float) -> Course:
    """Start to observe after a POST that was not a refusal."""
    return Course(began_s=now_s, heard_s=now_s, accepted=isinstance(submission, Submitted))


def hear(course: Course, *, now_s: float) -> Course:
    """Note a sign of life on the stream: `Progress`, `Preview`."""
    return msgspec.structs.replace(course, heard_s=now_s)


def observe(course: Course, state: JobState, *, now_s: float) -> Course:
    """Note the answer to a look-up."""
    if isinstance(state, Unreachable):
        since_s = now_s if course.unreachable_since_s is None else course.unreachable_since_s
        return msgspec.structs.replace(course, unreachable_since_s=since_s)
    changed = type(state) is not type(course.state)
    return msgspec.structs.replace(
        course,
        state=state,
        accepted=course.accepted or not isinstance(state, Absent),
        heard_s=now_s if changed else course.heard_s,
        unreachable_since_s=None,
    )


def ask_cancel(course: Course, cause: CancelCause, *, now_s: float) -> Course:
    """Note that the node was asked for a cancel. A second cause does not replace the first."""
    if course.cancel is not None:
        return course
    return msgspec.structs.replace(course, cancel=cause, cancel_s=now_s)


class Wait(msgspec.Struct, frozen=True):
    """Nothing to conclude yet: look up again."""


class AskCancel(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the node for a cancel, and note it with `ask_cancel`."""

    cause: CancelCause


class Collect(msgspec.Struct, frozen=True, kw_only=True):
    """The node is done: fetch and verify the outputs, then `of_outputs`."""

    completed: Completed


Step: TypeAlias = Wait | AskCancel | Collect | Verdict


def assess(course: Course, patience: Patience, *, now_s: float) -> Step:
    """Say what follows from the course so far. Total: every course gets a step, and every attempt ends."""
    if course.unreachable_since_s is not None:
        lost = now_s - course.unreachable_since_s >= patience.unreachable_s
        return verdict(VerdictKind.LOST, "the node is unreachable") if lost else Wait()
    match course.state:
        case Completed() as completed:
            return Collect(completed=completed)
        case Failed(error=error):
            return of_error(error)
        case Cancelled():
            return _cancelled(course, "interrupted")
        case Absent():
            return _absent(course, patience, now_s)
        case Pending() | InProgress() | None:
            return _unfinished(course, patience, now_s)
        case _:
            assert_never(course.state)


def _cancelled(course: Course, detail: str) -> Verdict:
    """Judge an attempt that a cancel took off the node, by whose it was."""
    match course.cancel:
        case CancelCause.STALLED:
            stalled = verdict(VerdictKind.STUCK, f"silent, then {detail}")
            return msgspec.structs.replace(stalled, action=NodeAction.CANARY)
        case CancelCause.DEADLINE:
            return verdict(VerdictKind.OVERDUE, detail)
        case CancelCause.ASKED | None:
            return verdict(VerdictKind.CANCELLED, detail)
        case _:
            assert_never(course.cancel)


def _absent(course: Course, patience: Patience, now_s: float) -> Step:
    if course.cancel is not None and course.accepted:
        return _cancelled(course, "dequeued")
    if course.accepted:
        return verdict(VerdictKind.LOST, "the node forgot the attempt: it restarted")
    if now_s - course.began_s >= patience.unseen_s:
        return verdict(VerdictKind.LOST, "the node never accepted the attempt")
    return Wait()


def _unfinished(course: Course, patience: Patience, now_s: float) -> Step:
    if course.cancel is not None:
        silent_s = now_s - course.cancel_s
        return verdict(VerdictKind.STUCK, "a cancel had no effect") if silent_s >= _obey_s(course, patience) else Wait()
    if now_s - course.began_s >= patience.deadline_s:
        return AskCancel(cause=CancelCause.DEADLINE)
    limit_s = patience.stall_s if isinstance(course.state, InProgress) else patience.pending_s
    return AskCancel(cause=CancelCause.STALLED) if now_s - course.heard_s >= limit_s else Wait()


def _obey_s(course: Course, patience: Patience) -> float:
    """Give a node that was at work the time of its longest silent step before its deafness counts against it."""
    asked = course.cancel is CancelCause.ASKED
    return max(patience.obey_s, patience.stall_s) if asked else patience.obey_s


def of_submission(submission: Submission) -> Verdict | None:
    """Judge a submission that ends the attempt by itself; None: it goes on, `begin` its course."""
    return of_rejection(submission) if isinstance(submission, Rejected) else None
