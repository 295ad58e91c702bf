"""What can be asked of an account. Commands carry durations, never instants: the writer's clock decides.

The one exception is ``effective_at``, a date in the past that a grant, an adjustment or a reversal is meant for: it
orders reports and decides nothing.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, final
from uuid import UUID

from msgspec import Struct

from ledger import limits
from ledger.domain.events import AdjustmentCause, BudgetSubject, BudgetWindow, GrantKind, RevokeCause, SpentAs


class Ask(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What all commands have in common.

    ``minted`` names the ids that we make, or that stand in the key already: a key's repeat is not compared by them.
    """

    minted: ClassVar[frozenset[str]] = frozenset({"account_id"})


class OpenAccount(Ask, frozen=True, tag="open-account"):
    """Open an account for an organisation; ``overdraft_limit_ucr`` is how far below zero it may spend."""

    account_id: UUID
    organisation_id: UUID
    max_open_holds: int = limits.OPEN_HOLDS_MAX
    overdraft_limit_ucr: int = 0


class SetPolicy(Ask, frozen=True, tag="set-policy"):
    """Change an account's policy."""

    account_id: UUID
    max_open_holds: int = limits.OPEN_HOLDS_MAX
    overdraft_limit_ucr: int = 0


class FreezeAccount(Ask, frozen=True, tag="freeze-account"):
    """Stop new spending."""

    account_id: UUID
    reason: str


class UnfreezeAccount(Ask, frozen=True, tag="unfreeze-account"):
    """Allow spending again."""

    account_id: UUID
    reason: str


class CloseAccount(Ask, frozen=True, tag="close-account"):
    """End an account on which nothing is left: no credits, no hold, no debt."""

    account_id: UUID
    reason: str


class GrantCredits(Ask, frozen=True, tag="grant-credits"):
    """Give credits; ``lifetime_s=None`` never ends. See ``CreditsGranted`` for the money fields."""

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "grant_id"})
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
    effective_at: datetime | None = None


class ExtendGrant(Ask, frozen=True, tag="extend-grant"):
    """Let a grant end ``lifetime_s`` from now, later than it would.

    ``keep_ucr`` of what is free rolls over, the rest expires now; None keeps all.
    """

    account_id: UUID
    grant_id: UUID
    lifetime_s: int
    keep_ucr: int | None = None


class FreezeGrant(Ask, frozen=True, tag="freeze-grant"):
    """A dispute opened over ``amount_ucr`` of a grant (None: all of it)."""

    account_id: UUID
    grant_id: UUID
    reason: str
    amount_ucr: int | None = None
    reference: UUID | None = None


class UnfreezeGrant(Ask, frozen=True, tag="unfreeze-grant"):
    """The dispute was won."""

    account_id: UUID
    grant_id: UUID
    reason: str


class RevokeCredits(Ask, frozen=True, tag="revoke-credits"):
    """Take a grant back: ``amount_ucr`` of it, unspent credits first; what was spent becomes debt, or our loss.

    None ends the grant, and with it the promo grants of the same receipt of which anything is left.
    """

    account_id: UUID
    grant_id: UUID
    cause: RevokeCause
    amount_ucr: int | None = None
    spent_as: SpentAs = "debt"
    reason: str = ""
    reference: UUID | None = None


class HoldCredits(Ask, frozen=True, tag="hold-credits"):
    """Pin credits for ``lease_s`` seconds; may be raised up to ``cap_ucr`` in all (None: not at all)."""

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "hold_id"})
    account_id: UUID
    hold_id: UUID
    amount_ucr: int
    lease_s: int
    reference: UUID | None = None
    cap_ucr: int | None = None
    budgets: tuple[UUID, ...] = ()


class RenewHold(Ask, frozen=True, tag="renew-hold"):
    """Move the end of a lease to ``lease_s`` from now, if that is later."""

    account_id: UUID
    hold_id: UUID
    lease_s: int


class RaiseHold(Ask, frozen=True, tag="raise-hold"):
    """Pin ``amount_ucr`` more, within the cap given at the start."""

    account_id: UUID
    hold_id: UUID
    amount_ucr: int


class CommitHold(Ask, frozen=True, tag="commit-hold"):
    """Debit a part or all of a hold; ``final`` returns the rest.

    ``late``: if the hold has expired and never had a job, take the amount from what is free now, whole or not at all.
    """

    account_id: UUID
    hold_id: UUID
    amount_ucr: int
    final: bool = True
    late: bool = False


class ReleaseHold(Ask, frozen=True, tag="release-hold"):
    """Give back all that a hold still pins."""

    account_id: UUID
    hold_id: UUID
    reason: str


class ExpireHold(Ask, frozen=True, tag="expire-hold"):
    """Give back all that a hold pins whose lease has ended; refused before its end."""

    account_id: UUID
    hold_id: UUID


class DebitCredits(Ask, frozen=True, tag="debit-credits"):
    """Debit without a hold."""

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "debit_id"})
    account_id: UUID
    debit_id: UUID
    amount_ucr: int
    reason: str
    reference: UUID | None = None
    budgets: tuple[UUID, ...] = ()


class ReverseDebit(Ask, frozen=True, tag="reverse-debit"):
    """Undo ``amount_ucr`` (None: all that is left) of a debit or of what a hold committed.

    What returns to a grant that has ended is usable for ``grace_s``.
    """

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "reversal_id"})
    account_id: UUID
    reversal_id: UUID
    debit_id: UUID
    reason: str
    amount_ucr: int | None = None
    grace_s: int = limits.REVERSAL_GRACE_S
    effective_at: datetime | None = None


class TransferCredits(Ask, frozen=True, tag="transfer-credits"):
    """Move credits to another account of the same organisation, with the kind, end and cost basis of each slice."""

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "transfer_id"})
    account_id: UUID
    to_account_id: UUID
    transfer_id: UUID
    amount_ucr: int
    reason: str


class AdjustBalance(Ask, frozen=True, tag="adjust-balance"):
    """Change the balance by ``amount_ucr``, up or down; two operators, and a named cause."""

    minted: ClassVar[frozenset[str]] = frozenset({"account_id", "adjustment_id"})
    account_id: UUID
    adjustment_id: UUID
    amount_ucr: int
    cause: AdjustmentCause
    operator_id: UUID
    approver_id: UUID
    reason: str = ""
    effective_at: datetime | None = None


class ExpireGrants(Ask, frozen=True, tag="expire-grants"):
    """Book the end of the grants that are due; a sweep sends it for accounts that nobody touches."""

    account_id: UUID


AccountCommand = (
    OpenAccount
    | SetPolicy
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | GrantCredits
    | ExtendGrant
    | FreezeGrant
    | UnfreezeGrant
    | RevokeCredits
    | HoldCredits
    | RenewHold
    | RaiseHold
    | CommitHold
    | ReleaseHold
    | ExpireHold
    | DebitCredits
    | ReverseDebit
    | TransferCredits
    | AdjustBalance
    | ExpireGrants
)


@final
class SetBudget(Ask, frozen=True, tag="set-budget"):
    """Set an organisation's budget; ``limit_ucr=None`` lifts it. Holds and debits name the budgets they count in."""

    minted: ClassVar[frozenset[str]] = frozenset({"organisation_id"})
    budget_id: UUID
    organisation_id: UUID
    subject: BudgetSubject
    window: BudgetWindow
    limit_ucr: int | None = None


Command = AccountCommand | SetBudget
