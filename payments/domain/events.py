"""What can happen to a top-up and to a receipt, as frozen structs.

Three kinds of streams. A *top-up* stream (its id is minted) tells the customer's story. A *receipt* stream (id
from rail and external id) tells the money's: final, reversed, final again; the books read only this one. A *charge*
stream (id from rail and ref) holds one claim, so that a reference leads to its top-up and to no other.

``_minor`` is an int in the minor unit of the currency or asset named beside it, ``_micro`` an int of 10⁻⁶ of the
book currency's major unit, ``_ucr`` micro-credits. Events carry ids and codes, never personal data.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from payments.rail import Instruction

PREFIX = "payments."

Case = Literal[
    "exact",
    "short",
    "partial",
    "over",
    "several",
    "late",
    "other-asset",
    "no-top-up",
    "restored",
]
"""Row of the policy table that decided; ``restored``: a reversed receipt whose credits were kept came back."""

ReversalCause = Literal["refund", "dispute", "reorganisation"]
"""Why money went back: sent back by us, drawn back by the payer, or never there for good."""
ListedReason = Literal["unknown-asset", "dust"]


class Quote(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A price that is held until ``expires_at``.

    gross = net + tax; net = list price of the product less discount. ``product`` is ``pack:<id>``, ``amount`` or
    ``credits``. ``list_price_micro`` is the list price of one credit, ``list_value_micro`` of all of them. The cost
    basis of the credits is the net price, ``cost_micro``. ``lifetime_s`` is how long the credits live, None for ever.
    """

    product: str
    price_version: str
    credits_ucr: int
    currency: str
    net_minor: int
    tax_minor: int
    gross_minor: int
    cost_micro: int
    list_price_micro: int
    list_value_micro: int
    quoted_at: datetime
    expires_at: datetime
    discount_minor: int = 0
    lifetime_s: int | None = None
    jurisdiction: str = ""
    tax_evidence: str = ""
    tax_calculation: str = ""


class TopUpOpened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.topup-opened.v1"):
    """A customer wants credits at a quote and means to pay on ``rail``."""

    topup_id: UUID
    organisation_id: UUID
    account_id: UUID
    rail: str
    quote: Quote


class ChargeOpened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-opened.v1"):
    """A rail waits for money. ``attempt`` counts the charges of this top-up on this rail from 1."""

    topup_id: UUID
    rail: str
    attempt: int
    instruction: Instruction


class ChargeClaimed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-claimed.v1"):
    """Only event of a charge stream: this reference belongs to this top-up."""

    rail: str
    ref: str
    topup_id: UUID
    organisation_id: UUID
    account_id: UUID


class ChargeSeen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-seen.v1"):
    """The source shows a payment that is not final; nothing is credited yet."""

    topup_id: UUID
    rail: str
    ref: str
    external_id: str
    asset: str
    amount_minor: int
    first_seen: datetime


class ChargeConfirming(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-confirming.v1"
):
    """The payment has ``confirmations`` and needs more."""

    topup_id: UUID
    rail: str
    ref: str
    external_id: str
    confirmations: int


