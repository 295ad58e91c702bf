"""What can be asked of an account. Commands carry durations, never instants: the writer's clock decides."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from ledger.domain.events import GrantKind
from ledger.limits import OPEN_HOLDS_MAX


class OpenAccount(Struct, frozen=True, kw_only=True, tag="open-account"):
    """Open an account for an organisation."""

    account_id: UUID
    organisation_id: UUID
    max_open_holds: int = OPEN_HOLDS_MAX


class GrantCredits(Struct, frozen=True, kw_only=True, tag="grant-credits"):
    """Give credits; ``lifetime_s=None`` never ends. See ``CreditsGranted`` for the money fields."""

    account_id: UUID
    grant_id: UUID
    amount_ucr: int
    kind: GrantKind
    priority: int = 100
    lifetime_s: int | None = None
    cost_micro: int = 0
    list_value_micro: int = 0
    book_currency: str = "USD"
    receipt_id: UUID | None = None
    generation: int = 1
    reason: str = ""


class HoldCredits(Struct, frozen=True, kw_only=True, tag="hold-credits"):
    """Pin credits for ``lease_s`` seconds."""

    account_id: UUID
    hold_id: UUID
    amount_ucr: int
    lease_s: int
    reference: UUID | None = None


class RenewHold(Struct, frozen=True, kw_only=True, tag="renew-hold"):
    """Move the end of a lease to ``lease_s`` from now, if that is later."""

    account_id: UUID
    hold_id: UUID
    lease_s: int


class CommitHold(Struct, frozen=True, kw_only=True, tag="commit-hold"):
    """Debit a part or all of a hold; ``final`` returns the rest."""

    account_id: UUID
    hold_id: UUID
    amount_ucr: int
    final: bool = True


class ReleaseHold(Struct, frozen=True, kw_only=True, tag="release-hold"):
    """Give back all that a hold still pins."""

    account_id: UUID
    hold_id: UUID
    reason: str


class ExpireHold(Struct, frozen=True, kw_only=True, tag="expire-hold"):
    """Give back all that a hold pins whose lease has ended; refused before its end."""

    account_id: UUID
    hold_id: UUID


class DebitCredits(Struct, frozen=True, kw_only=True, tag="debit-credits"):
    """Debit without a hold."""

    account_id: UUID
    debit_id: UUID
    amount_ucr: int
    reason: str
    reference: UUID | None = None


class ExpireGrants(Struct, frozen=True, kw_only=True, tag="expire-grants"):
    """Book the end of the grants that are due; a sweep sends it for accounts that nobody touches."""

    account_id: UUID


Command = (
    OpenAccount
    | GrantCredits
    | HoldCredits
    | RenewHold
    | CommitHold
    | ReleaseHold
    | ExpireHold
    | DebitCredits
    | ExpireGrants
)

MINTED = frozenset({"account_id", "grant_id", "hold_id", "debit_id"})
"""Ids that we make, or that already stand in the key: never part of what a key's repeat is compared by,
except a hold's own id in commands that name an existing hold."""
