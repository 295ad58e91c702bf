"""State of an account: sums and live grants; holds, ended grants and budgets are rows beside it.

State is a cache in meaning: replaying the stream gives the same bytes. It is mutable, and only ``evolve`` changes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.events import OVERDRAFT, BudgetUse, Claim, DebtPart, GrantKind, Slice
from ledger.domain.words import total_ucr

STATE_FORMAT = 3
AccountStatus = Literal["open", "frozen", "closed"]


class Grant(Struct, kw_only=True, array_like=True, gc=False):
    """A grant. ``order`` is its version in the stream, the last but one key of the burn order.

    ``freeze_limit_ucr`` is how much of it is disputed (0: no dispute). ``claims`` are on what is held now, the oldest
    first. ``indebted_ucr`` of what was spent has become debt, ``lost_ucr`` our loss. ``ended``: revoked as a whole.
    """

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
    cost_micro: int = 0
    list_value_micro: int = 0
    book_currency: str = "USD"
    receipt_id: UUID | None = None
    generation: int = 1
    frozen_ucr: int = 0
    revoked_ucr: int = 0
    transferred_ucr: int = 0
    repaid_ucr: int = 0
    freeze_limit_ucr: int = 0
    claims: tuple[Claim, ...] = ()
    indebted_ucr: int = 0
    lost_ucr: int = 0
    ended: bool = False

    @property
    def live(self) -> bool:
        """Whether anything of it can still move, or somebody is not done with it."""
        return self.free_ucr > 0 or self.held_ucr > 0 or self.freeze_limit_ucr > 0 or bool(self.claims)

    @property
    def claim_ucr(self) -> int:
        """How much of what is held will be revoked as it comes back."""
        return total_ucr(self.claims)

    @property
    def gone_ucr(self) -> int:
        """All that has left it."""
        return self.granted_ucr - self.free_ucr - self.held_ucr - self.frozen_ucr

    @property
    def used_ucr(self) -> int:
        """What its owner had of it: spent, given for debt, or moved to another account."""
        return self.spent_ucr + self.repaid_ucr + self.transferred_ucr

    @property
    def recalled_ucr(self) -> int:
        """What was taken back of what its owner had used: owed, or our loss."""
        return self.indebted_ucr + self.lost_ucr

    def due(self, now: datetime) -> bool:
        """Whether its end has come."""
        return self.expires_at is not None and self.expires_at <= now

    def check(self) -> None:
        """Assert the algebra of one grant: its parts are none below zero, and make what was granted."""
        parts = (
            self.free_ucr,
            self.held_ucr,
            self.frozen_ucr,
            self.spent_ucr,
            self.expired_ucr,
            self.revoked_ucr,
            self.transferred_ucr,
            self.repaid_ucr,
        )
        assert min(parts) >= 0 and sum(parts) == self.granted_ucr, f"grant {self.grant_id} does not add up: {parts}"
        assert not self.claims or self.claim_ucr <= self.granted_ucr
        assert self.frozen_ucr <= self.freeze_limit_ucr


class Refund(Struct, frozen=True, array_like=True, gc=False):
    """A receipt whose paid grant was taken back whole, at a version of the account."""

    receipt_id: UUID
    version: int


class Account(Struct, kw_only=True, array_like=True, gc=False):
    """An account at one version. ``hash`` is the hash of its last event; ``version`` 0 is an account not opened.

    ``overdraft_held_ucr`` is the part of ``held_ucr`` that no grant covers. ``claims`` counts grants with a claim.
    ``refunds`` are the last receipts that were taken back whole, the oldest first.
    """

    account_id: UUID
    organisation_id: UUID
    version: int = 0
    hash: bytes = b""
    max_open_holds: int = 0
    posted_ucr: int = 0
    held_ucr: int = 0
    open_holds: int = 0
    grants: list[Grant] = []
    frozen_ucr: int = 0
    status: AccountStatus = "open"
    overdraft_limit_ucr: int = 0
    overdraft_held_ucr: int = 0
    debts: list[DebtPart] = []
    claims: int = 0
    refunds: list[Refund] = []

    @property
    def available_ucr(self) -> int:
        """Credits that can be spent; below zero when there is debt."""
        return self.posted_ucr - self.held_ucr - self.frozen_ucr

    @property
    def debt_ucr(self) -> int:
        """What was spent and is paid for by nothing."""
        return total_ucr(self.debts)

    def grant(self, grant_id: UUID) -> Grant | None:
        """A live grant by id, compared as a number: ``UUID.__eq__`` costs ten times as much."""
        wanted = grant_id.int
        for grant in self.grants:
            if grant.grant_id.int == wanted:
                return grant
        return None

    def refunded(self, grant: Grant) -> bool:
        """Whether a grant is a gift of a receipt that has been taken back whole since."""
        return grant.kind == "promo" and any(
            one.receipt_id == grant.receipt_id and grant.order < one.version for one in self.refunds
        )

    @property
    def next_due_at(self) -> datetime | None:
        """When the next grant ends of which something is free."""
        ends = [grant.expires_at for grant in self.grants if grant.expires_at is not None and grant.free_ucr > 0]
        return min(ends) if ends else None

    def due_grants(self, now: datetime) -> list[Grant]:
        """Grants whose end has come and of which something is free."""
        return [
            grant
            for grant in self.grants
            if grant.expires_at is not None and grant.free_ucr > 0 and grant.expires_at <= now
        ]

    def burn(self, amount_ucr: int) -> tuple[Slice, ...]:
        """Which grants an amount is taken from, in burn order; what they do not cover is overdraft."""
        slices: list[Slice] = []
        for grant in self.grants:
            part_ucr = min(amount_ucr, grant.free_ucr)
            if part_ucr > 0:
                slices.append(Slice(grant.grant_id, part_ucr))
                amount_ucr -= part_ucr
            if amount_ucr == 0:
                return tuple(slices)
        return (*slices, Slice(OVERDRAFT, amount_ucr)) if amount_ucr else ()

    def check(self) -> None:
        """Assert the algebra of the whole account."""
        free_ucr = held_ucr = frozen_ucr = claims = debt_ucr = 0
        for grant in self.grants:
            grant.check()
            free_ucr += grant.free_ucr
            held_ucr += grant.held_ucr
            frozen_ucr += grant.frozen_ucr
            claims += bool(grant.claims)
        for part in self.debts:
            assert part.amount_ucr > 0
            debt_ucr += part.amount_ucr
        assert self.held_ucr == held_ucr + self.overdraft_held_ucr and self.frozen_ucr == frozen_ucr
        assert self.posted_ucr == free_ucr + held_ucr + frozen_ucr - debt_ucr
        assert self.overdraft_held_ucr >= 0 and self.open_holds >= 0 and self.claims == claims


class Hold(Struct, kw_only=True, array_like=True, gc=False):
    """A hold, or a debit without one, kept for ever.

    ``slices`` are what it still pins, in burn order; ``spent`` what it has debited, in the order of spending, less
    what was reversed; ``budgets`` what it counts against.
    """

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
    spent: tuple[Slice, ...] = ()
    budgets: tuple[BudgetUse, ...] = ()
    cap_ucr: int = 0

    @property
    def remaining_ucr(self) -> int:
        """Micro-credits it still pins."""
        return total_ucr(self.slices)


class HoldParts(Struct, frozen=True, array_like=True, gc=False):
    """What stands in one column of a hold's row."""

    slices: tuple[Slice, ...] = ()
    spent: tuple[Slice, ...] = ()
    budgets: tuple[BudgetUse, ...] = ()
    cap_ucr: int = 0


