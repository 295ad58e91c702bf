"""What events are made of: kinds, causes and parts, and the two forms in which an event is stored.

Plain data is in no cycle. A batch makes tens of thousands of such objects, which die together: ``gc=False``, here and
wherever else plain data stands, keeps the collector from walking over them in the middle of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

GrantKind = Literal["paid", "subscription", "promo", "goodwill", "referral"]
RevokeCause = Literal["refund", "dispute", "reorganisation", "downgrade", "correction"]
DebtCause = Literal["overdraft", "refund", "dispute", "reorganisation", "downgrade", "correction"]
"""Why credits are owed: an overdraft, or the reason for which they were revoked."""
SpentAs = Literal["debt", "loss"]
"""What becomes of revoked credits that were spent already: the customer owes them, or we bear it."""
AdjustmentCause = Literal["correction", "compensation", "migration", "write-off", "dormant"]
BudgetSubject = Literal["organisation", "member", "key", "project"]
BudgetWindow = Literal["once", "day", "week", "month"]

OVERDRAFT = UUID(int=0)
"""Stands where a slice names its grant, for the part that no grant covers."""


class Slice(Struct, frozen=True, array_like=True, gc=False):
    """A part of one grant, or of the overdraft: what a hold pins, a debit spends or a release returns."""

    grant_id: UUID
    amount_ucr: int

    @property
    def overdraft(self) -> bool:
        """Whether no grant covers it. Compared as a number: ``UUID.__eq__`` costs ten times as much."""
        return not self.grant_id.int


def total_ucr(parts: Iterable[Slice | Claim | DebtPart]) -> int:
    """What parts make together. A loop: ``sum`` over a generator costs three times as much."""
    amount_ucr = 0
    for part in parts:
        amount_ucr += part.amount_ucr
    return amount_ucr


class BudgetUse(Struct, frozen=True, array_like=True, gc=False):
    """A budget that a hold or debit counts against, and the start of the window it was taken in."""

    budget_id: UUID
    window_start: datetime


class Claim(Struct, frozen=True, array_like=True, gc=False):
    """A part of what is held that will be revoked as it comes back, why, and who bears it if it is spent instead."""

    cause: RevokeCause
    spent_as: SpentAs
    amount_ucr: int


class DebtPart(Struct, frozen=True, array_like=True, gc=False):
    """A part of the account's debt: why it arose, and from which grant if it was revoked."""

    cause: DebtCause
    grant_id: UUID | None
    amount_ucr: int


class Event(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True, gc=False):
    """What all events of accounts have in common: their form, a MessagePack array that begins with the tag.

    There are many of them, and a tag never changes, so that names need not be repeated in each: the order of the
    fields is the format.
    """


class Note(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the ledger's other events have in common: a JSON object, as everywhere else."""


class TransferPart(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True, gc=False):
    """A bucket that arrives by transfer: what its origin was, with the cost basis of what moved."""

    grant_id: UUID
    from_grant_id: UUID
    amount_ucr: int
    kind: GrantKind
    priority: int
    expires_at: datetime | None = None
    cost_micro: int = 0
    list_value_micro: int = 0
    book_currency: str = "USD"
    receipt_id: UUID | None = None
    generation: int = 1
