"""Top-ups as bodies and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from api.errors import Fault, Invalid
from api.views.common import Credits, Minor
from ledger.amounts import format_credits, parse_credits
from ledger.ids import render
from payments.domain.events import Quote
from payments.domain.products import AmountProduct, CreditsProduct, PackProduct, PriceBook, Product
from payments.views import ChargeView, TopUpView


class TopUpIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to buy, by exactly one of ``pack``, ``credits`` and ``amount_minor``, and on which rail to pay."""

    rail: Annotated[str, Meta(max_length=64, description="Where to pay.", examples=["sandbox"])]
    pack: Annotated[str | None, Meta(description="Id of a pack.", examples=["starter"])] = None
    credits: Annotated[str | None, Meta(description="How many credits, as a decimal string.")] = None
    amount_minor: Annotated[int | None, Meta(description="What to pay before tax, in the currency's minor unit.")] = (
        None
    )

    def product(self) -> Product:
        """What is bought.

        :raises Invalid: none or several, or an amount that is none.
        """
        if sum(given is not None for given in (self.pack, self.credits, self.amount_minor)) != 1:
            raise Invalid([Fault(detail="expected exactly one of pack, credits and amount_minor", pointer="")])
        if self.pack is not None:
            return PackProduct(self.pack)
        if self.credits is not None:
            return CreditsProduct(_credits(self.credits))
        assert self.amount_minor is not None
        if self.amount_minor <= 0:
            raise Invalid([Fault(detail="expected more than 0", pointer="/amount_minor")])
        return AmountProduct(self.amount_minor)

    @property
    def field(self) -> str:
        """Pointer to the field that says what is bought."""
        if self.pack is not None:
            return "/pack"
        return "/credits" if self.credits is not None else "/amount_minor"


class QuoteOut(Struct, frozen=True, kw_only=True):
    """A price that holds until ``expires_at``: gross = net + tax."""

    product: str
    price_version: str
    credits: Credits
    currency: str
    net_minor: Minor
    tax_minor: Minor
    gross_minor: Minor
    expires_at: datetime


class ChargeOut(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rail's attempt to collect, and how to pay it: a page, an invoice, or an address."""

    rail: str
    attempt: int
    state: str
    ref: str
    asset: str
    amount_minor: Minor
    expires_at: datetime
    url: str = ""
    bolt11: str = ""
    address: str = ""
    uri: str = ""


class TopUpOut(Struct, frozen=True, kw_only=True):
    """A top-up. ``charge`` is the one to pay now, None when nothing more is asked for."""

    topup_id: str
    state: str
    flags: list[str]
    rail: str
    quote: QuoteOut
    charge: ChargeOut | None
    received_minor: Minor
    missing_minor: Minor
    credited: Credits
    opened_at: datetime


class PackOut(Struct, frozen=True, kw_only=True):
    """A pack."""

    pack: str
    credits: Credits
    price_minor: Minor


class PricesOut(Struct, frozen=True, kw_only=True):
    """What credits cost, before tax, and where one can pay."""

    version: str
    currency: str
    credit_price: Annotated[str, Meta(description="List price of one credit, in the currency's major unit.")]
    packs: list[PackOut]
    min_minor: Minor
    max_minor: Minor
    rails: list[str]


def _credits(text: str) -> int:
    try:
        return parse_credits(text)
    except ValueError as error:
        raise Invalid([Fault(detail=str(error), pointer="/credits")]) from error


def topup_out(topup: TopUpView) -> TopUpOut:
    """A top-up as its organisation sees it."""
    return TopUpOut(
        topup_id=render("top", topup.topup_id),
        state=topup.state,
        flags=list(topup.flags),
        rail=topup.rail,
        quote=_quote(topup.quote),
        charge=_charge(topup.charge) if topup.charge else None,
        received_minor=topup.received_minor,
        missing_minor=topup.missing_minor,
        credited=format_credits(topup.credited_ucr),
        opened_at=topup.opened_at,
    )


def _quote(quote: Quote) -> QuoteOut:
    return QuoteOut(
        product=quote.product,
        price_version=quote.price_version,
        credits=format_credits(quote.credits_ucr),
        currency=quote.currency,
        net_minor=quote.net_minor,
        tax_minor=quote.tax_minor,
        gross_minor=quote.gross_minor,
        expires_at=quote.expires_at,
    )


def _charge(charge: ChargeView) -> ChargeOut:
    instruction = charge.instruction
    return ChargeOut(
        rail=charge.rail,
        attempt=charge.attempt,
        state=charge.state,
        ref=instruction.ref,
        asset=instruction.asset,
        amount_minor=instruction.amount_minor,
        expires_at=instruction.expires_at,
        url=instruction.url,
        bolt11=instruction.bolt11,
        address=instruction.address,
        uri=instruction.uri,
    )


def prices_out(book: PriceBook, rails: tuple[str, ...]) -> PricesOut:
    """Prices in force."""
    return PricesOut(
        version=book.version,
        currency=book.currency,
        credit_price=format_credits(book.list_price_micro),
        packs=[
            PackOut(pack=pack.pack_id, credits=format_credits(pack.credits_ucr), price_minor=pack.price_minor)
            for pack in book.packs
        ],
        min_minor=book.min_minor,
        max_minor=book.max_minor,
        rails=list(rails),
    )
