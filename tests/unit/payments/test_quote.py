"""Credits against money: exact, and never in the customer's disfavour by more than a micro-credit or a cent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.domain.money import micro_per_minor
from payments.domain.products import AmountProduct, CreditsProduct, PackProduct, PriceList
from payments.domain.quote import credits_at_first_sight, make_quote
from payments.errors import AmountOutOfRange, PackUnknown
from tests.support.payments import CREDIT, START, price_book

amounts = st.integers(500, 1_000_000)
list_prices = st.integers(10, 5_000_000)
taxes = st.integers(0, 1_000_000)


def test_a_credit_costs_one_cent_by_default() -> None:
    quote = make_quote(price_book(), AmountProduct(2_500), START)
    assert (quote.credits_ucr, quote.gross_minor, quote.cost_micro) == (2_500 * CREDIT, 2_500, 25_000_000)
    assert (quote.list_price_micro, quote.list_value_micro) == (10_000, 25_000_000)
    assert quote.expires_at - quote.quoted_at == timedelta(minutes=15)


def test_a_pack_has_its_own_price_and_its_bonus_is_in_the_list_value() -> None:
    quote = make_quote(price_book(), PackProduct("studio"), START)
    assert (quote.product, quote.net_minor, quote.credits_ucr) == ("pack:studio", 5_000, 5_250 * CREDIT)
    assert (quote.cost_micro, quote.list_value_micro) == (50_000_000, 52_500_000)


def test_tax_is_on_top_and_never_in_the_cost_basis() -> None:
    quote = make_quote(price_book(tax_ppm=200_000, jurisdiction="AT"), AmountProduct(10_000), START)
    assert (quote.net_minor, quote.tax_minor, quote.gross_minor) == (10_000, 2_000, 12_000)
    assert (quote.cost_micro, quote.jurisdiction) == (100_000_000, "AT")


@pytest.mark.parametrize("product", [AmountProduct(499), AmountProduct(1_000_001), AmountProduct(0), AmountProduct(-5)])
def test_an_amount_below_or_above_the_limits_is_refused_with_the_limits(product: AmountProduct) -> None:
    with pytest.raises(AmountOutOfRange) as refusal:
        make_quote(price_book(), product, START)
    assert refusal.value.facts == {"min_minor": 500, "max_minor": 1_000_000, "currency": "USD"}


@pytest.mark.parametrize("credits_ucr", [0, -CREDIT, 499 * CREDIT, 10**30])
def test_credits_that_nobody_may_buy_at_once_are_refused(credits_ucr: int) -> None:
    with pytest.raises(AmountOutOfRange):
        make_quote(price_book(), CreditsProduct(credits_ucr), START)


def test_an_unknown_pack_is_refused_by_name() -> None:
    with pytest.raises(PackUnknown) as refusal:
        make_quote(price_book(), PackProduct("galaxy"), START)
    assert refusal.value.facts == {"pack": "galaxy"}


@given(amounts, list_prices)
def test_invariant_45_an_amount_buys_all_the_credits_it_pays_for_and_not_one_micro_credit_more(
    amount_minor: int, list_price_micro: int
) -> None:
    quote = make_quote(price_book(list_price_micro=list_price_micro), AmountProduct(amount_minor), START)
    paid = amount_minor * 10_000 * CREDIT
    assert quote.credits_ucr * list_price_micro <= paid < (quote.credits_ucr + 1) * list_price_micro


@given(st.integers(500 * CREDIT, 100_000 * CREDIT))
def test_invariant_45_credits_cost_what_the_list_says_rounded_up_to_a_cent(credits_ucr: int) -> None:
    quote = make_quote(price_book(), CreditsProduct(credits_ucr), START)
    assert quote.credits_ucr == credits_ucr
    exact_micro = credits_ucr * 10_000
    assert (quote.net_minor - 1) * 10_000 * CREDIT < exact_micro <= quote.net_minor * 10_000 * CREDIT


@given(amounts, taxes)
def test_gross_is_net_and_tax_and_cost_is_net(amount_minor: int, tax_ppm: int) -> None:
    quote = make_quote(price_book(tax_ppm=tax_ppm), AmountProduct(amount_minor), START)
    assert quote.gross_minor == quote.net_minor + quote.tax_minor
    assert quote.cost_micro == quote.net_minor * 10_000
    assert abs(quote.tax_minor * 1_000_000 - quote.net_minor * tax_ppm) * 2 <= 1_000_000


def test_money_without_a_quote_buys_the_product_at_todays_price_and_the_rest_at_list() -> None:
    book = price_book()
    assert credits_at_first_sight(book, "pack:studio", 50_000_000) == 5_250 * CREDIT
    assert credits_at_first_sight(book, "pack:studio", 25_000_000) == 2_625 * CREDIT
    assert credits_at_first_sight(book, "pack:studio", 51_000_000) == 5_350 * CREDIT
    assert credits_at_first_sight(book, "pack:withdrawn", 50_000_000) == 5_000 * CREDIT
    assert credits_at_first_sight(book, "amount", 50_000_000) == 5_000 * CREDIT


def test_a_price_list_answers_with_the_version_in_force() -> None:
    old, new = price_book(), price_book(version="2026-02", valid_from=START + timedelta(days=31))
    prices = PriceList([new, old])
    assert prices.at(START).version == "2026-01"
    assert prices.at(START + timedelta(days=31)).version == "2026-02"
    assert prices.at(START - timedelta(days=900)).version == "2026-01"


def test_a_currency_without_known_decimals_is_refused() -> None:
    assert (micro_per_minor("USD"), micro_per_minor("JPY")) == (10_000, 1_000_000)
    with pytest.raises(ValueError, match="XTS"):
        micro_per_minor("XTS")


def test_credits_are_priced_as_asked_for() -> None:
    quote = make_quote(price_book(), CreditsProduct(512_345_678), START)
    assert (quote.product, quote.credits_ucr, quote.net_minor) == ("credits", 512_345_678, 513)
