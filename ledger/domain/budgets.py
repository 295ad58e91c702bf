"""Budgets of an organisation: how much a key, member or project may use in a window of time. Pure.

What is used rises when credits are held or debited and falls when they come back, in the window they were taken in.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import assert_never
from uuid import UUID

from msgspec import Struct

from ledger import errors
from ledger.domain import events
from ledger.domain.commands import SetBudget
from ledger.domain.events import BudgetSubject, BudgetUse, BudgetWindow
from ledger.limits import INT64_MAX

WINDOWS: tuple[BudgetWindow, ...] = ("once", "day", "week", "month")
ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of the window of a budget that never resets."""


class Budget(Struct, kw_only=True):
    """A budget as last set; ``hash`` is the hash of its stream's last event, ``limit_ucr`` None no limit."""

    budget_id: UUID
    organisation_id: UUID
    version: int
    hash: bytes
    subject: BudgetSubject
    window: BudgetWindow
    limit_ucr: int | None


class Budgets:
    """The budgets that a batch names, and what is used of them by window; ``changed`` is to be written."""

    __slots__ = ("changed", "known", "used_ucr")

    def __init__(self, known: Iterable[Budget] = (), used_ucr: dict[BudgetUse, int] | None = None) -> None:
        self.known = {budget.budget_id: budget for budget in known}
        self.used_ucr: dict[BudgetUse, int] = {} if used_ucr is None else used_ucr
        self.changed: dict[BudgetUse, None] = {}

    def take(
        self, organisation_id: UUID, budget_ids: Iterable[UUID], amount_ucr: int, now: datetime
    ) -> tuple[BudgetUse, ...]:
        """The windows that an amount would count in now.

        :raises errors.BudgetUnknown: no such budget in the organisation.
        :raises errors.BudgetExceeded: less is left in a window.
        """
        uses: list[BudgetUse] = []
        for budget_id in budget_ids:
            budget = self.known.get(budget_id)
            if budget is None or budget.organisation_id != organisation_id:
                raise errors.BudgetUnknown(budget_id=str(budget_id))
            use = BudgetUse(budget_id, window_start(budget.window, now))
            self.allow(use, amount_ucr)
            uses.append(use)
        return tuple(uses)

    def allow(self, use: BudgetUse, amount_ucr: int) -> None:
        """Check that an amount more fits a window. Without a limit it is what can be stored that bounds a budget.

        :raises errors.BudgetExceeded: it does not.
        """
        budget = self.known[use.budget_id]
        used_ucr = self.used_ucr.get(use, 0)
        limit_ucr = INT64_MAX if budget.limit_ucr is None else budget.limit_ucr
        if used_ucr + amount_ucr > limit_ucr:
            resets_at = window_end(budget.window, use.window_start)
            raise errors.BudgetExceeded(
                budget_id=str(use.budget_id),
                limit_ucr=limit_ucr,
                used_ucr=used_ucr,
                required_ucr=amount_ucr,
                resets_at=None if resets_at is None else resets_at.isoformat().replace("+00:00", "Z"),
            )

    def apply(self, event: events.AccountEvent, uses: Iterable[BudgetUse]) -> None:
        """Count an event in the windows of its hold or debit."""
        change_ucr = moved_ucr(event)
        for use in uses if change_ucr else ():
            self.used_ucr[use] = self.used_ucr.get(use, 0) + change_ucr
            assert self.used_ucr[use] >= 0, "more came back to a budget than was taken"
            self.changed[use] = None


def moved_ucr(event: events.AccountEvent) -> int:
    """By how much an event changes what is used of the budgets of its hold or debit."""
    match event:
        case events.CreditsHeld() | events.HoldRaised() | events.CreditsDebited():
            return event.amount_ucr
        case events.HoldReleased() | events.HoldExpired() | events.CreditsReversed():
            return -event.amount_ucr
        case events.HoldCommitted(late=True):
            return event.amount_ucr
        case events.HoldCommitted():
            return -sum(part.amount_ucr for part in event.returned)
        case _:
            return 0


def window_start(window: BudgetWindow, at: datetime) -> datetime:
    """Start of the window that a moment lies in; weeks begin on Monday. UTC."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match window:
        case "once":
            return ALWAYS
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            assert_never(window)


def window_end(window: BudgetWindow, start: datetime) -> datetime | None:
    """When a window ends and the budget begins anew; None for never."""
    match window:
        case "once":
            return None
        case "day":
            return start + timedelta(days=1)
        case "week":
            return start + timedelta(days=7)
        case "month":
            return (start + timedelta(days=32)).replace(day=1)
        case _:
            assert_never(window)


def may_set(budgets: Budgets, command: SetBudget) -> None:
    """Check that a budget may be set by an organisation.

    Other ids than random ones are names of something: of a payment's receipt, or of streams of the log's own.

    :raises errors.BudgetUnknown: it is another organisation's, or the id is none that a new budget may have.
    """
    seen = budgets.known.get(command.budget_id)
    if seen is None and command.budget_id.version not in {4, 7}:
        raise errors.BudgetUnknown(budget_id=str(command.budget_id))
    if seen is not None and seen.organisation_id != command.organisation_id:
        raise errors.BudgetUnknown(budget_id=str(command.budget_id))


def budget_of(event: events.BudgetSet, version: int, digest: bytes) -> Budget:
    """The budget as an event on its stream leaves it."""
    return Budget(
        budget_id=event.budget_id,
        organisation_id=event.organisation_id,
        version=version,
        hash=digest,
        subject=event.subject,
        window=event.window,
        limit_ucr=event.limit_ucr,
    )
