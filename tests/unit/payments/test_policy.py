"""The policy table, row by row: what becomes of money that arrives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger.limits import VALUE_MAX_MICRO
from payments.domain.policy import Assessment, Ignored, Policy, Terms, assess, fixed_value
from payments.domain.products import AmountProduct, PackProduct, PriceList, Product
from payments.domain.quote import make_quote
from payments.domain.topup import Charge, Part, TopUp
from payments.limits import RECEIPTS_MAX
from payments.rail import Instruction, Observation
from tests.support.payments import CREDIT, START, price_book, terms

IN_TIME = START + timedelta(minutes=5)
TOO_LATE = START + timedelta(minutes=15, seconds=1)


def topup_for(product: Product | None = None, **book: Any) -> TopUp:
    """A top-up of 10.00 (1,000 credits), unless told otherwise, with its charge open."""
    quote = make_quote(price_book(**book), product or AmountProduct(1_000), START)
    instruction = Instruction(ref="r", asset="USD", amount_minor=quote.gross_minor, expires_at=quote.expires_at)
    return TopUp(
        topup_id=UUID(int=1),
        organisation_id=UUID(int=2),
        account_id=UUID(int=3),
        rail="sandbox",
        quote=quote,
        opened_at=START,
        position=1,
        charges=[Charge(rail="sandbox", attempt=1, instruction=instruction)],
    )


def paid(amount_minor: int, **changes: Any) -> Observation:
    """A final payment, in time."""
    seen = Observation(
        rail="sandbox",
        external_id="x",
        ref="r",
        asset="USD",
        amount_minor=amount_minor,
        fee_minor=0,
        direction="in",
        state="final",
        confirmations=0,
        first_seen=IN_TIME,
        at=IN_TIME,
    )
    return msgspec.structs.replace(seen, **changes)


def decide(topup: TopUp | None, seen: Observation, by: Terms | None = None) -> Assessment:
    """An assessment that books money; its legs add up."""
    found = assess(topup, seen, by or terms())
    assert isinstance(found, Assessment)
    credited = found.credit.net_micro + found.credit.tax_micro if found.credit else 0
    parked = found.parked.gross_micro if found.parked else 0
    suspense = 0 if found.credit or found.parked else found.value_micro
    assert credited + parked + suspense + found.fx_micro == found.value_micro
    return found


def partial(gross_micro: int, due_ucr: int) -> Part:
    """A partial payment that waits."""
    return Part(
        receipt_id=UUID(int=9),
        generation=1,
        rail="sandbox",
        ref="r",
        case="partial",
        gross_micro=gross_micro,
        due_credits_ucr=due_ucr,
        parked=True,
    )


def test_in_time_and_exact_gets_the_quote() -> None:
    found = decide(topup_for(), paid(1_000))
    assert found.case == "exact" and found.credit is not None and found.parked is None
    assert (found.credit.credits_ucr, found.credit.net_micro, found.credit.satisfies) == (
        1_000 * CREDIT,
        10_000_000,
        True,
    )


def test_first_seen_in_the_last_moment_is_in_time_even_if_it_is_final_later() -> None:
    topup = topup_for()
    found = decide(topup, paid(1_000, first_seen=topup.quote.expires_at, at=TOO_LATE))
    assert found.case == "exact"


@pytest.mark.parametrize("came_minor", [990, 999])
def test_short_by_one_percent_or_ten_cents_gets_all_credits_at_the_cost_of_what_came(came_minor: int) -> None:
    found = decide(topup_for(), paid(came_minor))
    assert found.case == "short" and found.credit is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (1_000 * CREDIT, came_minor * 10_000)
    assert found.credit.list_value_micro == 10_000_000


def test_short_by_one_percent_of_a_large_amount_is_more_than_ten_cents() -> None:
    assert decide(topup_for(AmountProduct(100_000)), paid(99_000)).case == "short"
    assert decide(topup_for(AmountProduct(100_000)), paid(98_999)).case == "partial"


def test_short_by_a_cent_more_than_that_is_partial() -> None:
    assert decide(topup_for(), paid(989)).case == "partial"


def test_partial_waits_in_unapplied_with_what_it_is_worth_at_the_quotes_rate() -> None:
    found = decide(topup_for(PackProduct("studio")), paid(2_000))
    assert found.case == "partial" and found.credit is None and found.parked is not None
    assert (found.parked.gross_micro, found.parked.reason) == (20_000_000, "partial")
    assert found.parked.due_credits_ucr == 2_100 * CREDIT


def test_partial_by_setting_waits_for_somebody_to_ask() -> None:
    found = decide(topup_for(), paid(500), terms(Policy(partial="ask")))
    assert found.parked is not None
    assert (found.parked.reason, found.parked.due_credits_ucr) == ("partial-ask", 0)


def test_the_rest_of_a_partial_payment_gets_the_rest_of_the_credits() -> None:
    topup = topup_for(PackProduct("studio"))
    topup.parts.append(partial(20_000_000, 2_100 * CREDIT))
    found = decide(topup, paid(3_000))
    assert found.case == "exact" and found.credit is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (3_150 * CREDIT, 30_000_000)


def test_three_thirds_of_an_odd_quote_add_up_to_it_exactly() -> None:
    topup, came = topup_for(PackProduct("studio"), tax_ppm=77_700), 1_796
    due_ucr, tax_micro = 0, 0
    for _ in range(2):
        found = decide(topup, paid(came), terms(tax_ppm=77_700))
        assert found.parked is not None
        due_ucr += found.parked.due_credits_ucr
        tax_micro += found.parked.tax_micro
        topup.parts.append(partial(found.parked.gross_micro, found.parked.due_credits_ucr))
    last = decide(topup, paid(topup.quote.gross_minor - 2 * came), terms(tax_ppm=77_700))
    assert last.case == "exact" and last.credit is not None
    assert due_ucr + last.credit.credits_ucr == topup.quote.credits_ucr
    assert tax_micro + last.credit.tax_micro == topup.tax_micro


def test_excess_is_credited_at_list_price_beside_the_quote() -> None:
    found = decide(topup_for(PackProduct("studio")), paid(6_000))
    assert found.case == "over" and found.credit is not None and found.parked is None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (6_250 * CREDIT, 60_000_000)


def test_excess_by_setting_goes_to_unapplied() -> None:
    found = decide(topup_for(), paid(1_050), terms(Policy(excess="unapplied")))
    assert found.credit is not None and found.parked is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (1_000 * CREDIT, 10_000_000)
    assert (found.parked.gross_micro, found.parked.reason) == (500_000, "excess")


def test_several_is_credited_at_the_rate_of_first_sight() -> None:
    topup = topup_for(PackProduct("studio"))
    topup.satisfied = True
    found = decide(topup, paid(5_000))
    assert found.case == "several" and found.credit is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (5_250 * CREDIT, 50_000_000)


def test_several_by_setting_goes_to_unapplied() -> None:
    topup = topup_for()
    topup.satisfied = True
    found = decide(topup, paid(1_000), terms(Policy(several="unapplied")))
    assert found.credit is None and found.parked is not None
    assert (found.parked.gross_micro, found.parked.reason) == (10_000_000, "several")


@pytest.mark.parametrize(("list_price_micro", "worth"), [(20_000, 500), (5_000, 2_000)])
def test_late_is_credited_at_the_rate_of_first_sight_in_either_direction(list_price_micro: int, worth: int) -> None:
    dearer = price_book(version="later", valid_from=TOO_LATE, list_price_micro=list_price_micro)
    by = msgspec.structs.replace(terms(), prices=PriceList([price_book(), dearer]))
    found = decide(topup_for(), paid(1_000, first_seen=TOO_LATE), by)
    assert found.case == "late" and found.credit is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (worth * CREDIT, 10_000_000)


def test_late_by_setting_goes_to_unapplied() -> None:
    found = decide(topup_for(), paid(1_000, first_seen=TOO_LATE), terms(Policy(late="unapplied")))
    assert found.credit is None and found.parked is not None and found.parked.reason == "late"


def in_euros(seen: Observation) -> int | None:
    """Dollars and euros have a price."""
    return {"USD": 10_000, "EUR": 11_000}[seen.asset] * seen.amount_minor if seen.asset in ("USD", "EUR") else None


def test_another_known_asset_is_treated_as_late() -> None:
    found = decide(topup_for(), paid(1_000, asset="EUR"), terms(value=in_euros))
    assert found.case == "other-asset" and found.credit is not None
    assert (found.credit.credits_ucr, found.credit.net_micro) == (1_100 * CREDIT, 11_000_000)


def test_another_known_asset_by_setting_goes_to_unapplied() -> None:
    found = decide(topup_for(), paid(1_000, asset="EUR"), terms(Policy(other_asset="unapplied"), in_euros))
    assert found.credit is None and found.parked is not None and found.parked.reason == "other-asset"


@pytest.mark.parametrize("topup", [topup_for(), None])
def test_an_unknown_asset_is_listed_and_not_booked(topup: TopUp | None) -> None:
    assert assess(topup, paid(1_000, asset="SHELLS"), terms()) == Ignored("unknown-asset")


@pytest.mark.parametrize("topup", [topup_for(), None])
def test_dust_is_listed_and_not_booked(topup: TopUp | None) -> None:
    assert assess(topup, paid(9), terms()) == Ignored("dust")
    assert isinstance(assess(topup, paid(10), terms()), Assessment)


def test_a_payment_without_a_topup_goes_to_suspense() -> None:
    found = decide(None, paid(1_000))
    assert (found.case, found.credit, found.parked, found.value_micro) == ("no-top-up", None, None, 10_000_000)


def test_the_difference_of_quote_and_fair_value_is_fx() -> None:
    falling = terms(value=lambda seen: seen.amount_minor * 9_988)
    found = decide(topup_for(AmountProduct(2_500)), paid(2_500), falling)
    assert found.case == "exact" and found.credit is not None
    assert (found.credit.net_micro, found.value_micro, found.fx_micro) == (25_000_000, 24_970_000, -30_000)


def test_tax_is_taken_pro_rata_of_what_came_late() -> None:
    by = terms(tax_ppm=200_000)
    found = decide(topup_for(tax_ppm=200_000), paid(600, first_seen=TOO_LATE), by)
    assert found.credit is not None
    assert (found.credit.gross_micro, found.credit.tax_micro, found.credit.net_micro) == (
        6_000_000,
        1_000_000,
        5_000_000,
    )
    assert found.credit.credits_ucr == 500 * CREDIT


def test_more_receipts_than_one_topup_takes_go_to_unapplied() -> None:
    topup = topup_for()
    topup.satisfied = True
    topup.parts = [partial(1, 0) for _ in range(RECEIPTS_MAX)]
    found = decide(topup, paid(1_000))
    assert found.credit is None and found.parked is not None and found.parked.reason == "above-limit"


@pytest.mark.parametrize("more_minor", [0, 1])
def test_money_worth_more_than_one_grant_holds_goes_to_unapplied(more_minor: int) -> None:
    most_minor = VALUE_MAX_MICRO // 10_000
    dear: dict[str, Any] = {"list_price_micro": 20_000_000}
    found = decide(topup_for(**dear), paid(most_minor + more_minor), terms(**dear))
    assert (found.credit is None) == bool(more_minor) == (found.parked is not None)


def test_a_fixed_value_knows_the_book_currency_alone() -> None:
    value = fixed_value("USD")
    assert (value(paid(1)), value(paid(1, asset="EUR"))) == (10_000, None)
