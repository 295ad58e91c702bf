"""Fiat currencies: integer minor units outside, ints of 10⁻⁶ of the major unit in the books."""

from __future__ import annotations

from typing import Final

from payments.limits import MICRO_PER_MAJOR

_DECIMALS: Final = {"USD": 2, "EUR": 2, "GBP": 2, "CHF": 2, "CAD": 2, "AUD": 2, "JPY": 0}


def micro_per_minor(currency: str) -> int:
    """Book units in one minor unit: 10_000 for USD.

    :raises ValueError: a currency without a known number of decimals.
    """
    decimals = _DECIMALS.get(currency)
    if decimals is None:
        message = f"currency {currency} has no known minor unit"
        raise ValueError(message)
    return MICRO_PER_MAJOR // 10**decimals


def floor_share(total: int, part: int, whole: int) -> int:
    """``floor(total * part / whole)``, exactly."""
    assert 0 <= part <= whole and whole > 0 and total >= 0
    return total * part // whole
