"""What the model remembers: accounts and holds as they were after each request, and what was meant for when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ledger.ports import Balance, HoldView
from simulation.model import views
from simulation.model.state import Account, Book, Hold


@dataclass(slots=True)
class Past:
    """Ends of requests, in order. Between two events of one request the model knows nothing."""

    ends: list[int] = field(default_factory=list[int])
    times: list[datetime] = field(default_factory=list[datetime])
    accounts: dict[UUID, list[tuple[int, int, Account]]] = field(
        default_factory=dict[UUID, list[tuple[int, int, Account]]]
    )
    holds: dict[UUID, list[tuple[int, Hold]]] = field(default_factory=dict[UUID, list[tuple[int, Hold]]])
    moves: dict[UUID, list[tuple[datetime, int]]] = field(default_factory=dict[UUID, list[tuple[datetime, int]]])

    def keep(self, book: Book, account_ids: Iterable[UUID], hold_ids: Iterable[UUID], now: datetime) -> None:
        """A request is done; these it may have changed."""
        if book.position == (self.ends[-1] if self.ends else 0):
            return
        self.ends.append(book.position)
        self.times.append(now)
        for account_id in account_ids:
            if (account := book.accounts.get(account_id)) is not None:
                version = book.versions[account_id]
                self.accounts.setdefault(account_id, []).append((book.position, version, account.fork()))
        for hold_id in hold_ids:
            if (hold := book.holds.get(hold_id)) is not None:
                self.holds.setdefault(hold_id, []).append((book.position, hold.fork()))

    def move(self, account_id: UUID, effective_at: datetime, change: int) -> None:
        """Posted credits change, as of an effective time."""
        if change:
            self.moves.setdefault(account_id, []).append((effective_at, change))

    def position_at(self, at: datetime) -> int:
        """Where the log ended at a time; 0 before its first event."""
        place = bisect_right(self.times, at)
        return self.ends[place - 1] if place else 0

    def balance_at(self, account_id: UUID, position: int, at: datetime) -> Balance | None:
        """An account at an end of a request, looked upon at a time."""
        seen = [one for one in self.accounts.get(account_id, ()) if one[0] <= position]
        if not seen:
            return None
        _, version, account = seen[-1]
        book = Book(accounts={account_id: account}, versions={account_id: version}, position=position)
        return views.balance(book, account_id, at)

    def hold_at(self, hold_id: UUID, position: int) -> HoldView | None:
        """A hold at an end of a request."""
        seen = [one for one in self.holds.get(hold_id, ()) if one[0] <= position]
        return views.hold(Book(holds={hold_id: seen[-1][1]}), hold_id) if seen else None

    def open_holds_at(self, account_id: UUID, position: int, limit: int) -> list[HoldView]:
        """Open holds of an account at an end of a request, newest first."""
        holds: dict[UUID, Hold] = {}
        for hold_id, lives in self.holds.items():
            seen = [hold for end, hold in lives if end <= position]
            if seen:
                holds[hold_id] = seen[-1]
        return views.open_holds(Book(holds=holds), account_id, limit)

    def posted_effective(self, account_id: UUID, at: datetime) -> int:
        """What is posted as of an effective time, by all that is recorded now."""
        return sum(change for effective_at, change in self.moves.get(account_id, ()) if effective_at <= at)
