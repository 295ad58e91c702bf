"""The end of one attempt: pictures stored and paid for, or nothing charged; then its rows, its slot and its node.

The order is what makes a crash harmless: first what the job refers to (rows, then objects), then the append that says
so, then the bookkeeping. Who takes over finds the attempt at one of these steps and goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, assert_never

from msgspec.structs import replace

from ledger.domain.verdicts import Refused
from ledger.sansio import Sleep, Wake
from workers.attempt import statements
from workers.attempt.effects import Acting, CancelNode, Erase, FreeMemory, Gather, Put, Vitals
from workers.attempt.report import Report
from workers.attempt.work import SUSPECT, Closing, Work, close, encode_outputs, node_time, own, pulse, transact
from workers.errors import StoreUnavailable
from workers.generation.events import JobSucceeded, StoredOutput
from workers.generation.job import Job
from workers.generation.price import cancel_charge_ucr
from workers.generation.reserve import FINAL_REFUSALS
from workers.generation.settle import Broken, Delivered, Withdrawn, settle
from workers.limits import ATTEMPTS_MAX, STORE_PATIENCE_S
from workers.naming import object_key_of, output_id_of
from workers.nodes.port import Completed, Unreachable
from workers.nodes.verdicts import NodeAction, Retry, Verdict, VerdictKind, of_outputs
from workers.outputs import OutputRefused, Picture
from workers.topics import SLOTS_TOPIC as SLOTS

CODES = MappingProxyType(
    {kind: kind.value.replace("_", "-") for kind in VerdictKind}
    | {
        VerdictKind.SUSPECT_BLACK: SUSPECT,
        VerdictKind.OOM: "out-of-memory",
        VerdictKind.OVERDUE: "time-limit",
        VerdictKind.INVALID: "not-accepted",
    }
)
"""Stable codes of what became of an attempt, as customers see them."""

_NODE_STATES: Mapping[NodeAction, tuple[str, str]] = MappingProxyType(
    {
        NodeAction.CANARY: ("new", "must prove itself"),
        NodeAction.RESTART: ("quarantined", "restart"),
        NodeAction.QUARANTINE: ("quarantined", "stuck"),
        NodeAction.PROBATION: ("out", "lost"),
    }
)
_AGAIN_LATER_S = 5.0
_STORE_PAUSE_S = 0.5


def collect(work: Work, completed: Completed) -> Acting[Report | Unreachable]:
    """Free the slot, then fetch, verify, store and commit; unreachable: the outcome is not known, look again."""
    yield from own(work, statements.NODE_ENDED)
    yield Wake(SLOTS, work.claim.gpu_class)
    gathered: tuple[Picture, ...] | OutputRefused | Unreachable = yield Gather(
        completed, work.tool, work.job.accepted.images
    )
    if isinstance(gathered, Unreachable):
        return gathered
    if isinstance(gathered, OutputRefused):
        return (yield from break_off(work, of_outputs(gathered)))
    outputs = yield from _store(work, gathered)
    if outputs is None:
        again = len(work.job.requeued) + 1 < ATTEMPTS_MAX
        return (yield from _break(work, "store-unavailable", again=again, closing=Closing(verdict="store")))
    return (yield from deliver(work, outputs))


def _store(work: Work, pictures: tuple[Picture, ...]) -> Acting[tuple[StoredOutput, ...] | None]:
    """Rows, then objects, then the row that says all are there; None if the store stays away."""
    claim = work.claim
    outputs = tuple(
        StoredOutput(
            output_id=output_id_of(claim.attempt_id, ordinal),
            sha256=picture.sha256,
            size_bytes=len(picture.content),
            mime=picture.mime,
            width=picture.width_px,
            height=picture.height_px,
        )
        for ordinal, picture in enumerate(pictures)
    )
    keys = [object_key_of(claim.job_id, claim.attempt_id, n, picture.mime) for n, picture in enumerate(pictures)]
    for ordinal, (output, key) in enumerate(zip(outputs, keys, strict=True)):
        yield from transact(statements.SAVE_OUTPUT, _row(work, ordinal, output, key))
    for picture, key in zip(pictures, keys, strict=True):
        if not (yield from _put(work, key, picture)):
            return None
    yield from own(work, statements.STORED, outputs=encode_outputs(outputs))
    return outputs


def _row(work: Work, ordinal: int, output: StoredOutput, key: str) -> dict[str, Any]:
    claim = work.claim
    facts = {name: getattr(output, name) for name in output.__struct_fields__}
    return facts | {
        "organisation_id": claim.organisation_id,
        "job_id": claim.job_id,
        "attempt_id": claim.attempt_id,
        "ordinal": ordinal,
        "object_key": key,
    }


def _put(work: Work, key: str, picture: Picture) -> Acting[bool]:
    first_s = (yield from pulse(work)).now_s
    while True:
        try:
            yield Put(key, picture.content, picture.mime)
        except StoreUnavailable:
            if (yield from pulse(work)).now_s - first_s >= STORE_PATIENCE_S:
                return False
            yield Sleep(_STORE_PAUSE_S)
        else:
            return True


def deliver(work: Work, outputs: tuple[StoredOutput, ...]) -> Acting[Report]:
    """Commit what is stored, once; what comes too late is deleted again and is our cost."""
    yield from pulse(work)
    gpu_ms = yield from node_time(work)
    delivered = Delivered(
        attempt_id=work.claim.attempt_id,
        outputs=outputs,
        seed=work.seed,
        gpu_ms=gpu_ms,
        cost_micro=work.cost_micro(gpu_ms),
    )
    settled = yield from settle(work.claim.job_id, delivered)
    if settled.result == "given":
        yield from close(work, Closing(verdict=VerdictKind.SUCCESS.value, good=True))
        return Report(result="given", verdict=VerdictKind.SUCCESS.value)
    yield from drop_outputs(work)
    yield from close(work, Closing(verdict="late", good=True))
    return Report(result="late", verdict=VerdictKind.SUCCESS.value)


def break_off(work: Work, verdict: Verdict) -> Acting[Report]:
    """End an attempt without a result: the customer's cancel, a retry, or the job's end."""
    if verdict.action is NodeAction.FREE:
        yield FreeMemory()
    again = yield from _again(work, verdict)
    closing = _closing(work, verdict, again=again)
    return (yield from _break(work, CODES[verdict.kind], again=again, closing=closing))


def _break(work: Work, code: str, *, again: bool, closing: Closing) -> Acting[Report]:
    vitals = yield from pulse(work)
    gpu_ms = yield from node_time(work)
    attempt_id, cost_micro = work.claim.attempt_id, work.cost_micro(gpu_ms)
    outcome: Broken | Withdrawn
    if work.cancel_asked:
        charge_ucr = _cancel_charge(work, vitals)
        outcome = Withdrawn(attempt_id=attempt_id, charge_ucr=charge_ucr, gpu_ms=gpu_ms, cost_micro=cost_micro)
    else:
        outcome = Broken(attempt_id=attempt_id, code=code, again=again, gpu_ms=gpu_ms, cost_micro=cost_micro)
    settled = yield from settle(work.claim.job_id, outcome)
    yield from drop_outputs(work)
    yield from close(work, replace(closing, wait_s=0.0) if settled.result == "requeued" else closing)
    yield Wake(SLOTS, work.claim.gpu_class)
    return Report(result=settled.result, verdict=closing.verdict, node_state=closing.node_state)


def _cancel_charge(work: Work, vitals: Vitals) -> int:
    return cancel_charge_ucr(
        work.tool,
        work.job.accepted.price_ucr,
        ran_s=vitals.now_s - work.began_s,
        expected_s=work.tool.expected_s(work.inputs()),
        preview_sent=vitals.preview_s is not None,
    )


def _again(work: Work, verdict: Verdict) -> Acting[bool]:
    """Whether another attempt is made, after those that ended without a result."""
    made = len(work.job.requeued) + 1
    if made >= ATTEMPTS_MAX:
        return False
    match verdict.retry:
        case Retry.NONE:
            return False
        case Retry.ONCE:
            return made == 1
        case Retry.ELSEWHERE:
            return True
        case Retry.LARGER:
            return work.tool.larger_gpu_class is not None
        case Retry.CAPABLE:
            rows = yield from transact(statements.OTHERS, {"needs": work.needs, "node": work.claim.node})
            return bool(rows[0]["nodes"])
        case _:
            assert_never(verdict.retry)


def _closing(work: Work, verdict: Verdict, *, again: bool) -> Closing:
    node_state, reason = _NODE_STATES.get(verdict.action, (None, ""))
    return Closing(
        verdict=verdict.kind.value,
        detail=verdict.detail,
        duplicated=work.sent and verdict.kind in {VerdictKind.LOST, VerdictKind.STUCK},
        avoid=again,
        gpu_class=work.tool.larger_gpu_class if again and verdict.retry is Retry.LARGER else None,
        failed=verdict.action is NodeAction.COUNT,
        cannot=work.needs if verdict.action is NodeAction.DROP_CAPABILITY else None,
        node_state=node_state,
        reason=reason,
    )


def not_held(work: Work, refused: Refused) -> Acting[Report]:
    """No live hold, no run: the job fails where nothing will bring one, and waits where time may."""
    if refused.code in FINAL_REFUSALS:
        return (yield from give_up(work, refused.code))
    return (yield from postpone(work, refused.code))


def postpone(work: Work, code: str) -> Acting[Report]:
    """Put the job back for some seconds: nothing was sent to a node."""
    yield from close(work, Closing(verdict=code, wait_s=_AGAIN_LATER_S))
    return Report(result="postponed", verdict=code)


def give_up(work: Work, code: str) -> Acting[Report]:
    """End the job: nothing was sent to a node, and nothing will be."""
    settled = yield from settle(work.claim.job_id, Broken(attempt_id=work.claim.attempt_id, code=code, again=False))
    yield from close(work, Closing(verdict=code))
    return Report(result=settled.result, verdict=code)


def of_ended_job(work: Work, job: Job | None) -> Acting[Report]:
    """Close an attempt whose job has ended without it, or whose worker died after the last append."""
    if job is not None and isinstance(job.end, JobSucceeded) and job.end.attempt_id == work.claim.attempt_id:
        yield from close(work, Closing(verdict=VerdictKind.SUCCESS.value, good=True))
        return Report(result="given", verdict=VerdictKind.SUCCESS.value)
    if work.sent and job is not None:
        work.adopt(job)
        yield CancelNode()
        gpu_ms = yield from node_time(work)
        cost_micro = work.cost_micro(gpu_ms)
        outcome = Withdrawn(attempt_id=work.claim.attempt_id, gpu_ms=gpu_ms, cost_micro=cost_micro)
        yield from settle(work.claim.job_id, outcome)
    yield from drop_outputs(work)
    yield from close(work, Closing(verdict="moot"))
    return Report(result="ended", verdict="moot")


def drop_outputs(work: Work) -> Acting[None]:
    """Delete what was stored for nobody; what cannot be deleted now, the sweep finds."""
    rows = yield from transact(statements.OUTPUT_KEYS, work.names)
    try:
        for row in rows:
            yield Erase(row["object_key"])
    except StoreUnavailable:
        return
    if rows:
        yield from transact(statements.DELETE_OUTPUTS, work.names)
