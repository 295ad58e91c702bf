"""Chance from a seed: the same numbers on every machine and with every release of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from ledger.ids import uuid7

T = TypeVar("T")
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Dice:
    """SplitMix64: small, and good enough to choose what happens next."""

    __slots__ = ("_state",)

    def __init__(self, seed: int | str) -> None:
        self._state = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "big")

    def bits(self) -> int:
        """The next 64 bits."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """A number from 0, less than ``bound``."""
        return self.bits() % bound

    def between(self, low: int, high: int) -> int:
        """A number from ``low`` to ``high``, both included."""
        return low + self.bits() % (high - low + 1)

    def fraction(self) -> float:
        """A number from 0, less than 1."""
        return (self.bits() >> 11) / (1 << 53)

    def happens(self, chance: float) -> bool:
        """Whether something of this chance happens."""
        return self.fraction() < chance

    def choose(self, among: Sequence[T]) -> T:
        """One of several, each as likely."""
        return among[self.bits() % len(among)]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """One of several, by weight."""
        left = self.fraction() * sum(weights.values())
        for one, weight in weights.items():
            left -= weight
            if left < 0:
                return one
        return next(iter(weights))

    def entropy(self, count: int) -> bytes:
        """Random bytes."""
        return b"".join(self.bits().to_bytes(8, "big") for _ in range(-(-count // 8)))[:count]

    def uuid(self, at: datetime) -> UUID:
        """An id made at a time."""
        entropy = self.bits().to_bytes(8, "big") + (self.bits() & 0xFFFF).to_bytes(2, "big")
        return uuid7(round(at.timestamp() * 1000), entropy)