class ChargeExpired(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-expired.v1"):
    """The window closed. The charge stays watched: what still arrives is credited as late."""

    topup_id: UUID
    rail: str
    ref: str


class ChargeFailed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.charge-failed.v1"):
    """The source says that this payment will not come; ``reason`` is a code."""

    topup_id: UUID
    rail: str
    ref: str
    external_id: str
    reason: str


class TopUpCredited(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.topup-credited.v1"):
    """Money became credits, in the same append as the ledger's grant. No entry of its own in the books.

    ``gross_micro`` is what of the payment was counted (net + tax). ``satisfies`` says that the quote is now paid.
    """

    topup_id: UUID
    receipt_id: UUID
    generation: int
    part: int
    rail: str
    ref: str
    case: Case
    grant_id: UUID
    credits_ucr: int
    gross_micro: int
    satisfies: bool


class TopUpParked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.topup-parked.v1"):
    """Money arrived for this top-up and waits in Unapplied. No entry of its own in the books.

    A ``partial`` one is worth ``due_credits_ucr`` at the quote's rate, granted when the rest came or the window closed;
    it then counts ``gross_micro`` towards the quote.
    """

    topup_id: UUID
    receipt_id: UUID
    generation: int
    rail: str
    ref: str
    case: Case
    reason: str
    gross_micro: int
    tax_micro: int = 0
    due_credits_ucr: int = 0
    due_list_value_micro: int = 0


class TopUpReversed(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="payments.topup-reversed.v1"
):
    """A receipt of this top-up was taken back at the source. No entry of its own in the books."""

    topup_id: UUID
    receipt_id: UUID
    generation: int
    cause: ReversalCause = "reorganisation"


class TopUpRestored(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.topup-restored.v1"):
    """A reversed receipt of this top-up came back as ``generation``, and with it the credits that were revoked."""

    topup_id: UUID
    receipt_id: UUID
    generation: int


class ReceiptFinal(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="payments.receipt-final.v1"
):
    """Money is here: the receipt's ``generation``-th final state, booked whole by this one event.

    Books: Dr Rail or Clearing ``value_micro``; Cr Deferred ``net_micro``, Tax ``tax_micro``, Unapplied
    ``unapplied_micro``, Suspense ``suspense_micro``, and the rest FX (``fx_micro``, a loss is negative):
    value = net + tax + unapplied + suspense + fx. ``net_micro`` is the cost basis of the grant ``grant_id`` in the
    same append; the legs of a ``restored`` one are those of the generation that was reversed, and it has a grant if
    the credits had been revoked.
    ``amount_minor`` and ``fee_minor`` are minor units of ``asset``; a fee unknown yet is None.
    """

    receipt_id: UUID
    generation: int
    rail: str
    external_id: str
    ref: str
    asset: str
    amount_minor: int
    case: Case
    currency: str
    value_micro: int
    first_seen: datetime
    final_at: datetime
    fee_minor: int | None = None
    net_micro: int = 0
    tax_micro: int = 0
    unapplied_micro: int = 0
    suspense_micro: int = 0
    fx_micro: int = 0
    topup_id: UUID | None = None
    organisation_id: UUID | None = None
    account_id: UUID | None = None
    grant_id: UUID | None = None
    credits_ucr: int = 0


class ReceiptUnapplied(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.receipt-unapplied.v1"
):
    """Why a part of a receipt waits in Unapplied; follows its ReceiptFinal, which has booked it."""

    receipt_id: UUID
    generation: int
    unapplied_micro: int
    reason: str
    topup_id: UUID
    organisation_id: UUID
    account_id: UUID


class SuspenseReceived(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.suspense-received.v1"
):
    """A receipt that no top-up explains waits in Suspense:{rail}; follows its ReceiptFinal, which has booked it."""

    receipt_id: UUID
    generation: int
    rail: str
    suspense_micro: int
    reason: str


class ReceiptApplied(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.receipt-applied.v1"):
    """Waiting money became credits: grant key is (receipt, generation, part), in the same append as the grant.

    Books: Dr Unapplied or Suspense (``source``) net + tax; Cr Deferred ``net_micro``, Tax ``tax_micro``.
    """

    receipt_id: UUID
    generation: int
    part: int
    rail: str
    source: Literal["unapplied", "suspense"]
    currency: str
    net_micro: int
    tax_micro: int
    topup_id: UUID
    organisation_id: UUID
    account_id: UUID
    grant_id: UUID
    credits_ucr: int


class ReceiptReversed(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag="payments.receipt-reversed.v1",
):
    """The source took the money back (reorganisation, failure after success): the ``value_micro`` of that generation.

    ``credits_revoked_ucr`` were granted from it and are revoked in the same append, ``credits_kept_ucr`` could not be
    and are still with the customer: its return grants again what was revoked, and no more.
    Books: Cr Rail or Clearing ``value_micro``; Dr what ReceiptFinal and ReceiptApplied had credited, so far as it is
    still there, the rest Rail:Losses.
    """

    receipt_id: UUID
    generation: int
    rail: str
    currency: str
    value_micro: int
    credits_kept_ucr: int
    reversed_at: datetime
    credits_revoked_ucr: int = 0
    cause: ReversalCause = "reorganisation"


class ReceiptListed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="payments.receipt-listed.v1"):
    """A movement that is known and not booked: an asset without a price, or dust."""

    receipt_id: UUID
    rail: str
    external_id: str
    ref: str
    asset: str
    amount_minor: int
    reason: ListedReason
    first_seen: datetime


TopUpEvent = (
    TopUpOpened
    | ChargeOpened
    | ChargeSeen
    | ChargeConfirming
    | ChargeExpired
    | ChargeFailed
    | TopUpCredited
    | TopUpParked
    | TopUpReversed
    | TopUpRestored
)
ReceiptEvent = ReceiptFinal | ReceiptUnapplied | SuspenseReceived | ReceiptApplied | ReceiptReversed | ReceiptListed
PaymentEvent = TopUpEvent | ReceiptEvent | ChargeClaimed

_topup_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(TopUpEvent)
_receipt_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(ReceiptEvent)
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(PaymentEvent)


def topup_event(state: bytes) -> TopUpEvent:
    """Decode an event of a top-up stream.

    :raises msgspec.ValidationError: unknown tag or field.
    """
    return _topup_decoder.decode(state)


def receipt_event(state: bytes) -> ReceiptEvent:
    """Decode an event of a receipt stream. Raises as ``topup_event``."""
    return _receipt_decoder.decode(state)


def payment_event(state: bytes) -> PaymentEvent:
    """Decode any event of payments. Raises as ``topup_event``."""
    return _decoder.decode(state)
