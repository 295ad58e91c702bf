"""A top-up, folded from its stream: charges, receipts, and a state that is computed, never stored as such.

Credited > confirming > seen > awaiting > expired > failed, with flags beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, assert_never
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from payments.domain import events
from payments.domain.events import Case, Quote, ReversalCause, topup_event
from payments.domain.money import micro_per_minor
from payments.rail import Instruction

STATE_FORMAT = 1

TopUpState = Literal["credited", "confirming", "seen", "awaiting", "expired", "failed"]
ChargeState = Literal["open", "seen", "confirming", "final", "expired", "failed"]
_FLAGS: dict[Case, str] = {
    "partial": "partial",
    "over": "over",
    "several": "several",
    "late": "late",
    "other-asset": "wrong-asset",
}
_REVERSALS: dict[ReversalCause, str] = {
    "refund": "refunded",
    "dispute": "disputed",
    "reorganisation": "reorganised",
}


class Charge(Struct, kw_only=True):
    """One rail's attempt to collect."""

    rail: str
    attempt: int
    instruction: Instruction
    state: ChargeState = "open"
    confirmations: int = 0
    expired: bool = False

    @property
    def ref(self) -> str:
        """Its name at the source."""
        return self.instruction.ref


class Part(Struct, kw_only=True):
    """A receipt's contribution: credited, or parked with what it is worth at the quote's rate."""

    receipt_id: UUID
    generation: int
    rail: str
    ref: str
    case: Case
    gross_micro: int
    tax_micro: int = 0
    credits_ucr: int = 0
    due_credits_ucr: int = 0
    due_list_value_micro: int = 0
    parked: bool = False
    reversed: bool = False
    returned: bool = False
    cause: ReversalCause = "reorganisation"
    reason: str = ""

    @property
    def pending(self) -> bool:
        """Whether it waits for the rest, or for the end of the window."""
        return self.parked and not self.reversed and self.case == "partial" and self.due_credits_ucr > 0


class TopUp(Struct, kw_only=True):
    """A top-up at one version of its stream."""

    topup_id: UUID
    organisation_id: UUID
    account_id: UUID
    rail: str
    quote: Quote
    opened_at: datetime
    position: int
    version: int = 0
    charges: list[Charge] = []
    parts: list[Part] = []
    satisfied: bool = False

    @property
    def gross_micro(self) -> int:
        """What is asked for, in book units."""
        return self.quote.gross_minor * micro_per_minor(self.quote.currency)

    @property
    def tax_micro(self) -> int:
        """Tax in it, in book units."""
        return self.quote.tax_minor * micro_per_minor(self.quote.currency)

    @property
    def pending(self) -> list[Part]:
        """Partial payments that wait, in the order they came."""
        return [part for part in self.parts if part.pending]

    @property
    def counted_micro(self) -> int:
        """Book units that count towards the quote so far."""
        return sum(part.gross_micro for part in self.parts if part.case == "partial" and not part.reversed)

    @property
    def credited_ucr(self) -> int:
        """Credits granted from it."""
        return sum(part.credits_ucr for part in self.parts)

    def charge(self, rail: str, ref: str) -> Charge | None:
        """The charge that a rail knows as ``ref``."""
        return next((charge for charge in self.charges if (charge.rail, charge.ref) == (rail, ref)), None)

    @property
    def current(self) -> Charge | None:
        """The charge to show: the newest one."""
        return self.charges[-1] if self.charges else None

    @property
    def state(self) -> TopUpState:
        """The one word for it."""
        states = {charge.state for charge in self.charges}
        if self.credited_ucr > 0:
            return "credited"
        if "confirming" in states:
            return "confirming"
        if "seen" in states:
            return "seen"
        if not states or "open" in states or (self.pending and not any(c.expired for c in self.charges)):
            return "awaiting"
        return "failed" if states == {"failed"} else "expired"

    @property
    def flags(self) -> tuple[str, ...]:
        """What was not as quoted, sorted."""
        found = {_FLAGS[part.case] for part in self.parts if part.case in _FLAGS}
        found |= {_REVERSALS[part.cause] for part in self.parts if part.reversed or part.returned}
        if any(part.parked and not part.pending and not part.reversed for part in self.parts):
            found.add("unapplied")
        return tuple(sorted(found))


def fold(recorded: Iterable[RecordedEvent], topup: TopUp | None = None) -> TopUp | None:
    """Apply events of one top-up stream, in order, to the state before them."""
    for event in recorded:
        topup = evolve(topup, topup_event(event.state), event)
    return topup


