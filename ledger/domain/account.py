"""State of an account: sums and live grants; open holds are rows beside it.

State is a cache in meaning: replaying the stream gives the same bytes. It is mutable, and only ``evolve`` changes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.events import GrantKind, Slice

STATE_FORMAT = 1


class Grant(Struct, kw_only=True, array_like=True):
    """A live grant. ``order`` is its version in the stream, the last key of the burn order."""

    grant_id: UUID
    order: int
    kind: GrantKind
    priority: int
    expires_at: datetime | None
    granted_ucr: int
    free_ucr: int
    held_ucr: int = 0
    spent_ucr: int = 0
    expired_ucr: int = 0

    @property
    def live(self) -> bool:
        """Whether anything of it can still move."""
        return self.free_ucr > 0 or self.held_ucr > 0

    def due(self, now: datetime) -> bool:
        """Whether its end has come."""
        return self.expires_at is not None and self.expires_at <= now

    def check(self) -> None:
        """Assert the algebra of one grant (design: granted = free + held + spent + expired, none below zero)."""
        parts = (self.free_ucr, self.held_ucr, self.spent_ucr, self.expired_ucr)
        assert min(parts) >= 0 and sum(parts) == self.granted_ucr, f"grant {self.grant_id} does not add up: {parts}"


class Account(Struct, kw_only=True, array_like=True):
    """An account at one version. ``hash`` is the hash of its last event; ``version`` 0 is an account not opened."""

    account_id: UUID
    organisation_id: UUID
    version: int = 0
    hash: bytes = b""
    max_open_holds: int = 0
    posted_ucr: int = 0
    held_ucr: int = 0
    open_holds: int = 0
    grants: list[Grant] = []

    @property
    def frozen_ucr(self) -> int:
        """Credits frozen by disputes; none until grants can be frozen."""
        return 0

    @property
    def available_ucr(self) -> int:
        """Credits that can be spent."""
        return self.posted_ucr - self.held_ucr - self.frozen_ucr

    def grant(self, grant_id: UUID) -> Grant | None:
        """A live grant by id."""
        return next((grant for grant in self.grants if grant.grant_id == grant_id), None)

    @property
    def next_due_at(self) -> datetime | None:
        """When the next grant ends of which something is free."""
        ends = [grant.expires_at for grant in self.grants if grant.expires_at is not None and grant.free_ucr > 0]
        return min(ends, default=None)

    def due_grants(self, now: datetime) -> list[Grant]:
        """Grants whose end has come and of which something is free."""
        return [grant for grant in self.grants if grant.free_ucr > 0 and grant.due(now)]

    def burn(self, amount_ucr: int) -> tuple[Slice, ...]:
        """Which grants an amount is taken from, in burn order; the caller has checked that it is there."""
        return tuple(_take(amount_ucr, self.grants))

    def check(self) -> None:
        """Assert the algebra of the whole account."""
        for grant in self.grants:
            grant.check()
        free_ucr = sum(grant.free_ucr for grant in self.grants)
        assert self.held_ucr == sum(grant.held_ucr for grant in self.grants)
        assert self.posted_ucr == free_ucr + self.held_ucr
        assert self.held_ucr >= 0 and self.open_holds >= 0


class Hold(Struct, kw_only=True, array_like=True):
    """A hold, kept for ever: its ``slices`` are what it still pins, in burn order."""

    hold_id: UUID
    account_id: UUID
    state: str
    amount_ucr: int
    committed_ucr: int
    slices: tuple[Slice, ...]
    lease_until: datetime
    reference: UUID | None
    opened_at: datetime
    opened_position: int
    resolved_at: datetime | None = None

    @property
    def remaining_ucr(self) -> int:
        """Micro-credits it still pins."""
        return sum(part.amount_ucr for part in self.slices)


def _take(amount_ucr: int, grants: list[Grant]) -> Iterator[Slice]:
    for grant in grants:
        part_ucr = min(amount_ucr, grant.free_ucr)
        if part_ucr > 0:
            yield Slice(grant.grant_id, part_ucr)
            amount_ucr -= part_ucr
        if amount_ucr == 0:
            return
    assert amount_ucr == 0, "burned more than was free"


def split(slices: tuple[Slice, ...], amount_ucr: int) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    """Cut slices in two: the first ``amount_ucr`` in burn order, and the rest."""
    first: list[Slice] = []
    rest: list[Slice] = []
    for part in slices:
        taken_ucr = min(amount_ucr, part.amount_ucr)
        amount_ucr -= taken_ucr
        if taken_ucr:
            first.append(Slice(part.grant_id, taken_ucr))
        if taken_ucr < part.amount_ucr:
            rest.append(Slice(part.grant_id, part.amount_ucr - taken_ucr))
    assert amount_ucr == 0, "split more than there is"
    return tuple(first), tuple(rest)


def burn_key(grant: Grant) -> tuple[int, bool, float, int]:
    """Burn order: priority, then the soonest end (never last), then the order of the grants."""
    end = grant.expires_at
    return (grant.priority, end is None, end.timestamp() if end else 0.0, grant.order)


_state_encoder = msgspec.msgpack.Encoder()
_state_decoder = msgspec.msgpack.Decoder(Account)
_slices_decoder = msgspec.msgpack.Decoder(tuple[Slice, ...])


def encode_account(account: Account) -> bytes:
    """State as stored."""
    return _state_encoder.encode(account)


def decode_account(raw: bytes) -> Account:
    """Read stored state of ``STATE_FORMAT``."""
    return _state_decoder.decode(raw)


def encode_slices(slices: tuple[Slice, ...]) -> bytes:
    """Slices as stored beside a hold."""
    return _state_encoder.encode(slices)


def decode_slices(raw: bytes) -> tuple[Slice, ...]:
    """Read stored slices."""
    return _slices_decoder.decode(raw)
