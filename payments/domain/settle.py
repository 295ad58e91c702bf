"""Settlement, sans I/O: ask the source, read the log, append once. Everything that moves money goes through here.

A receipt is booked once whatever is repeated, reordered or killed in between: its stream is claimed in the append,
and whoever comes second reads it and finds nothing to do.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.domain.verdicts import Answer, Refused
from ledger.errors import GrantEnded, StreamConflict
from ledger.ports import Request
from ledger.sansio import Submit
from payments.domain import events, receipt, topup
from payments.domain.entries import Situation
from payments.domain.keys import charge_stream, receipt_stream
from payments.domain.policy import Terms
from payments.domain.settlement import NOTHING, Kind, Outcome, apply_part, expire_charge, plan
from payments.domain.topup import TopUp
from payments.effects import LookUp, PaymentCore, ReadStream
from payments.errors import SettlementPostponed
from payments.limits import RECEIVED_MINOR_MAX, SETTLE_ATTEMPTS_MAX
from payments.rail import Observation

_claims = msgspec.json.Decoder(events.ChargeClaimed)
_RANK: dict[Kind, int] = {"nothing-to-do": 0, "appended": 1, "needs-human": 2}


class Question(Struct, frozen=True, kw_only=True):
    """What to settle: a charge's ref or a movement's external id, at the database's time."""

    rail: str
    ref: str
    now: datetime


def settle_ref(asked: Question, terms: Terms) -> PaymentCore[Outcome]:
    """Ask the source about one charge and book all it says; the outcome that most needs somebody.

    :raises RailUnavailable: the source cannot be asked: nothing is known, ask again.
    :raises SettlementPostponed: nothing was written for now: ask again.
    """
    seen: list[Observation] = yield LookUp(asked.rail, asked.ref)
    outcomes = [NOTHING]
    for observation in seen:
        outcome = yield from settle(observation, terms)
        outcomes.append(outcome)
    topup_id = yield from _claimed_by(asked.rail, asked.ref)
    if topup_id is not None:
        outcomes.append((yield from close_window(topup_id, asked.now)))
    return max(outcomes, key=lambda outcome: _RANK[outcome.kind])


def settle(seen: Observation, terms: Terms) -> PaymentCore[Outcome]:
    """Book one observation, once. Raises as ``settle_ref``."""
    if not 0 < seen.amount_minor <= RECEIVED_MINOR_MAX:
        return Outcome("needs-human", "amount-out-of-range")
    refused, ended = "", frozenset[UUID]()
    for _ in range(SETTLE_ATTEMPTS_MAX):
        now = msgspec.structs.replace((yield from _situation(seen, terms)), ended=ended)
        found = plan(now, terms, refused)
        if found is None:
            return Outcome("needs-human", refused) if refused else NOTHING
        answer: Answer = yield Submit(found.request)
        if not isinstance(answer.verdict, Refused):
            return NOTHING if answer.replayed else found.outcome
        if answer.verdict.code == GrantEnded.code:
            ended |= {UUID(answer.verdict.facts["grant_id"])}
            continue
        refused = _tolerable(answer.verdict) or refused
    raise SettlementPostponed(reason="contended")


def close_window(topup_id: UUID, now: datetime) -> PaymentCore[Outcome]:
    """Say that charges have expired; credit partial payments that need not wait longer. Raises as ``settle_ref``."""
    appended, conflicts = False, 0
    while conflicts < SETTLE_ATTEMPTS_MAX:
        state = topup.fold((yield ReadStream(topup_id)))
        assert state is not None, "a claim leads to a top-up"
        request = yield from _next_closing(state, now)
        if request is None:
            return Outcome("appended", "window-closed") if appended else NOTHING
        answer: Answer = yield Submit(request)
        if isinstance(answer.verdict, Refused):
            if code := _tolerable(answer.verdict):
                return Outcome("needs-human", code)
            conflicts += 1
        else:
            appended = True
    raise SettlementPostponed(reason="contended")


def _next_closing(state: TopUp, now: datetime) -> PaymentCore[Request | None]:
    waiting = [charge for charge in state.charges if not charge.expired and charge.state != "failed"]
    for charge in waiting:
        if charge.instruction.expires_at < now and not state.satisfied:
            return expire_charge(state, charge)
    if state.pending and (state.satisfied or not waiting):
        part = state.pending[0]
        recorded: list[RecordedEvent] = yield ReadStream(part.receipt_id)
        return apply_part(state, part, receipt.fold(part.receipt_id, recorded))
    return None


def _tolerable(verdict: Refused) -> str:
    """Code of a refusal that stays; empty when somebody else moved a stream, so that reading again decides.

    :raises SettlementPostponed: nothing was written, and the same may succeed later.
    """
    if verdict.code == StreamConflict.code:
        return ""
    if verdict.transient:
        raise SettlementPostponed(reason=verdict.code)
    return verdict.code


def _situation(seen: Observation, terms: Terms) -> PaymentCore[Situation]:
    receipt_id = receipt_stream(seen.rail, seen.external_id)
    state = receipt.fold(receipt_id, (yield ReadStream(receipt_id)))
    topup_id = yield from _claimed_by(seen.rail, seen.ref)
    found = None if topup_id is None else topup.fold((yield ReadStream(topup_id)))
    return Situation(seen=seen, receipt=state, topup=found, currency=terms.prices.currency)


def _claimed_by(rail: str, ref: str) -> PaymentCore[UUID | None]:
    if not ref:
        return None
    recorded: list[RecordedEvent] = yield ReadStream(charge_stream(rail, ref))
    return _claims.decode(recorded[0].state).topup_id if recorded else None
