"""Amounts, times and forms as people read and write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages import words
from ledger.domain.events import AdjustmentCause, DebtCause, GrantKind
from ledger.limits import AMOUNT_MAX_UCR
from projections.lines import LineKind
from workers.attempt.finish import CODES
from workers.generation.reserve import FINAL_REFUSALS
from workers.nodes.verdicts import VerdictKind
from workers.views import JobState


@pytest.mark.parametrize(
    ("amount_ucr", "text"),
    [(0, "0"), (1, "0.000001"), (1_234_500_000, "1,234.5"), (-500_000, "-0.5"), (-2_000_000_000, "-2,000")],
)
def test_credits_have_their_thousands_apart(amount_ucr: int, text: str) -> None:
    assert words.credits_text(amount_ucr) == text


@given(st.integers(-AMOUNT_MAX_UCR, AMOUNT_MAX_UCR))
def test_no_amount_loses_a_digit(amount_ucr: int) -> None:
    whole, _, part = words.credits_text(amount_ucr).replace(",", "").partition(".")
    sign = -1 if whole.startswith("-") else 1
    assert sign * (abs(int(whole)) * 1_000_000 + int(part.ljust(6, "0") or "0")) == amount_ucr


def test_changes_have_a_sign_and_nothing_has_none() -> None:
    assert [words.signed_text(n) for n in (2_000_000, -550_000, 0)] == ["+2", "\N{MINUS SIGN}0.55", ""]
    assert [words.count_text(n) for n in (1_000_000, 550_000, 2_000_000)] == ["1 credit", "0.55 credits", "2 credits"]


@pytest.mark.parametrize(
    ("typed", "currency", "minor"),
    [
        ("12", "USD", 1_200),
        ("12.5", "USD", 1_250),
        (" 1,250.00 ", "EUR", 125_000),
        ("0.01", "USD", 1),
        ("12.", "USD", 1_200),
        ("500", "JPY", 500),
        ("500.5", "JPY", None),
        ("12.505", "USD", None),
        ("", "USD", None),
        (".5", "USD", None),
        ("-5", "USD", None),
        ("1e3", "USD", None),
        ("\N{ARABIC-INDIC DIGIT FIVE}", "USD", None),
        ("9" * 13, "USD", None),
        ("ten", "USD", None),
    ],
)
def test_what_somebody_types_becomes_minor_units_or_nothing(typed: str, currency: str, minor: int | None) -> None:
    assert words.read_money(typed, currency) == minor


@given(st.integers(0, 10**9), st.sampled_from(["USD", "JPY"]))
def test_an_amount_that_we_write_reads_back(minor: int, currency: str) -> None:
    assert words.read_money(words.decimal_text(minor, currency), currency) == minor


def test_prices_of_one_credit_keep_what_matters() -> None:
    assert words.unit_price_text(10_000, "USD") == "0.01 USD"
    assert words.unit_price_text(2_500, "USD") == "0.0025 USD"
    assert words.unit_price_text(1_000_000, "USD") == "1.00 USD"
    assert words.unit_price_text(2_000_000, "JPY") == "2 JPY"


def test_times_are_in_utc_and_spans_never_below_nothing() -> None:
    when = datetime(2026, 11, 5, 9, 7, 30, tzinfo=UTC)
    assert words.when_text(when) == "5 Nov 2026, 09:07 UTC"
    assert words.short_when_text(when) == "5 Nov 09:07"
    spans = [timedelta(seconds=n) for n in (-5, 119, 120, 7_199, 7_200)]
    assert [words.span_text(span) for span in spans] == ["0 s", "119 s", "2 min", "119 min", "2 h"]


def test_every_state_kind_and_code_has_words() -> None:
    assert words.JOB_STATES.keys() == set(JobState.__args__)
    assert words.LINE_KINDS.keys() == set(LineKind.__args__)
    assert words.GRANT_KINDS.keys() == set(GrantKind.__args__)
    assert words.FAILURES.keys() <= set(CODES.values()) | FINAL_REFUSALS
    assert words.CAUSES.keys() == set(get_args(DebtCause)) | set(get_args(AdjustmentCause))
    assert words.why(CODES[VerdictKind.OOM]) != words.FAILURE
    assert words.why("a code of next year") == words.why(None) == words.FAILURE
