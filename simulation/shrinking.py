"""The shortest history that still goes wrong the same way: steps are dropped in ever smaller runs, then simplified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

S = TypeVar("S")
Fails = Callable[[Sequence[S]], bool]
Simpler = Callable[[S], Iterator[S]]


def shortest(history: Sequence[S], fails: Fails[S], simpler: Simpler[S], *, tries: int = 3_000) -> list[S]:
    """Shrink a history that fails; at most so many tries, each a whole run."""
    budget = _Budget(fails, tries)
    steps = list(history)
    while True:
        before = list(steps)
        steps = _dropped(steps, budget)
        steps = _simplified(steps, budget, simpler)
        if steps == before or budget.left <= 0:
            return steps


class _Budget(Generic[S]):
    """Counts tries; when they are spent nothing fails any more."""

    def __init__(self, fails: Fails[S], left: int) -> None:
        self._fails = fails
        self.left = left

    def fails(self, steps: Sequence[S]) -> bool:
        self.left -= 1
        return self.left >= 0 and self._fails(steps)


def _dropped(steps: list[S], budget: _Budget[S]) -> list[S]:
    size = max(1, len(steps) // 2)
    while True:
        at = max(0, len(steps) - size)
        while True:
            shorter = steps[:at] + steps[at + size :]
            if len(shorter) < len(steps) and budget.fails(shorter):
                steps = shorter
            if at == 0:
                break
            at = max(0, at - size)
        if size == 1:
            return steps
        size = max(1, size // 2)


def _simplified(steps: list[S], budget: _Budget[S], simpler: Simpler[S]) -> list[S]:
    at = 0
    while at < len(steps):
        for other in simpler(steps[at]):
            changed = [*steps[:at], other, *steps[at + 1 :]]
            if budget.fails(changed):
                steps = changed
                break
        else:
            at += 1
    return steps
