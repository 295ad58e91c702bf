"""View models of top-ups: the form, one top-up's state with what to do next, the sandbox's page. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from api.pages import words
from api.pages.show import Choice
from ledger.ids import render
from payments.domain.events import Quote
from payments.domain.money import micro_per_minor
from payments.domain.products import Pack, PriceBook
from payments.domain.quote import credits_for
from payments.sandbox.books import RAIL as SANDBOX
from payments.sandbox.desk import DeskView
from payments.views import TopUpView

PENDING = frozenset({"awaiting", "seen", "confirming"})
FREE_AMOUNT = "custom"


class Offer(Struct, frozen=True, kw_only=True):
    """A pack as a choice; ``bonus`` is what it has beyond the list price."""

    value: str
    price: str
    credits: str
    bonus: str
    picked: bool


class AddCredits(Struct, frozen=True, kw_only=True):
    """The form that orders credits."""

    offers: list[Offer]
    rails: list[Choice]
    currency: str
    unit_price: str
    least: str
    most: str
    amount: str
    custom: bool


class Deal(Struct, frozen=True, kw_only=True):
    """What an amount buys, live; ``fault`` where it buys nothing."""

    credits: str = ""
    total: str = ""
    tax: str = ""
    ends: str = ""
    fault: str = ""


class TopUpCard(Struct, frozen=True, kw_only=True):
    """A top-up. ``tone`` is wait, good or bad; ``ends_iso`` is set while a price runs out.

    ``pending``: it waits for money; what comes later, or beyond, changes it too.
    """

    topup_id: str
    state: str
    tone: str
    note: str
    total: str
    credits: str
    received: str
    missing: str
    credited: str
    opened: str
    rail: str
    pay_href: str
    pay_text: str
    ends: str
    ends_iso: str
    left: str
    confirmations: int | None
    pending: bool


class MoveRow(Struct, frozen=True, kw_only=True):
    """What a payer did on the sandbox's page."""

    what: str
    amount: str
    when: str


class SandboxCard(Struct, frozen=True, kw_only=True):
    """A charge as the sandbox's page shows it. ``due`` is what is still to be paid."""

    ref: str
    topup_id: str
    total: str
    due: str
    under: str
    over: str
    paid: bool
    ends: str
    expired: bool
    moves: list[MoveRow]


def add_credits(book: PriceBook, rails: tuple[str, ...], picked: str = "", amount: str = "") -> AddCredits:
    """Packs, bounds and rails; the first pack is picked unless something else was."""
    first = picked or (book.packs[0].pack_id if book.packs else FREE_AMOUNT)
    return AddCredits(
        offers=[_offer(pack, book, picked=pack.pack_id == first) for pack in book.packs],
        rails=[Choice(value=rail, text=words.RAILS.get(rail, rail), picked=n == 0) for n, rail in enumerate(rails)],
        currency=book.currency,
        unit_price=words.unit_price_text(book.list_price_micro, book.currency),
        least=words.decimal_text(book.min_minor, book.currency),
        most=words.decimal_text(book.max_minor, book.currency),
        amount=amount,
        custom=first == FREE_AMOUNT,
    )


def _offer(pack: Pack, book: PriceBook, *, picked: bool) -> Offer:
    listed_ucr = credits_for(pack.price_minor * micro_per_minor(book.currency), book.list_price_micro)
    bonus_ucr = pack.credits_ucr - listed_ucr
    return Offer(
        value=pack.pack_id,
        price=words.money_text(pack.price_minor, book.currency),
        credits=words.count_text(pack.credits_ucr),
        bonus=f"{words.credits_text(bonus_ucr)} more than at list price" if bonus_ucr > 0 else "",
        picked=picked,
    )


def deal(quote: Quote) -> Deal:
    """What a quote means."""
    ends = "they do not end" if quote.lifetime_s is None else f"good for {quote.lifetime_s // 86_400} days"
    return Deal(
        credits=words.count_text(quote.credits_ucr),
        total=words.money_text(quote.gross_minor, quote.currency),
        tax=words.money_text(quote.tax_minor, quote.currency) if quote.tax_minor else "",
        ends=ends,
    )


