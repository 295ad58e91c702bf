"""Budgets: how much of an organisation's credits may go a certain way in a window of time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from ledger import limits
from ledger.domain import commands
from simulation.model.state import Book, Budget, No
from simulation.model.times import text, window_end, window_of

Uses = list[tuple[UUID, datetime]]


def windows(book: Book, organisation_id: UUID, budget_ids: Iterable[UUID], amount: int, now: datetime) -> Uses:
    """The windows that an amount counts in now, if all of them have room for it."""
    uses: Uses = []
    for budget_id in budget_ids:
        budget = book.budgets.get(budget_id)
        if budget is None or budget.organisation_id != organisation_id:
            raise No("budget-unknown", budget_id=str(budget_id))
        use = (budget_id, window_of(budget.window, now))
        allow(book, [use], amount)
        uses.append(use)
    return uses


def allow(book: Book, uses: Uses, amount: int) -> None:
    """Refuse what has no room in a window."""
    for budget_id, start in uses:
        budget = book.budgets[budget_id]
        used = book.used.get((budget_id, start), 0)
        limit = limits.INT64_MAX if budget.limit is None else budget.limit
        if used + amount > limit:
            raise No(
                "budget-exceeded",
                budget_id=str(budget_id),
                limit_ucr=limit,
                used_ucr=used,
                required_ucr=amount,
                resets_at=text(window_end(budget.window, start)),
            )


def count(book: Book, uses: Uses, amount: int) -> None:
    """Use a window, or give back."""
    for use in uses:
        book.used[use] = book.used.get(use, 0) + amount


def set_budget(book: Book, asked: commands.SetBudget) -> None:
    """Set a budget; another organisation's is unknown."""
    seen = book.budgets.get(asked.budget_id)
    if seen is not None and seen.organisation_id != asked.organisation_id:
        raise No("budget-unknown", budget_id=str(asked.budget_id))
    book.budgets[asked.budget_id] = Budget(asked.budget_id, asked.organisation_id, asked.window, asked.limit_ucr)
    book.note(asked.budget_id, "ledger.budget.set.v1")