def evolve(topup: TopUp | None, event: events.TopUpEvent, at: RecordedEvent) -> TopUp:
    """Apply one event; exhaustive over the catalogue."""
    if isinstance(event, events.TopUpOpened):
        assert topup is None and at.version == 1
        return _opened(event, at)
    assert topup is not None and at.version == topup.version + 1, "a top-up stream without a gap"
    topup.version = at.version
    match event:
        case events.ChargeOpened():
            charge = Charge(rail=event.rail, attempt=event.attempt, instruction=event.instruction)
            topup.charges.append(charge)
        case events.ChargeSeen():
            _named(topup, event).state = "seen"
        case events.ChargeConfirming():
            _confirming(_named(topup, event), event.confirmations)
        case events.ChargeExpired():
            _expired(_named(topup, event))
        case events.ChargeFailed():
            _named(topup, event).state = "failed"
        case events.TopUpCredited() | events.TopUpParked():
            _received(topup, event)
        case events.TopUpReversed() | events.TopUpRestored():
            _turned(topup, event)
        case _:
            assert_never(event)
    return topup


def _opened(event: events.TopUpOpened, at: RecordedEvent) -> TopUp:
    return TopUp(
        topup_id=event.topup_id,
        organisation_id=event.organisation_id,
        account_id=event.account_id,
        rail=event.rail,
        quote=event.quote,
        opened_at=at.recorded_at,
        position=at.position,
        version=1,
    )


_ChargeEvent = events.ChargeSeen | events.ChargeConfirming | events.ChargeExpired | events.ChargeFailed


def _named(topup: TopUp, event: _ChargeEvent) -> Charge:
    charge = topup.charge(event.rail, event.ref)
    assert charge is not None, f"charge {event.ref} is not of this top-up"
    return charge


def _confirming(charge: Charge, confirmations: int) -> None:
    charge.state = "confirming"
    charge.confirmations = confirmations


def _expired(charge: Charge) -> None:
    charge.expired = True
    if charge.state == "open":
        charge.state = "expired"


def _received(topup: TopUp, event: events.TopUpCredited | events.TopUpParked) -> None:
    charge = topup.charge(event.rail, event.ref)
    assert charge is not None, f"charge {event.ref} is not of this top-up"
    charge.state = "final"
    if isinstance(event, events.TopUpParked):
        topup.parts.append(_parked(event))
        return
    topup.satisfied = topup.satisfied or event.satisfies
    waiting = next((part for part in _parts(topup, event.receipt_id, event.generation) if part.pending), None)
    if waiting is None:
        topup.parts.append(_credited(event))
        return
    waiting.parked = False
    waiting.credits_ucr = event.credits_ucr


def _parked(event: events.TopUpParked) -> Part:
    return Part(
        receipt_id=event.receipt_id,
        generation=event.generation,
        rail=event.rail,
        ref=event.ref,
        case=event.case,
        gross_micro=event.gross_micro,
        tax_micro=event.tax_micro,
        due_credits_ucr=event.due_credits_ucr,
        due_list_value_micro=event.due_list_value_micro,
        parked=True,
        reason=event.reason,
    )


def _credited(event: events.TopUpCredited) -> Part:
    return Part(
        receipt_id=event.receipt_id,
        generation=event.generation,
        rail=event.rail,
        ref=event.ref,
        case=event.case,
        gross_micro=event.gross_micro,
        credits_ucr=event.credits_ucr,
    )


def _turned(topup: TopUp, event: events.TopUpReversed | events.TopUpRestored) -> None:
    restored = isinstance(event, events.TopUpRestored)
    for part in _parts(topup, event.receipt_id, event.generation - 1 if restored else event.generation):
        part.reversed = not restored
        part.returned = restored
        part.generation = event.generation
        if isinstance(event, events.TopUpReversed):
            part.cause = event.cause


def _parts(topup: TopUp, receipt_id: UUID, generation: int) -> list[Part]:
    return [part for part in topup.parts if (part.receipt_id, part.generation) == (receipt_id, generation)]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TopUp)


def encode_topup(topup: TopUp) -> bytes:
    """State as stored in table ``topups``."""
    return _encoder.encode(topup)


def decode_topup(raw: bytes) -> TopUp:
    """Read stored state of ``STATE_FORMAT``."""
    return _decoder.decode(raw)
