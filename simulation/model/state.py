"""What the model knows: plain numbers per grant, hold, budget and account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

Fact: TypeAlias = str | int | bool | None
Parts: TypeAlias = list[tuple[UUID, int]]
"""Amounts by grant, in the order in which they were taken; the nil id stands for the overdraft."""

NIL = UUID(int=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER = datetime.max.replace(tzinfo=UTC)


class No(Exception):
    """The model refuses: a code and the figures behind it."""

    def __init__(self, code: str, **facts: Fact) -> None:
        super().__init__(code)
        self.code = code
        self.facts: dict[str, Fact] = facts


@dataclass(slots=True)
class Claim:
    """Credits that are revoked but held by somebody: taken when they return, owed or lost when they are spent.

    ``gone``: what was spent of them and is to be owed.
    """

    amount: int
    cause: str
    owed: bool
    gone: int = 0


@dataclass(slots=True)
class Debt:
    """A part of an account's debt."""

    cause: str
    grant_id: UUID | None
    amount: int


@dataclass(slots=True)
class Grant:
    """A bucket, and where each of its credits is."""

    grant_id: UUID
    order: int
    granted: int
    kind: str
    priority: int
    ends_at: datetime | None
    receipt_id: UUID | None = None
    free: int = 0
    held: int = 0
    frozen: int = 0
    spent: int = 0
    expired: int = 0
    revoked: int = 0
    transferred: int = 0
    repaid: int = 0
    recalled: int = 0
    lost: int = 0
    dispute: int | None = None
    over: bool = False
    over_at: int = 0
    claims: list[Claim] = field(default_factory=list[Claim])

    @property
    def claimed(self) -> int:
        """What is revoked and still held."""
        return sum(claim.amount for claim in self.claims)

    def due(self, now: datetime) -> bool:
        """Whether its end has come."""
        return self.ends_at is not None and self.ends_at <= now

    @property
    def live(self) -> bool:
        """Whether something of it can still move, or a dispute over it is open."""
        return bool(self.free or self.held or self.frozen or self.dispute)

    def burns(self) -> tuple[int, datetime, int, bytes]:
        """Its place in the order of burning; grants that one event brought differ by their ids."""
        return (self.priority, self.ends_at or FOREVER, self.order, self.grant_id.bytes)

    def fork(self) -> Grant:
        """A copy of its own."""
        twin = copy(self)
        twin.claims = [copy(claim) for claim in self.claims]
        return twin

    def check(self) -> None:
        """Every credit is somewhere, once."""
        gone = self.spent + self.expired + self.revoked + self.transferred + self.repaid
        assert self.granted == self.free + self.held + self.frozen + gone, self
        places = (self.free, self.held, self.frozen, self.spent, self.expired, self.revoked, self.transferred)
        assert min(*places, self.repaid, self.held - self.claimed) >= 0, self


@dataclass(slots=True)
class Hold:
    """A hold, or a debit without one (state ``debited``)."""

    hold_id: UUID
    account_id: UUID
    state: str
    amount: int
    pinned: Parts
    opened_at: datetime
    lease_until: datetime
    reference: UUID | None = None
    cap: int = 0
    committed: int = 0
    spent: Parts = field(default_factory=list[tuple[UUID, int]])
    uses: list[tuple[UUID, datetime]] = field(default_factory=list[tuple[UUID, datetime]])
    resolved_at: datetime | None = None

    @property
    def remaining(self) -> int:
        """What it still pins."""
        return sum(amount for _, amount in self.pinned)

    def fork(self) -> Hold:
        """A copy of its own."""
        twin = copy(self)
        twin.pinned, twin.spent = list(self.pinned), list(self.spent)
        return twin


@dataclass(slots=True)
class Account:
    """An account with all grants it ever had; ``open_holds`` counts, ``overdraft_held`` is pinned beyond grants."""

    account_id: UUID
    organisation_id: UUID
    max_open_holds: int
    overdraft_limit: int
    frozen: bool = False
    closed: bool = False
    open_holds: int = 0
    overdraft_held: int = 0
    grants: dict[UUID, Grant] = field(default_factory=dict[UUID, Grant])
    debts: list[Debt] = field(default_factory=list[Debt])

    @property
    def debt(self) -> int:
        """What the account owes."""
        return sum(debt.amount for debt in self.debts)

    @property
    def held(self) -> int:
        """What holds pin, overdraft included."""
        return self.overdraft_held + sum(grant.held for grant in self.grants.values())

    @property
    def in_dispute(self) -> int:
        """What is frozen."""
        return sum(grant.frozen for grant in self.grants.values())

    @property
    def posted(self) -> int:
        """What the account has, less what it owes."""
        return sum(one.free + one.held + one.frozen for one in self.grants.values()) - self.debt

    @property
    def available(self) -> int:
        """What can be spent without overdraft."""
        return self.posted - self.held - self.in_dispute

    def burning(self) -> Iterator[Grant]:
        """Grants of which something is free, in the order of burning."""
        return iter(sorted((one for one in self.grants.values() if one.free), key=Grant.burns))

    def fork(self) -> Account:
        """A copy of its own."""
        twin = copy(self)
        twin.grants = {grant_id: grant.fork() for grant_id, grant in self.grants.items()}
        twin.debts = [copy(debt) for debt in self.debts]
        return twin

    def check(self) -> None:
        """The algebra of the specification."""
        for grant in self.grants.values():
            grant.check()
        assert all(debt.amount > 0 for debt in self.debts)


@dataclass(slots=True)
class Budget:
    """A budget as last set."""

    budget_id: UUID
    organisation_id: UUID
    window: str
    limit: int | None


@dataclass(slots=True)
class Book:
    """All there is. ``versions`` is where each stream ends.

    ``fresh`` are stream and tag of the events of this batch, ``moved`` what posted changed by and from when it counts.
    """

    accounts: dict[UUID, Account] = field(default_factory=dict[UUID, Account])
    holds: dict[UUID, Hold] = field(default_factory=dict[UUID, Hold])
    budgets: dict[UUID, Budget] = field(default_factory=dict[UUID, Budget])
    used: dict[tuple[UUID, datetime], int] = field(default_factory=dict[tuple[UUID, datetime], int])
    versions: dict[UUID, int] = field(default_factory=dict[UUID, int])
    position: int = 0
    recorded_at: datetime = EPOCH
    fresh: list[tuple[UUID, str]] = field(default_factory=list[tuple[UUID, str]])
    moved: list[tuple[UUID, datetime, int]] = field(default_factory=list[tuple[UUID, datetime, int]])

    def note(self, stream_id: UUID, tag: str) -> None:
        """An event is appended."""
        self.versions[stream_id] = self.versions.get(stream_id, 0) + 1
        self.position += 1
        self.fresh.append((stream_id, tag))

    def account(self, account_id: UUID) -> Account:
        """An account that must exist."""
        found = self.accounts.get(account_id)
        if found is None:
            raise No("account-unknown", account_id=str(account_id))
        return found

    def fork(self, account_ids: Iterable[UUID]) -> Book:
        """A copy to try things on; of accounts only these."""
        wanted = set(account_ids)
        return Book(
            accounts={key: one.fork() if key in wanted else one for key, one in self.accounts.items()},
            holds={key: one.fork() if one.account_id in wanted else one for key, one in self.holds.items()},
            budgets=dict(self.budgets),
            used=dict(self.used),
            versions=dict(self.versions),
            position=self.position,
            recorded_at=self.recorded_at,
            fresh=list(self.fresh),
            moved=list(self.moved),
        )
