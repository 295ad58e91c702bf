"""States, kinds and codes in words that a person understands, and amounts as one reads them. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from ledger.amounts import format_credits
from payments.domain.money import micro_per_minor
from payments.limits import MICRO_PER_MAJOR

JOB_STATES = {
    "scheduled": "Scheduled",
    "waiting_for_credits": "Waiting for credits",
    "accepted": "Waiting for a free machine",
    "queued": "Waiting for a free machine",
    "running": "Painting",
    "cancelling": "Cancelling",
    "succeeded": "Ready",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "expired": "Took too long",
}
FAILURES = {
    "insufficient-credits": "there were not enough credits when it was its turn",
    "account-frozen": "the account was frozen when it was its turn",
    "account-closed": "the account was closed when it was its turn",
    "budget-exceeded": "a budget was used up when it was its turn",
    "not-accepted": "the machine did not accept the request",
    "capability": "no machine in service can paint this just now",
    "out-of-memory": "it was too large for the machines in service; a smaller size may work",
    "time-limit": "it took longer than it may",
    "suspect-black": "the picture came out black",
    "outputs-missing": "the machine did not hand over the picture",
}
FAILURE = "the machine failed"
"""For every other code."""

GRANT_KINDS = {
    "paid": "Bought",
    "subscription": "Subscription",
    "promo": "Promotion",
    "goodwill": "Goodwill",
    "referral": "Referral",
}
LINE_KINDS = {
    "grant": "Credits added",
    "hold": "Set aside for an image",
    "raise": "More set aside for an image",
    "commit": "Image paid",
    "release": "Set aside, returned",
    "hold-expired": "Set aside, returned",
    "debit": "Debit",
    "expiry": "Credits ended unused",
    "freeze": "Frozen while a payment is disputed",
    "unfreeze": "Usable again, the dispute is over",
    "revoke": "Credits taken back",
    "debt": "Spent beyond the credits",
    "repayment": "Paid what was owed",
    "reversal": "Given back",
    "transfer-out": "Moved to another account",
    "transfer-in": "Moved from another account",
    "adjustment": "Correction",
}
CAUSES = {
    "overdraft": "spent beyond the balance",
    "refund": "the payment was refunded",
    "dispute": "the payment was disputed",
    "reorganisation": "the payment did not stay",
    "downgrade": "the plan was changed",
    "correction": "a mistake was put right",
    "compensation": "for the trouble",
    "migration": "brought over",
    "write-off": "written off",
    "dormant": "unused for years",
}
"""Causes of what was taken back, owed or adjusted."""
RATIOS = {"1:1": "Square", "21:9": "Panorama"}
RAILS = {"sandbox": "Sandbox"}


def why(code: str | None) -> str:
    """Why a job failed."""
    return FAILURES.get(code or "", FAILURE)


def credits_text(amount_ucr: int) -> str:
    """Micro-credits with the thousands apart: ``1,234.5``."""
    whole, dot, part = format_credits(amount_ucr).partition(".")
    return f"{int(whole):,}{dot}{part}" if whole != "-0" else f"{whole}{dot}{part}"


def signed_text(amount_ucr: int) -> str:
    """A change: ``+5``, ``−1.2``, with a true minus; nothing for 0."""
    if amount_ucr == 0:
        return ""
    sign = "+" if amount_ucr > 0 else "\N{MINUS SIGN}"
    return sign + credits_text(abs(amount_ucr))


def count_text(amount_ucr: int) -> str:
    """``1 credit``, ``2.5 credits``."""
    text = credits_text(amount_ucr)
    return f"{text} {'credit' if text == '1' else 'credits'}"


def money_text(amount_minor: int, currency: str) -> str:
    """``12.50 USD``."""
    return f"{decimal_text(amount_minor, currency)} {currency}"


def decimal_text(amount_minor: int, currency: str) -> str:
    """``12.50``: minor units in the currency's major unit."""
    per_major = MICRO_PER_MAJOR // micro_per_minor(currency)
    whole, part = divmod(amount_minor, per_major)
    decimals = len(str(per_major)) - 1
    return f"{whole:,}.{part:0{decimals}d}" if decimals else f"{whole:,}"


def unit_price_text(price_micro: int, currency: str) -> str:
    """Price of one credit: ``0.01 USD``; never fewer decimals than the currency has."""
    whole, part = divmod(price_micro, MICRO_PER_MAJOR)
    least = len(str(MICRO_PER_MAJOR // micro_per_minor(currency))) - 1
    digits = f"{part:06d}".rstrip("0").ljust(least, "0")
    return f"{whole}.{digits} {currency}" if digits else f"{whole} {currency}"


def read_money(text: str, currency: str) -> int | None:
    """Minor units of what somebody typed: ``12``, ``12.5``, ``1,250.00``; None when it is no amount."""
    per_major = MICRO_PER_MAJOR // micro_per_minor(currency)
    whole, _, part = text.strip().replace(",", "").replace("\N{NO-BREAK SPACE}", "").partition(".")
    decimals = len(str(per_major)) - 1
    digits = whole + part
    if not whole or not digits.isascii() or not digits.isdigit() or len(part) > decimals or len(digits) > 12:  # noqa: PLR2004  beyond every limit
        return None
    return int(whole) * per_major + int((part or "0").ljust(decimals, "0")[:decimals] or "0")


def when_text(when: datetime) -> str:
    """``21 Nov 2026, 10:45 UTC``."""
    return f"{when.day} {when:%b %Y, %H:%M} UTC"


def short_when_text(when: datetime) -> str:
    """``21 Nov 10:45``, in UTC."""
    return f"{when.day} {when:%b %H:%M}"


def clock_text(when: datetime) -> str:
    """``10:45 UTC``."""
    return f"{when:%H:%M} UTC"


def span_text(span: timedelta) -> str:
    """``14 min``, ``40 s``: what is left, never less than nothing."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 120:  # noqa: PLR2004  two minutes
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"  # noqa: PLR2004  two hours


def size_text(ratio: str, width: int, height: int) -> str:
    """``Square 1:1 (1024 × 1024)``."""
    shape = RATIOS.get(ratio) or ("Landscape" if width > height else "Portrait")
    return f"{shape} {ratio} ({width} \N{MULTIPLICATION SIGN} {height})"
