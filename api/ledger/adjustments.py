"""Adjustments by two operators: one proposes, which is an event of its own; another approves, and the ledger adjusts.

The key is the operator. A key never has both scopes, and cannot make one that has what it lacks, so whoever proposes
cannot approve.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import post
from litestar.types import ASGIApp
from msgspec import Struct
from msgspec.structs import replace

from api.call import Call
from api.ledger.answers import DoneOut, SetOut, done, done_out, problem_of, refused, set_out, verdict_name
from api.ledger.asked import plain
from api.ledger.bodies import AdjustIn
from api.ledger.commands import credit, effective, named
from api.ledger.desk import desk_of
from api.ledger.kinds import ADJUST
from api.ledger.routes import BODY_PROBLEMS, ON_ACCOUNT, TAG
from api.limits import PROPOSAL_LIFE_S
from api.operations import IDEMPOTENCY_KEY, REPLAYED, Answer, Operation, path_id
from api.problems import Found
from customers.domain.keys import Principal
from ledger.domain.codec import RecordedEvent, encode_event, tag_of
from ledger.domain.commands import AdjustBalance
from ledger.domain.events import AdjustmentCause
from ledger.domain.rules.known import not_ahead
from ledger.domain.verdicts import Done, Refused
from ledger.errors import EffectiveInFuture, InvalidRequest, StreamConflict
from ledger.ports import Companion, Request
from ledger.writer.prepare import check_effective

PROPOSE, APPROVE = "http/propose-adjustment", "http/approve-adjustment"


class AdjustmentProposed(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="api.adjustment-proposed.v1"
):
    """An operator asks for a change of a balance; the first event of a stream of its own. Operators are key ids."""

    organisation_id: UUID
    account_id: UUID
    amount_ucr: int
    cause: AdjustmentCause
    operator_id: UUID
    reason: str = ""
    effective_at: datetime | None = None


class AdjustmentApproved(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="api.adjustment-approved.v1"
):
    """Another operator agreed, in the same append as the adjustment."""

    operator_id: UUID


_NOWHERE = 3
"""A version that no proposal's stream is at: it has one event, and a second when it is approved."""

PROPOSED_TAG = tag_of(AdjustmentProposed)
_decoder = msgspec.json.Decoder(AdjustmentProposed)
_PROPOSE = Operation(
    operation_id="proposeAdjustment",
    summary="Propose an adjustment",
    description="Changes nothing until another operator approves it; `subject_id` is what to approve, within 7 days.",
    tag=TAG,
    scope=ADJUST,
    answers=(Answer(status=202, description="Proposed.", kind=SetOut, headers=REPLAYED),),
    body=AdjustIn,
    example={"amount": "-2.5", "cause": "correction", "reason": "counted-twice"},
    parameters=(IDEMPOTENCY_KEY,),
    problems=(*BODY_PROBLEMS, "idempotency-key-missing", *ON_ACCOUNT, "effective-in-future"),
    quota="ledger",
)
_APPROVE = Operation(
    operation_id="approveAdjustment",
    summary="Approve an adjustment",
    description="Adjusts the balance as another operator proposed. A proposal is approved once.",
    tag=TAG,
    scope="ledger:approve",
    answers=(Answer(status=200, description="Adjusted.", kind=DoneOut, headers=REPLAYED),),
    parameters=(path_id("adjustment_id", "adj", "The proposal."), IDEMPOTENCY_KEY),
    problems=(
        "idempotency-key-missing",
        *ON_ACCOUNT,
        "proposal-unknown",
        "proposal-ended",
        "second-operator-needed",
        "insufficient-credits",
        "account-closed",
        "effective-in-future",
        "too-many-slices",
        "too-many-grants",
        "balance-too-large",
    ),
    quota="ledger",
)


@post("/ledger/adjustments", opt=_PROPOSE.options(), status_code=202)
async def propose(request: Call) -> ASGIApp:
    """Ask for a change of a balance."""
    key, body, principal = request.idempotency_key(), await request.read(AdjustIn), request.principal
    desk = desk_of(request)
    account_id = principal.account_id if body.account_id is None else named("acc", body.account_id, "account_id")
    if not await desk.owns(principal, account_id):
        return problem_of(request, Found(code="account-unknown"), request.instance)
    event = _proposed(principal, account_id, body)
    wanted = _proposal(request, key, body, event)
    untimely = _untimely(event.effective_at, request.services.clock.now())
    (answer,) = await desk.submit([wanted if untimely is None else _recalled(wanted, account_id)])
    if isinstance(answer.verdict, Done):
        return done(set_out("adj", answer.verdict), 202, replayed=answer.replayed)
    if untimely is not None and answer.verdict.code == StreamConflict.code:
        raise untimely
    return _refused(request, answer.verdict, verdict_name(account_id, PROPOSE, key), replayed=answer.replayed)


