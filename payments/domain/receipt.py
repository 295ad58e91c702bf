"""A receipt, folded from its stream: final, reversed, final again; and how its money is split at present."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from payments.domain import events
from payments.domain.events import receipt_event


class Granted(Struct, frozen=True):
    """Credits that a receipt brought to an account."""

    grant_id: UUID
    account_id: UUID
    credits_ucr: int


class Receipt(Struct, kw_only=True):
    """A receipt at one version. ``generation`` counts how often it became final; 0 is never.

    ``grants`` are with the customer, ``credits_ucr`` in all; ``revoked_ucr`` were taken back when it was reversed last.
    """

    receipt_id: UUID
    version: int = 0
    state: Literal["unknown", "listed", "final", "reversed"] = "unknown"
    generation: int = 0
    final: events.ReceiptFinal | None = None
    net_micro: int = 0
    tax_micro: int = 0
    unapplied_micro: int = 0
    suspense_micro: int = 0
    fx_micro: int = 0
    credits_ucr: int = 0
    grants: tuple[Granted, ...] = ()
    revoked_ucr: int = 0

    @property
    def value_micro(self) -> int:
        """All of it, in book units."""
        return self.net_micro + self.tax_micro + self.unapplied_micro + self.suspense_micro + self.fx_micro


def fold(receipt_id: UUID, recorded: Iterable[RecordedEvent]) -> Receipt:
    """State of a receipt from all events of its stream."""
    receipt = Receipt(receipt_id=receipt_id)
    for event in recorded:
        assert event.version == receipt.version + 1, "a receipt stream without a gap"
        receipt.version = event.version
        evolve(receipt, receipt_event(event.state))
    return receipt


def evolve(receipt: Receipt, event: events.ReceiptEvent) -> None:
    """Apply one event; exhaustive over the catalogue."""
    match event:
        case events.ReceiptFinal():
            _final(receipt, event)
        case events.ReceiptApplied():
            _applied(receipt, event)
        case events.ReceiptReversed():
            _reversed(receipt, event)
        case events.ReceiptListed():
            receipt.state = "listed"
        case events.ReceiptUnapplied() | events.SuspenseReceived():
            assert receipt.state == "final", "the reason follows the money"
        case _:
            assert_never(event)


def _final(receipt: Receipt, event: events.ReceiptFinal) -> None:
    assert receipt.state != "final" and event.generation == receipt.generation + 1, "final once a generation"
    receipt.state = "final"
    receipt.generation = event.generation
    receipt.final = event
    receipt.net_micro = event.net_micro
    receipt.tax_micro = event.tax_micro
    receipt.unapplied_micro = event.unapplied_micro
    receipt.suspense_micro = event.suspense_micro
    receipt.fx_micro = event.fx_micro
    receipt.revoked_ucr = 0
    _granted(receipt, event)
    assert receipt.value_micro == event.value_micro, "the legs of a receipt add up to its value"


def _applied(receipt: Receipt, event: events.ReceiptApplied) -> None:
    assert receipt.state == "final" and event.generation == receipt.generation
    gross_micro = event.net_micro + event.tax_micro
    if event.source == "unapplied":
        receipt.unapplied_micro -= gross_micro
    else:
        receipt.suspense_micro -= gross_micro
    assert receipt.unapplied_micro >= 0 and receipt.suspense_micro >= 0, "no more is applied than waits"
    receipt.net_micro += event.net_micro
    receipt.tax_micro += event.tax_micro
    _granted(receipt, event)


def _granted(receipt: Receipt, event: events.ReceiptFinal | events.ReceiptApplied) -> None:
    receipt.credits_ucr += event.credits_ucr
    if event.grant_id is not None and event.account_id is not None:
        receipt.grants += (Granted(event.grant_id, event.account_id, event.credits_ucr),)


def _reversed(receipt: Receipt, event: events.ReceiptReversed) -> None:
    assert receipt.state == "final" and event.generation == receipt.generation
    receipt.state = "reversed"
    receipt.revoked_ucr = event.credits_revoked_ucr
    if event.credits_revoked_ucr:
        receipt.credits_ucr, receipt.grants = event.credits_kept_ucr, ()
