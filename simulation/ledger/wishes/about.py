"""What callers may refer to: what the model has seen come about, with some guesses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args
from uuid import UUID

from ledger.domain.events import AdjustmentCause, BudgetWindow, GrantKind, RevokeCause
from simulation.clocks import SimulatedClock
from simulation.dice import Dice
from simulation.model.answering import Model
from simulation.model.state import Book

KINDS: Sequence[GrantKind] = get_args(GrantKind)
CAUSES: Sequence[RevokeCause] = get_args(RevokeCause)
WINDOWS: Sequence[BudgetWindow] = get_args(BudgetWindow)
ADJUSTMENTS: Sequence[AdjustmentCause] = get_args(AdjustmentCause)
LEASES_S = (1, 30, 600, 7_200)
LIFETIMES_S = (None, None, 5, 60, 3_000, 90_000)


class About:
    """Ids and amounts to ask about. ``book`` is the model's as it is now."""

    def __init__(self, dice: Dice, model: Model, clock: SimulatedClock, accounts: int) -> None:
        self.dice = dice
        self.model = model
        self.clock = clock
        self.organisations = [self.new() for _ in range(1 + dice.below(2))]
        self.account_ids = [self.new() for _ in range(accounts)]
        self.budget_ids = [self.new() for _ in range(2)]
        self.receipts = [self.new() for _ in range(3)]
        self.streams = [self.new() for _ in range(2)]
        self._moves: list[UUID] = []

    @property
    def book(self) -> Book:
        """What the model knows."""
        return self.model.book

    def new(self) -> UUID:
        """A new id."""
        return self.dice.uuid(self.clock.now())

    def amount(self, account_id: UUID) -> int:
        """An amount: often what is there, or just not."""
        account, dice = self.book.accounts.get(account_id), self.dice
        if account is not None and dice.happens(0.3):
            reachable = account.available + dice.choose((0, 0, account.overdraft_limit))
            return max(1, reachable + dice.choose((0, 0, 1, -1)))
        return 1 + dice.below(dice.choose((10, 100, 1_000)))

    def effective(self) -> datetime | None:
        """When it is meant for: mostly now."""
        if not self.dice.happens(0.1):
            return None
        return self.clock.now() + timedelta(seconds=self.dice.choose((-86_400 * 40, -3_600, -1, 10_000)))

    def grants(self, account_id: UUID) -> list[UUID]:
        """All grants that an account ever had."""
        account = self.book.accounts.get(account_id)
        return list(account.grants) if account else []

    def grant(self, account_id: UUID) -> UUID:
        """One of them, or one that is not there; often one that is held or disputed."""
        account = self.book.accounts.get(account_id)
        if account is None or not account.grants or self.dice.happens(0.04):
            return self.new()
        busy = [one.grant_id for one in account.grants.values() if one.held or one.dispute]
        return self.dice.choose(busy if busy and self.dice.happens(0.4) else list(account.grants))

    def budgets(self) -> tuple[UUID, ...]:
        """Budgets to count against."""
        known = [one for one in self.budget_ids if self.dice.happens(0.15)]
        return (*known, self.new()) if self.dice.happens(0.005) else tuple(known)

    def hold(self, account_id: UUID, *states: str) -> tuple[UUID, UUID]:
        """A hold in one of these states with its account, of this account where it has one; now and then any id."""
        dice, holds = self.dice, list(self.book.holds.values())[-60:]
        if dice.happens(0.05) or not holds:
            return account_id, dice.choose(holds).hold_id if holds and dice.happens(0.5) else self.new()
        fitting = [one for one in holds if one.state in states]
        own = [one for one in fitting if one.account_id == account_id]
        found = dice.choose(own or fitting or holds)
        return found.account_id, found.hold_id

    def move_id(self) -> UUID:
        """A new id; now and then one that was used before."""
        if not self._moves or not self.dice.happens(0.03):
            self._moves.append(self.new())
            return self._moves[-1]
        return self.dice.choose(self._moves)
