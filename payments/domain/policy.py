"""What becomes of money that arrives: the policy table, decided row by row. Ints only, exact.

==========================  ==========================================================================
in time, up to the quote    the quote's rate; short by <= 1 % or 0.10: full credits, cost basis = what came
partial, window open        waits in Unapplied; when the window closes, credited at the quote's rate
excess, several, late       the rate at first sight; credited (setting: Unapplied)
other known asset           as late
unknown asset, dust < 0.10  no money booked, listed
no top-up                   a receipt to Suspense
==========================  ==========================================================================

In time means first seen not after the charge's end, by the rail's own clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from ledger.limits import AMOUNT_MAX_UCR, VALUE_MAX_MICRO
from payments.domain.events import Case, ListedReason
from payments.domain.money import floor_share, micro_per_minor
from payments.domain.products import PriceList
from payments.domain.quote import credits_at_first_sight, credits_for, list_value
from payments.domain.topup import TopUp
from payments.limits import PPM, RECEIPTS_MAX
from payments.rail import Observation

Treatment = Literal["credit", "unapplied"]
Valuer = Callable[[Observation], int | None]
"""Fair value of an observation in book units at first sight; None for an asset without a price."""


class Policy(Struct, frozen=True, kw_only=True):
    """Settings of the table; these are the defaults. Amounts in book units."""

    short_ppm: int = 10_000
    short_micro: int = 100_000
    dust_micro: int = 100_000
    partial: Literal["credit-at-expiry", "ask"] = "credit-at-expiry"
    excess: Treatment = "credit"
    several: Treatment = "credit"
    late: Treatment = "credit"
    other_asset: Treatment = "credit"


class Terms(Struct, frozen=True, kw_only=True):
    """By what settlement decides."""

    prices: PriceList
    value: Valuer
    policy: Policy = Policy()


class Credit(Struct, frozen=True, kw_only=True):
    """Credits to grant at once: gross = net + tax is what of the money was counted."""

    credits_ucr: int
    gross_micro: int
    tax_micro: int
    list_value_micro: int
    satisfies: bool

    @property
    def net_micro(self) -> int:
        """The grant's cost basis."""
        return self.gross_micro - self.tax_micro

    @property
    def fits_a_grant(self) -> bool:
        """Whether the ledger takes it as one grant."""
        return 0 < self.credits_ucr <= AMOUNT_MAX_UCR and max(self.net_micro, self.list_value_micro) <= VALUE_MAX_MICRO


class Parked(Struct, frozen=True, kw_only=True):
    """Money for Unapplied, and what it will be worth if it waits for the rest of a quote."""

    gross_micro: int
    reason: str
    tax_micro: int = 0
    due_credits_ucr: int = 0
    due_list_value_micro: int = 0


class Assessment(Struct, frozen=True, kw_only=True):
    """What a receipt is: its row of the table, its fair value, and where that goes; neither part means Suspense."""

    case: Case
    value_micro: int
    credit: Credit | None = None
    parked: Parked | None = None

    @property
    def fx_micro(self) -> int:
        """Fair value beyond what is counted; below it, negative. Suspense takes the value as it is."""
        if self.credit is None and self.parked is None:
            return 0
        counted = (self.credit.gross_micro if self.credit else 0) + (self.parked.gross_micro if self.parked else 0)
        return self.value_micro - counted


class Ignored(Struct, frozen=True):
    """A movement that is listed and not booked."""

    reason: ListedReason


def fixed_value(currency: str) -> Valuer:
    """Value the book currency alone, exactly."""
    unit = micro_per_minor(currency)
    return lambda seen: seen.amount_minor * unit if seen.asset == currency else None


def assess(topup: TopUp | None, seen: Observation, terms: Terms) -> Assessment | Ignored:
    """Decide about money that is final. ``topup`` is the one that the charge's reference leads to."""
    value_micro = terms.value(seen)
    if value_micro is None:
        return Ignored("unknown-asset")
    if value_micro < terms.policy.dust_micro:
        return Ignored("dust")
    if topup is None:
        return Assessment(case="no-top-up", value_micro=value_micro)
    assessment = _for_topup(topup, seen, value_micro, terms)
    credit = assessment.credit
    if credit is None or (len(topup.parts) < RECEIPTS_MAX and credit.fits_a_grant):
        return assessment
    return unapplied(assessment, "above-limit")


def unapplied(assessment: Assessment, reason: str) -> Assessment:
    """The same money, all of it waiting for somebody to look."""
    return Assessment(
        case=assessment.case,
        value_micro=assessment.value_micro,
        parked=Parked(gross_micro=assessment.value_micro, reason=reason),
    )


