"""What payments show: a top-up as a customer sees it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from payments.domain.events import Quote
from payments.domain.money import micro_per_minor
from payments.domain.topup import ChargeState, TopUp, TopUpState
from payments.rail import Instruction


class ChargeView(Struct, frozen=True, kw_only=True):
    """One rail's attempt to collect, and how to pay it."""

    rail: str
    attempt: int
    state: ChargeState
    confirmations: int
    instruction: Instruction


class TopUpView(Struct, frozen=True, kw_only=True):
    """A top-up. Received, missing: minor units of the quote's currency. ``position`` orders lists, ``version`` grows.

    ``charge`` is the one to pay now; None until the rail has answered, and when nothing more is asked for.
    """

    topup_id: UUID
    organisation_id: UUID
    account_id: UUID
    rail: str
    state: TopUpState
    flags: tuple[str, ...]
    quote: Quote
    charge: ChargeView | None
    charges: tuple[ChargeView, ...]
    received_minor: int
    missing_minor: int
    credited_ucr: int
    opened_at: datetime
    position: int
    version: int
    replayed: bool = False


def view_of(topup: TopUp, *, replayed: bool = False) -> TopUpView:
    """Show a top-up."""
    charges = tuple(
        ChargeView(
            rail=charge.rail,
            attempt=charge.attempt,
            state=charge.state,
            confirmations=charge.confirmations,
            instruction=charge.instruction,
        )
        for charge in topup.charges
    )
    received_micro = sum(part.gross_micro for part in topup.parts if not part.reversed)
    received_minor = received_micro // micro_per_minor(topup.quote.currency)
    missing_minor = 0 if topup.satisfied else max(0, topup.quote.gross_minor - received_minor)
    return TopUpView(
        topup_id=topup.topup_id,
        organisation_id=topup.organisation_id,
        account_id=topup.account_id,
        rail=topup.rail,
        state=topup.state,
        flags=topup.flags,
        quote=topup.quote,
        charge=charges[-1] if charges and not topup.satisfied else None,
        charges=charges,
        received_minor=received_minor,
        missing_minor=missing_minor,
        credited_ucr=topup.credited_ucr,
        opened_at=topup.opened_at,
        position=topup.position,
        version=topup.version,
        replayed=replayed,
    )
