"""Credits as text: decimal strings with up to six decimals outside, int micro-credits inside."""

from __future__ import annotations

import re

from ledger.limits import AMOUNT_MAX_UCR, UCR_PER_CREDIT

_CREDITS = re.compile(r"(?P<whole>0|[1-9][0-9]{0,18})(?:\.(?P<part>[0-9]{1,6}))?")


def parse_credits(text: str) -> int:
    """Read a positive amount such as ``"12.5"`` into micro-credits (12_500_000).

    :raises ValueError: no plain decimal, more than six decimals, zero, or above ``AMOUNT_MAX_UCR``.
    """
    match = _CREDITS.fullmatch(text)
    if match is None:
        message = "expected a decimal string with at most six decimals, without sign or exponent"
        raise ValueError(message)
    amount_ucr = int(match["whole"]) * UCR_PER_CREDIT + int((match["part"] or "").ljust(6, "0"))
    if not 0 < amount_ucr <= AMOUNT_MAX_UCR:
        message = f"expected more than 0 and at most {AMOUNT_MAX_UCR // UCR_PER_CREDIT} credits"
        raise ValueError(message)
    return amount_ucr


def format_credits(amount_ucr: int) -> str:
    """Write micro-credits as the shortest decimal string: ``-12_500_000`` is ``"-12.5"``."""
    sign = "-" if amount_ucr < 0 else ""
    whole, part = divmod(abs(amount_ucr), UCR_PER_CREDIT)
    decimals = f"{part:06d}".rstrip("0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
