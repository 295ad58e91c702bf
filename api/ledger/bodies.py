"""What can be asked of the ledger over HTTP, as bodies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ledger import limits
from ledger.domain.events import AdjustmentCause, BudgetSubject, BudgetWindow, RevokeCause, SpentAs

_CREDITS = r"^(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?\Z"
_SIGNED = r"^-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?\Z"
_CODE = r"^[a-z0-9][a-z0-9._-]{0,63}\Z"
_KEY = r"^[ -~]{1,255}\Z"
"""They end with ``\\Z``: to Python a ``$`` lies before a last line end, too. The document says ``$``, as JSON schema
does."""

PRIORITY_MAX = 1_000_000
Amount = Annotated[str, Meta(pattern=_CREDITS, description="Credits, as a decimal string.", examples=["2.5"])]
Signed = Annotated[
    str, Meta(pattern=_SIGNED, description="Credits, as a decimal string; negative takes away.", examples=["-2.5"])
]
Code = Annotated[
    str, Meta(pattern=_CODE, description="Why: a code, never a sentence or a name.", examples=["api-call"])
]
Lease = Annotated[int, Meta(ge=1, le=limits.HOLD_LEASE_MAX_S, description="Seconds from now.", examples=[60])]
Lifetime = Annotated[int, Meta(ge=1, le=limits.GRANT_LIFETIME_MAX_S, description="Seconds from now.")]
AccountId = Annotated[str, Meta(pattern=r"^acc_[0-9a-f]{32}\Z", description="An account of the organisation.")]
HoldId = Annotated[str, Meta(pattern=r"^hold_[0-9a-f]{32}\Z", description="The hold.")]
GrantId = Annotated[str, Meta(pattern=r"^grant_[0-9a-f]{32}\Z", description="The grant.")]
DebitId = Annotated[str, Meta(pattern=r"^(debit|hold)_[0-9a-f]{32}\Z", description="The debit, or the hold committed.")]
BudgetId = Annotated[str, Meta(pattern=r"^budget_[0-9a-f]{32}\Z", description="The budget.")]
Version = Annotated[int, Meta(ge=0, le=limits.INT64_MAX, description="Refuse unless the account is at this version.")]
Key = Annotated[str, Meta(pattern=_KEY, description="As the header `Idempotency-Key`, for this one.")]
Grace = Annotated[int, Meta(ge=1, le=limits.GRANT_LIFETIME_MAX_S)]
Effective = Annotated[datetime, Meta(tz=True, description="The date in the past that this is meant for.")]
Dry = Annotated[bool, Meta(description="Say what would come of it, and write nothing.")]
Mine = Annotated[AccountId | None, Meta(description="The account; left out: that of the key.")]
OpenHolds = Annotated[int, Meta(ge=1, le=limits.OPEN_HOLDS_MAX, description="Most open holds.")]


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What everything can be asked with that is about an account."""

    account_id: Mine = None
    expected_account_version: Version | None = None
    dry_run: Dry = False


class HoldIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pin credits until committed, released, or ``lease_s`` is over. It may be raised up to ``cap`` in all."""

    amount: Amount
    lease_s: Lease
    cap: Amount | None = None
    budgets: Annotated[list[BudgetId], Meta(max_length=limits.BUDGETS_MAX)] = []


class RenewIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move the end of a hold, if that is later."""

    lease_s: Lease


class RaiseIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pin more, within the hold's cap."""

    amount: Amount


class CommitIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Debit a part or all of a hold; ``final`` gives the rest back.

    ``late``: if the hold has expired, take the amount from what is free now, whole or not at all.
    """

    amount: Amount
    final: bool = True
    late: bool = False


class ReleaseIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give back all that a hold still pins."""

    reason: Code = "released"


class DebitIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Spend without a hold."""

    amount: Amount
    reason: Code
    budgets: Annotated[list[BudgetId], Meta(max_length=limits.BUDGETS_MAX)] = []


class ReverseIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Undo ``amount`` of a debit, or all that is left of it. What returns to a grant that ended lasts ``grace_s``."""

    reason: Code
    amount: Amount | None = None
    grace_s: Grace = limits.REVERSAL_GRACE_S
    effective_at: Effective | None = None


class TransferIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Move credits to another account of the organisation: they keep their kind, end and cost."""

    to_account_id: AccountId
    amount: Amount
    reason: Code


class GrantIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give credits that nobody paid for; paid ones come with their receipt alone."""

    amount: Amount
    kind: Literal["promo", "goodwill", "referral"]
    priority: Annotated[int, Meta(ge=0, le=PRIORITY_MAX, description="Lower is spent first.")] = 100
    expires_in_s: Lifetime | None = None
    reason: Code | None = None
    effective_at: Effective | None = None


class ExtendIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let a grant end later: ``keep`` of what is free rolls over (all, if left out), the rest expires now."""

    expires_in_s: Lifetime
    keep: Amount | None = None


class FreezeGrantIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dispute opened over a grant, or over ``amount`` of it."""

    reason: Code
    amount: Amount | None = None


class ReasonIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change that needs nothing but its reason."""

    reason: Code


class RevokeIn(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a grant back, or ``amount`` of it, unspent credits first. What was spent is owed, or our loss."""

    cause: RevokeCause
    amount: Amount | None = None
    spent_as: SpentAs = "debt"
    reason: Code | None = None


class LifeIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Freeze, unfreeze or close an account."""

    reason: Code
    expected_account_version: Version | None = None
    dry_run: Dry = False


class AccountIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another account of the organisation, and how far below zero it may spend."""

    overdraft_limit: Amount = "0"
    max_open_holds: OpenHolds = limits.OPEN_HOLDS_MAX
    dry_run: Dry = False


class PolicyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of an account, all of them."""

    overdraft_limit: Amount
    max_open_holds: OpenHolds
    expected_account_version: Version | None = None
    dry_run: Dry = False


class AdjustIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of the balance, to be approved by another operator."""

    account_id: Mine = None
    amount: Signed
    cause: AdjustmentCause
    reason: Code | None = None
    effective_at: Effective | None = None
    dry_run: Dry = False


class BudgetIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much may be spent in a window (UTC) by holds and debits that name the budget; without ``limit``: any."""

    subject: BudgetSubject
    window: BudgetWindow
    limit: Amount | None = None
    dry_run: Dry = False
