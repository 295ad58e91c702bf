"""Entries and their legs. Amounts are ints in a commodity's smallest unit: 10⁻⁶ for fiat and credits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

CREDIT = "CREDIT"
FIAT_DECIMALS = 6
"""Fiat is kept in 10⁻⁶ of the major unit, whatever its minor unit."""

_DECIMALS = {CREDIT: 6, "SAT": 3, "USDT": 8, "LBTC": 8}
_DECIMALS_SHOWN = {CREDIT: 0, "SAT": 3, "USDT": 8, "LBTC": 8}


class Leg(Struct, frozen=True):
    """One side of an entry: either ``debit`` or ``credit`` is above zero, the other is zero."""

    account: str
    commodity: str
    debit: int = 0
    credit: int = 0

    def __post_init__(self) -> None:
        """Assert that it has one side."""
        assert min(self.debit, self.credit) == 0 < max(self.debit, self.credit), f"not one side: {self}"

    @property
    def amount(self) -> int:
        """Signed amount, debit positive, as the exports write it."""
        return self.debit - self.credit


class Change(Struct, frozen=True):
    """What an entry does to one grant: units that left it, and what that took out of Deferred; negative: came back."""

    grant_id: UUID
    gone_ucr: int
    deferred_micro: int


class Entry(Struct, frozen=True, kw_only=True):
    """One event as booked. Every commodity sums to zero.

    ``grant_id`` is the grant that it issues, with ``issued`` to name its kind; ``reference`` is the job.
    """

    kind: str
    legs: tuple[Leg, ...]
    changes: tuple[Change, ...] = ()
    account_id: UUID | None = None
    hold_id: UUID | None = None
    grant_id: UUID | None = None
    receipt_id: UUID | None = None
    reference: UUID | None = None

    def __post_init__(self) -> None:
        """Assert that every commodity sums to zero."""
        assert self.legs, f"{self.kind} has no leg"
        assert not (left := unbalanced(self.legs)), f"{self.kind} does not balance: {left}"


class Legs:
    """Gathers the legs of one entry: amounts of one account, side and commodity become one leg; zero is no leg."""

    def __init__(self) -> None:
        self._sides: dict[tuple[str, str, bool], int] = {}

    def debit(self, account: str, commodity: str, amount: int) -> None:
        """Add to the debit side; ``amount`` is never below zero."""
        self._add(account, commodity, amount, is_debit=True)

    def credit(self, account: str, commodity: str, amount: int) -> None:
        """Add to the credit side; ``amount`` is never below zero."""
        self._add(account, commodity, amount, is_debit=False)

    def difference(self, account: str, commodity: str, gain: int) -> None:
        """Credit a gain or debit a loss."""
        self._add(account, commodity, abs(gain), is_debit=gain < 0)

    def done(self) -> tuple[Leg, ...]:
        """The legs, in the order they were named first."""
        return tuple(
            Leg(account, commodity, debit=amount) if is_debit else Leg(account, commodity, credit=amount)
            for (account, commodity, is_debit), amount in self._sides.items()
        )

    def netted(self) -> tuple[Leg, ...]:
        """The legs with both sides of an account taken against each other."""
        net: dict[tuple[str, str], int] = {}
        for (account, commodity, is_debit), amount in self._sides.items():
            net[account, commodity] = net.get((account, commodity), 0) + (amount if is_debit else -amount)
        return tuple(
            Leg(account, commodity, debit=max(0, amount), credit=max(0, -amount))
            for (account, commodity), amount in net.items()
            if amount
        )

    def _add(self, account: str, commodity: str, amount: int, *, is_debit: bool) -> None:
        assert amount >= 0, f"{account}: {amount} {commodity}"
        if amount:
            side = (account, commodity, is_debit)
            self._sides[side] = self._sides.get(side, 0) + amount


def unbalanced(legs: Iterable[Leg]) -> dict[str, int]:
    """Commodities that do not sum to zero, with what is left."""
    sums: defaultdict[str, int] = defaultdict(int)
    for leg in legs:
        sums[leg.commodity] += leg.amount
    return {commodity: left for commodity, left in sums.items() if left}


def decimals(commodity: str) -> int:
    """Decimals of a commodity's smallest unit in the books."""
    return _DECIMALS.get(commodity, FIAT_DECIMALS)


def render(amount: int, commodity: str) -> str:
    """Exact decimal text of an amount, never an exponent: ``-727_272`` USD is ``-0.727272``, 120 USD ``120.00``."""
    digits = decimals(commodity)
    shown = _DECIMALS_SHOWN.get(commodity, 2)
    whole, part = divmod(abs(amount), 10**digits)
    fraction = f"{part:0{digits}d}"
    fraction = fraction[:shown] + fraction[shown:].rstrip("0")
    return f"{'-' if amount < 0 else ''}{whole}{'.' if fraction else ''}{fraction}"