def topup_card(topup: TopUpView, now: datetime) -> TopUpCard:
    """A top-up with its state and what to do next."""
    quote, charge = topup.quote, topup.charge
    state, tone, note = _state(topup)
    waits = topup.state == "awaiting" and quote.expires_at > now
    payable = charge is not None and (waits or topup.state == "failed")
    return TopUpCard(
        topup_id=render("top", topup.topup_id),
        state=state,
        tone=tone,
        note=note,
        total=words.money_text(quote.gross_minor, quote.currency),
        credits=words.count_text(quote.credits_ucr),
        received=words.money_text(topup.received_minor, quote.currency) if topup.received_minor else "",
        missing=words.money_text(topup.missing_minor, quote.currency) if topup.missing_minor else "",
        credited=words.count_text(topup.credited_ucr) if topup.credited_ucr else "",
        opened=words.when_text(topup.opened_at),
        rail=words.RAILS.get(topup.rail, topup.rail),
        pay_href=_pay_href(topup) if payable else "",
        pay_text="Try again" if topup.state == "failed" else "Pay the rest" if topup.received_minor else "Pay",
        ends=words.clock_text(quote.expires_at),
        ends_iso=quote.expires_at.isoformat() if waits else "",
        left=words.span_text(quote.expires_at - now) if waits else "",
        confirmations=charge.confirmations if charge and charge.state == "confirming" else None,
        pending=topup.state in PENDING,
    )


def _pay_href(topup: TopUpView) -> str:
    """Where to pay: the sandbox's page is one of ours; another rail's page is elsewhere."""
    assert topup.charge is not None
    instruction = topup.charge.instruction
    return f"/sandbox/{instruction.ref}" if topup.rail == SANDBOX else instruction.url


def _state(topup: TopUpView) -> tuple[str, str, str]:
    """State, tone, and what it means in a sentence or two."""
    quote = topup.quote
    received = words.money_text(topup.received_minor, quote.currency)
    match topup.state:
        case "credited":
            return _credited(topup, received)
        case "confirming" | "seen":
            return "Payment seen", "wait", "It is credited as soon as the rail says that it is final."
        case "awaiting" if topup.received_minor:
            missing = words.money_text(topup.missing_minor, quote.currency)
            until = words.clock_text(quote.expires_at)
            rest = f"{missing} are missing. Pay the rest until {until}; otherwise what arrived is credited then."
            return f"Underpaid: {received} arrived", "wait", rest
        case "awaiting":
            return "Waiting for payment", "wait", "Nothing was paid yet. Closing this page cancels nothing."
        case "failed":
            return "Payment failed", "bad", "Nothing was charged. Try again, or order anew."
        case _:
            return _expired(topup, received)


def _credited(topup: TopUpView, received: str) -> tuple[str, str, str]:
    title = f"{words.count_text(topup.credited_ucr)} added"
    if "late" in topup.flags:
        return title, "good", f"{received} arrived after the price had ended, and bought credits at the price of then."
    if "over" in topup.flags or "several" in topup.flags:
        return title, "good", f"{received} arrived, more than was asked. The excess bought credits too."
    if "partial" in topup.flags and topup.missing_minor:
        return title, "good", f"{received} arrived, less than was asked, and bought credits at the price that was held."
    return title, "good", f"{received} arrived. The credits can be spent."


def _expired(topup: TopUpView, received: str) -> tuple[str, str, str]:
    if topup.received_minor:
        return "Price ended", "wait", f"{received} arrived and will be credited in a moment."
    return (
        "Price ended",
        "bad",
        "Nothing was paid in time. Order anew; money that still arrives is credited all the same.",
    )


def sandbox_card(charge: DeskView) -> SandboxCard:
    """What a payer sees and can do."""
    due_minor = max(0, charge.amount_minor - charge.received_minor)
    return SandboxCard(
        ref=charge.ref,
        topup_id=render("top", charge.topup_id),
        total=words.money_text(charge.amount_minor, charge.asset),
        due=words.money_text(due_minor, charge.asset) if due_minor else "",
        under=words.money_text(underpaid_minor(charge), charge.asset),
        over=words.money_text(overpaid_minor(charge), charge.asset),
        paid=due_minor == 0,
        ends=words.clock_text(charge.expires_at),
        expired=charge.expired,
        moves=[
            MoveRow(
                what="Failed" if move.state == "failed" else "Paid",
                amount=words.money_text(move.amount_minor, move.asset),
                when=words.when_text(move.first_seen),
            )
            for move in charge.movements
        ],
    )


def underpaid_minor(charge: DeskView) -> int:
    """Less than is asked: two fifths of what is still due, at least one minor unit."""
    return max(1, _base(charge) * 2 // 5)


def overpaid_minor(charge: DeskView) -> int:
    """More than is asked: a quarter on top of what is still due."""
    base = _base(charge)
    return base + max(1, base // 4)


def _base(charge: DeskView) -> int:
    return max(0, charge.amount_minor - charge.received_minor) or charge.amount_minor