def _for_topup(topup: TopUp, seen: Observation, value_micro: int, terms: Terms) -> Assessment:
    charge = topup.charge(seen.rail, seen.ref)
    assert charge is not None, "the claim led to a top-up without this charge"
    policy = terms.policy
    if topup.satisfied:
        return _at_first_sight("several", policy.several, topup, seen, value_micro, terms)
    if seen.asset != charge.instruction.asset:
        return _at_first_sight("other-asset", policy.other_asset, topup, seen, value_micro, terms)
    if seen.first_seen > charge.instruction.expires_at:
        return _at_first_sight("late", policy.late, topup, seen, value_micro, terms)
    counted_micro = topup.gross_micro * seen.amount_minor // charge.instruction.amount_minor
    return _in_time(topup, seen, value_micro, counted_micro, terms)


def _in_time(topup: TopUp, seen: Observation, value_micro: int, came_micro: int, terms: Terms) -> Assessment:
    before_micro = topup.counted_micro
    missing_micro = topup.gross_micro - before_micro - came_micro
    if missing_micro > _tolerance(topup, terms.policy):
        return _partial(topup, value_micro, came_micro, terms.policy)
    if missing_micro < 0:
        return _over(topup, seen, value_micro, came_micro, terms)
    return Assessment(
        case="short" if missing_micro else "exact",
        value_micro=value_micro,
        credit=_rest_of_quote(topup, came_micro),
    )


def _tolerance(topup: TopUp, policy: Policy) -> int:
    return max(topup.gross_micro * policy.short_ppm // PPM, policy.short_micro)


def _rest_of_quote(topup: TopUp, came_micro: int) -> Credit:
    """All that the quote still owes, for what came."""
    before_micro = topup.counted_micro
    credits_ucr = topup.quote.credits_ucr - _quoted_credits(topup, before_micro)
    return Credit(
        credits_ucr=credits_ucr,
        gross_micro=came_micro,
        tax_micro=_quoted_tax(topup, before_micro + came_micro) - _quoted_tax(topup, before_micro),
        list_value_micro=list_value(credits_ucr, topup.quote.list_price_micro),
        satisfies=True,
    )


def _partial(topup: TopUp, value_micro: int, came_micro: int, policy: Policy) -> Assessment:
    before_micro = topup.counted_micro
    due_ucr = _quoted_credits(topup, before_micro + came_micro) - _quoted_credits(topup, before_micro)
    parked = Parked(gross_micro=came_micro, reason="partial-ask")
    if policy.partial == "credit-at-expiry":
        parked = Parked(
            gross_micro=came_micro,
            reason="partial",
            tax_micro=_quoted_tax(topup, before_micro + came_micro) - _quoted_tax(topup, before_micro),
            due_credits_ucr=due_ucr,
            due_list_value_micro=list_value(due_ucr, topup.quote.list_price_micro),
        )
    return Assessment(case="partial", value_micro=value_micro, parked=parked)


def _over(topup: TopUp, seen: Observation, value_micro: int, came_micro: int, terms: Terms) -> Assessment:
    quoted_micro = topup.gross_micro - topup.counted_micro
    excess_micro = value_micro - floor_share(value_micro, quoted_micro, came_micro)
    quoted = _rest_of_quote(topup, quoted_micro)
    if terms.policy.excess == "unapplied":
        parked = Parked(gross_micro=excess_micro, reason="excess")
        return Assessment(case="over", value_micro=value_micro, credit=quoted, parked=parked)
    tax_micro = floor_share(excess_micro, topup.tax_micro, topup.gross_micro)
    book = terms.prices.at(seen.first_seen)
    credits_ucr = credits_for(excess_micro - tax_micro, book.list_price_micro)
    both = Credit(
        credits_ucr=quoted.credits_ucr + credits_ucr,
        gross_micro=quoted.gross_micro + excess_micro,
        tax_micro=quoted.tax_micro + tax_micro,
        list_value_micro=quoted.list_value_micro + list_value(credits_ucr, book.list_price_micro),
        satisfies=True,
    )
    return Assessment(case="over", value_micro=value_micro, credit=both)


def _at_first_sight(
    case: Case, treatment: Treatment, topup: TopUp, seen: Observation, value_micro: int, terms: Terms
) -> Assessment:
    if treatment == "unapplied":
        parked = Parked(gross_micro=value_micro, reason=case)
        return Assessment(case=case, value_micro=value_micro, parked=parked)
    book = terms.prices.at(seen.first_seen)
    tax_micro = floor_share(value_micro, topup.tax_micro, topup.gross_micro)
    credits_ucr = credits_at_first_sight(book, topup.quote.product, value_micro - tax_micro)
    credit = Credit(
        credits_ucr=credits_ucr,
        gross_micro=value_micro,
        tax_micro=tax_micro,
        list_value_micro=list_value(credits_ucr, book.list_price_micro),
        satisfies=True,
    )
    return Assessment(case=case, value_micro=value_micro, credit=credit)


def _quoted_credits(topup: TopUp, paid_micro: int) -> int:
    """Credits for a part of the quote; differences of it add up to the whole, exactly."""
    return floor_share(topup.quote.credits_ucr, min(paid_micro, topup.gross_micro), topup.gross_micro)


def _quoted_tax(topup: TopUp, paid_micro: int) -> int:
    return floor_share(topup.tax_micro, min(paid_micro, topup.gross_micro), topup.gross_micro)
