"""Credits as text: decimal strings with up to six decimals outside, int micro-credits inside."""

from __future__ import annotations

import re

from ledger.limits import AMOUNT_MAX_UCR, UCR_PER_CREDIT

_CREDITS = re.compile(r"(0|[1-9][0-9]{0,18})(?:\.([0-9]{1,6}))?")


def parse_credits(text: str) -> int:
    """Read a positive amount such as ``"12.5"`` into micro-credits (12_500_000).

    :raises ValueError: no plain decimal, more than six decimals, zero, or above ``AMOUNT_MAX_UCR``.
    """
    match = _CREDITS.fullmatch(text)
    if match is None:
        message = "expected a decimal string with at most six decimals, without sign or exponent"
        raise ValueError(message)
    whole, part = match.groups()
    amount_ucr = int(whole) * UCR_PER_CREDIT + (int(part.ljust(6, "0")) if part else 0)
    if not 0 < amount_ucr <= AMOUNT_MAX_UCR:
        message = f"expected more than 0 and at most {AMOUNT_MAX_UCR // UCR_PER_CREDIT} credits"
        raise ValueError(message)
    return amount_ucr


def format_credits(amount_ucr: int) -> str:
    """Write micro-credits as the shortest decimal string: ``-12_500_000`` is ``"-12.5"``."""
    if amount_ucr < 0:
        return f"-{format_credits(-amount_ucr)}"
    whole, part = divmod(amount_ucr, UCR_PER_CREDIT)
    return f"{whole}.{part:06d}".rstrip("0") if part else str(whole)