def split(slices: Iterable[Slice], amount_ucr: int) -> tuple[tuple[Slice, ...], tuple[Slice, ...]]:
    """Cut slices in two: the first ``amount_ucr`` in their order, and the rest."""
    first: list[Slice] = []
    rest: list[Slice] = []
    for part in slices:
        if part.amount_ucr <= amount_ucr:
            first.append(part)
            amount_ucr -= part.amount_ucr
        elif amount_ucr:
            first.append(Slice(part.grant_id, amount_ucr))
            rest.append(Slice(part.grant_id, part.amount_ucr - amount_ucr))
            amount_ucr = 0
        else:
            rest.append(part)
    assert amount_ucr == 0, "split more than there is"
    return tuple(first), tuple(rest)


def burn_key(grant: Grant) -> tuple[int, bool, float, int, bytes]:
    """Burn order: priority, then the soonest end (never last), then the order of the grants; total by the id."""
    end = grant.expires_at
    return (grant.priority, end is None, end.timestamp() if end else 0.0, grant.order, grant.grant_id.bytes)


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_account_decoder = msgspec.msgpack.Decoder(Account)
_grant_decoder = msgspec.msgpack.Decoder(Grant)
_parts_decoder = msgspec.msgpack.Decoder(HoldParts)


def encode_account(account: Account) -> bytes:
    """State as stored."""
    return _encoder.encode(account)


def decode_account(raw: bytes) -> Account:
    """Read stored state of ``STATE_FORMAT``."""
    return _account_decoder.decode(raw)


def encode_grant(grant: Grant) -> bytes:
    """An ended grant as stored."""
    return _encoder.encode(grant)


def decode_grant(raw: bytes) -> Grant:
    """Read a stored grant."""
    return _grant_decoder.decode(raw)


def encode_parts(hold: Hold) -> bytes:
    """What a hold pins, has spent and counts against, as stored beside it."""
    return _encoder.encode(HoldParts(hold.slices, hold.spent, hold.budgets, hold.cap_ucr))


def decode_parts(raw: bytes) -> HoldParts:
    """Read the stored parts of a hold."""
    return _parts_decoder.decode(raw)
