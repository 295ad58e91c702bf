"""What can happen to an account, as frozen structs.

A tag begins with its package, so that any reader knows the kind of a stream without importing it.
Amounts are int micro-credits (``_ucr``), book amounts int 10⁻⁶ of the major unit (``_micro``).
Events carry ids and codes, never personal data. Slices are listed in burn order.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

GrantKind = Literal["paid", "subscription", "promo", "goodwill", "referral"]


class Slice(Struct, frozen=True, array_like=True):
    """A part of one grant: what a hold pins, a debit spends or a release returns."""

    grant_id: UUID
    amount_ucr: int


class AccountOpened(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ledger.account-opened.v1"):
    """An account came to life for one organisation."""

    account_id: UUID
    organisation_id: UUID
    max_open_holds: int


class CreditsGranted(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.credits-granted.v1"
):
    """A bucket of credits; ``cost_micro`` is its exact cost basis in the book currency, never revalued.

    ``list_value_micro`` is what the amount costs at list price. ``receipt_id`` and ``generation`` say which
    payment it came from; a promo grant linked to a receipt ends with it.
    """

    grant_id: UUID
    amount_ucr: int
    kind: GrantKind
    priority: int
    expires_at: datetime | None = None
    cost_micro: int = 0
    list_value_micro: int = 0
    book_currency: str = "USD"
    receipt_id: UUID | None = None
    generation: int = 1
    reason: str = ""


class CreditsHeld(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.credits-held.v1"
):
    """A hold: credits pinned until committed, released or expired. ``reference`` is the job, if it has one."""

    hold_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    lease_until: datetime
    reference: UUID | None = None


class HoldRenewed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ledger.hold-renewed.v1"):
    """A later lease end."""

    hold_id: UUID
    lease_until: datetime


class HoldCommitted(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.hold-committed.v1"
):
    """A debit of held slices. ``final``, or nothing left: the rest has ``returned`` and the hold is resolved."""

    hold_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    final: bool
    returned: tuple[Slice, ...] = ()
    reference: UUID | None = None


class HoldReleased(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.hold-released.v1"
):
    """All that was still pinned went back to the same grants."""

    hold_id: UUID
    amount_ucr: int
    returned: tuple[Slice, ...]
    reason: str
    reference: UUID | None = None


class HoldExpired(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.hold-expired.v1"
):
    """The lease ended: all that was still pinned went back to the same grants."""

    hold_id: UUID
    amount_ucr: int
    returned: tuple[Slice, ...]
    reference: UUID | None = None


class CreditsDebited(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="ledger.credits-debited.v1"
):
    """A debit without a hold."""

    debit_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    reason: str
    reference: UUID | None = None


class CreditsExpired(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ledger.credits-expired.v1"):
    """What was free of a grant at its end; what is held expires when it comes back."""

    grant_id: UUID
    amount_ucr: int


AccountEvent = (
    AccountOpened
    | CreditsGranted
    | CreditsHeld
    | HoldRenewed
    | HoldCommitted
    | HoldReleased
    | HoldExpired
    | CreditsDebited
    | CreditsExpired
)
