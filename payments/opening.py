"""Opening a top-up, sans I/O: quote and intent are recorded first, the charge at the source follows under its own key.

A crash between the two leaves a top-up without a charge; the caller's repeat, or the sweep, opens it then.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any
from uuid import UUID

from msgspec import Struct, to_builtins

from ledger.domain.codec import encode_event
from ledger.domain.verdicts import Answer, Refused
from ledger.ports import Companion, Request
from ledger.sansio import Commit, Row, Run, Submit
from payments import statements
from payments.domain.events import ChargeClaimed, ChargeOpened, Quote, TopUpOpened
from payments.domain.keys import charge_stream, open_key
from payments.domain.products import Product
from payments.domain.topup import TopUp, fold
from payments.effects import OpenAtRail, PaymentCore, ReadStream
from payments.errors import KeyReused, LedgerRefused, TooManyOpenTopUps, TopUpUnknown
from payments.rail import Instruction, OpenCharge


class OpenTopUp(Struct, frozen=True, kw_only=True):
    """What a customer asks for. ``key`` is the caller's idempotency key, unique in the account."""

    organisation_id: UUID
    account_id: UUID
    key: str
    product: Product
    rail: str


class Opened(Struct, frozen=True):
    """The top-up, and whether it had been opened before."""

    topup: TopUp
    replayed: bool


def open_topup(asked: OpenTopUp, quote: Quote, topup_id: UUID, open_max: int) -> PaymentCore[Opened]:
    """Record the intent and open its first charge.

    :raises TooManyOpenTopUps: the account holds ``open_max`` quotes.
    :raises KeyReused: the key was used with another body.
    :raises RailUnavailable: recorded, but the source cannot be asked; the same key goes on from there.
    """
    topup_id = yield from _take_slot(asked, quote, topup_id, open_max)
    answer: Answer = yield Submit(_opening(asked, quote, topup_id))
    if isinstance(answer.verdict, Refused):
        raise _refusal(answer.verdict)
    assert answer.verdict.subject_id is not None
    topup = yield from open_charge(answer.verdict.subject_id)
    return Opened(topup, answer.replayed)


def open_charge(topup_id: UUID) -> PaymentCore[TopUp]:
    """Open the charge that a top-up still lacks; the top-up with it.

    :raises TopUpUnknown: no such top-up.
    :raises RailUnavailable: the source cannot be asked; nothing is known.
    """
    topup = fold((yield ReadStream(topup_id)))
    if topup is None:
        raise TopUpUnknown
    if topup.charges:
        return topup
    command = OpenCharge(
        key=open_key(topup_id, topup.rail, 1),
        topup_id=topup_id,
        asset=topup.quote.currency,
        amount_minor=topup.quote.gross_minor,
        expires_at=topup.quote.expires_at,
        description=topup.quote.product,
    )
    instruction: Instruction = yield OpenAtRail(topup.rail, command)
    answer: Answer = yield Submit(_charge(topup, instruction))
    if isinstance(answer.verdict, Refused) and not answer.verdict.transient:
        raise _refusal(answer.verdict)
    opened = fold((yield ReadStream(topup_id)))
    assert opened is not None and opened.charges, "opened by us or by whoever was faster"
    return opened


def _take_slot(asked: OpenTopUp, quote: Quote, topup_id: UUID, open_max: int) -> PaymentCore[UUID]:
    slot = {"account_id": asked.account_id, "key_hash": sha256(asked.key.encode()).digest()}
    yield Run(statements.LOCK_SLOTS, {"account_id": asked.account_id})
    found: list[Row] = yield Run(statements.FIND_SLOT, slot)
    if found:
        yield Commit()
        return found[0]["topup_id"]
    counted: list[Row] = yield Run(statements.COUNT_SLOTS, {"account_id": asked.account_id})
    if counted[0]["taken"] >= open_max:
        yield Commit()
        raise TooManyOpenTopUps(open_topups=counted[0]["taken"], max_open_topups=open_max)
    yield Run(statements.TAKE_SLOT, {**slot, "topup_id": topup_id, "held_until": quote.expires_at})
    yield Commit()
    return topup_id


def _opening(asked: OpenTopUp, quote: Quote, topup_id: UUID) -> Request:
    opened = TopUpOpened(
        topup_id=topup_id,
        organisation_id=asked.organisation_id,
        account_id=asked.account_id,
        rail=asked.rail,
        quote=quote,
    )
    product: dict[str, Any] = to_builtins(asked.product)
    return Request(
        key=asked.key,
        operation="open-topup",
        scope_id=asked.account_id,
        body={"rail": asked.rail, "product": product},
        origin="caller",
        subject_id=topup_id,
        on_accept=(Companion(topup_id, 0, (encode_event(opened),)),),
    )


def _charge(topup: TopUp, instruction: Instruction) -> Request:
    opened = ChargeOpened(topup_id=topup.topup_id, rail=topup.rail, attempt=1, instruction=instruction)
    claimed = ChargeClaimed(
        rail=topup.rail,
        ref=instruction.ref,
        topup_id=topup.topup_id,
        organisation_id=topup.organisation_id,
        account_id=topup.account_id,
    )
    return Request(
        key=open_key(topup.topup_id, topup.rail, 1),
        operation="open-charge",
        scope_id=topup.account_id,
        body={"ref": instruction.ref},
        subject_id=topup.topup_id,
        on_accept=(
            Companion(topup.topup_id, topup.version, (encode_event(opened),)),
            Companion(charge_stream(topup.rail, instruction.ref), 0, (encode_event(claimed),)),
        ),
    )


def _refusal(verdict: Refused) -> KeyReused | LedgerRefused:
    if verdict.code == KeyReused.code:
        return KeyReused(field=verdict.facts.get("field"))
    return LedgerRefused(ledger_code=verdict.code)