@post("/ledger/adjustments/{adjustment_id:str}/approve", opt=_APPROVE.options(), status_code=200)
async def approve(request: Call) -> ASGIApp:
    """Agree to a change of a balance that somebody else asked for."""
    key, adjustment_id = request.idempotency_key(), request.id_of("adj", "adjustment_id")
    events = await request.cross(request.services.ledger.stream, adjustment_id, limit=2)
    proposal = read_proposal(events, request.principal.organisation_id)
    if proposal is None:
        return problem_of(request, Found(code="proposal-unknown"), request.instance)
    wanted = _approval(request, key, adjustment_id, proposal)
    if has_ended(events, request.services.clock.now()):
        wanted = _recalled(wanted, proposal.account_id)
    (answer,) = await desk_of(request).submit([wanted])
    if isinstance(answer.verdict, Done):
        return done(done_out("adj", proposal.account_id, answer.verdict), 200, replayed=answer.replayed)
    instance = verdict_name(proposal.account_id, APPROVE, key)
    return _refused(request, answer.verdict, instance, replayed=answer.replayed)


def signed(text: str) -> int:
    """Micro-credits of an amount that may be negative.

    :raises Invalid: zero, or more than one command may name.
    """
    return -credit(text[1:]) if text.startswith("-") else credit(text)


def _proposed(principal: Principal, account_id: UUID, body: AdjustIn) -> AdjustmentProposed:
    return AdjustmentProposed(
        organisation_id=principal.organisation_id,
        account_id=account_id,
        amount_ucr=signed(body.amount),
        cause=body.cause,
        operator_id=principal.key_id,
        reason=body.reason or "",
        effective_at=effective(body.effective_at),
    )


def _untimely(effective_at: datetime | None, now: datetime) -> InvalidRequest | EffectiveInFuture | None:
    """What every approval would be told about the date that a proposal is meant for: nobody is to wait for that."""
    try:
        if effective_at is not None:
            check_effective(effective_at)
        not_ahead(effective_at, now)
    except (InvalidRequest, EffectiveInFuture) as error:
        return error
    return None


def _proposal(request: Call, key: str, body: AdjustIn, event: AdjustmentProposed) -> Request:
    adjustment_id = request.services.ids.new()
    sent: dict[str, Any] = {"amount": plain(body.amount), "cause": body.cause, "operator_id": event.operator_id}
    sent |= {"reason": body.reason, "effective_at": body.effective_at}
    return Request(
        key=key,
        operation=PROPOSE,
        scope_id=event.account_id,
        body=sent,
        origin="caller",
        subject_id=adjustment_id,
        on_accept=(Companion(adjustment_id, 0, (encode_event(event),)),),
        dry_run=body.dry_run,
    )


def _approval(request: Call, key: str, adjustment_id: UUID, proposal: AdjustmentProposed) -> Request:
    approver_id = request.principal.key_id
    command = AdjustBalance(
        account_id=proposal.account_id,
        adjustment_id=adjustment_id,
        amount_ucr=proposal.amount_ucr,
        cause=proposal.cause,
        operator_id=proposal.operator_id,
        approver_id=approver_id,
        reason=proposal.reason,
        effective_at=effective(proposal.effective_at),
    )
    return Request(
        key=key,
        operation=APPROVE,
        command=command,
        body={"adjustment_id": adjustment_id, "operator_id": approver_id},
        origin="caller",
        subject_id=adjustment_id,
        on_accept=(Companion(adjustment_id, 1, (encode_event(AdjustmentApproved(operator_id=approver_id)),)),),
    )


def _recalled(request: Request, account_id: UUID) -> Request:
    """The same request, of which nothing can come but the verdict that its key has already.

    Its event has no place in the stream: without a verdict it is a ``StreamConflict``, which is not kept.
    """
    (companion,) = request.on_accept
    nowhere = replace(companion, after_version=_NOWHERE)
    return replace(request, command=None, scope_id=account_id, on_accept=(nowhere,))


def read_proposal(events: Sequence[RecordedEvent], organisation_id: UUID) -> AdjustmentProposed | None:
    """The proposal that a stream begins with, if it is one of the organisation."""
    if not events or events[0].tag != PROPOSED_TAG:
        return None
    proposal = _decoder.decode(events[0].state)
    return proposal if proposal.organisation_id == organisation_id else None


def has_ended(events: Sequence[RecordedEvent], now: datetime) -> bool:
    """Whether nobody can approve a proposal any more: it was approved, or its time is over."""
    return len(events) > 1 or now - events[0].recorded_at > timedelta(seconds=PROPOSAL_LIFE_S)


def _refused(request: Call, verdict: Refused, instance: str, *, replayed: bool) -> ASGIApp:
    if verdict.code == StreamConflict.code:  # its time is over, or somebody approved it with another key
        return problem_of(request, Found(code="proposal-ended"), request.instance)
    return problem_of(request, refused(verdict, replayed=replayed), instance)
