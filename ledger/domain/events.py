"""What can happen to an account, as frozen structs.

A tag begins with its package, so that any reader knows the kind of a stream without importing it: an account's tags
have three parts (``ledger.credits-held.v1``), those of the ledger's other streams four (``ledger.budget.set.v1``).
Amounts are int micro-credits (``_ucr``), book amounts int 10⁻⁶ of the major unit (``_micro``).
Events carry ids and codes, never personal data. Slices are listed in burn order, where not said otherwise.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger.domain.words import (
    OVERDRAFT,
    AdjustmentCause,
    BudgetSubject,
    BudgetUse,
    BudgetWindow,
    Claim,
    DebtCause,
    DebtPart,
    Event,
    GrantKind,
    Note,
    RevokeCause,
    Slice,
    SpentAs,
    TransferPart,
)
from ledger.limits import OPEN_HOLDS_MAX

__all__ = [
    "OVERDRAFT",
    "AccountClosed",
    "AccountEvent",
    "AccountFrozen",
    "AccountOpened",
    "AccountPolicySet",
    "AccountUnfrozen",
    "AdjustmentCause",
    "BalanceAdjusted",
    "BudgetSet",
    "BudgetSubject",
    "BudgetUse",
    "BudgetWindow",
    "Claim",
    "CreditsDebited",
    "CreditsExpired",
    "CreditsGranted",
    "CreditsHeld",
    "CreditsReversed",
    "CreditsRevoked",
    "CreditsTransferredIn",
    "CreditsTransferredOut",
    "DebtCause",
    "DebtIncurred",
    "DebtPart",
    "DebtRepaid",
    "Event",
    "GrantExtended",
    "GrantFrozen",
    "GrantKind",
    "GrantUnfrozen",
    "HoldCommitted",
    "HoldExpired",
    "HoldRaised",
    "HoldReleased",
    "HoldRenewed",
    "LogForked",
    "Note",
    "RevokeCause",
    "Slice",
    "SpentAs",
    "TransferPart",
    "VerdictsSealed",
]


class AccountOpened(Event, frozen=True, tag="ledger.account-opened.v1"):
    """An account came to life for one organisation, with its policy."""

    account_id: UUID
    organisation_id: UUID
    max_open_holds: int
    overdraft_limit_ucr: int = 0


class AccountPolicySet(Event, frozen=True, tag="ledger.account-policy-set.v1"):
    """Another policy. What is held already stays held."""

    max_open_holds: int = OPEN_HOLDS_MAX
    overdraft_limit_ucr: int = 0


class AccountFrozen(Event, frozen=True, tag="ledger.account-frozen.v1"):
    """Nothing new may be spent; what is held can still be resolved."""

    reason: str


class AccountUnfrozen(Event, frozen=True, tag="ledger.account-unfrozen.v1"):
    """Spending is allowed again."""

    reason: str


class AccountClosed(Event, frozen=True, tag="ledger.account-closed.v1"):
    """The end of an account that is empty; its grants can still be revoked."""

    reason: str


class CreditsGranted(Event, frozen=True, tag="ledger.credits-granted.v1"):
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


class CreditsHeld(Event, frozen=True, tag="ledger.credits-held.v1"):
    """A hold: credits pinned until committed, released or expired. ``reference`` is the job, if it has one.

    ``cap_ucr`` is how far it may be raised (0: not at all).
    """

    hold_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    lease_until: datetime
    reference: UUID | None = None
    cap_ucr: int = 0
    budgets: tuple[BudgetUse, ...] = ()


class HoldRenewed(Event, frozen=True, tag="ledger.hold-renewed.v1"):
    """A later lease end."""

    hold_id: UUID
    lease_until: datetime


class HoldRaised(Event, frozen=True, tag="ledger.hold-raised.v1"):
    """More credits pinned, behind those that were."""

    hold_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]


class HoldCommitted(Event, frozen=True, tag="ledger.hold-committed.v1"):
    """A debit of held slices. ``final``, or nothing left: the rest has ``returned`` and the hold is resolved.

    ``frozen`` is the part of ``returned`` that goes to frozen, because its grant is disputed. ``late``: the hold had
    expired, and the slices come from what was free now.
    """

    hold_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    final: bool
    returned: tuple[Slice, ...] = ()
    frozen: tuple[Slice, ...] = ()
    reference: UUID | None = None
    late: bool = False


class HoldReleased(Event, frozen=True, tag="ledger.hold-released.v1"):
    """All that was still pinned went back to the same grants; the part ``frozen`` of it is disputed."""

    hold_id: UUID
    amount_ucr: int
    returned: tuple[Slice, ...]
    reason: str
    frozen: tuple[Slice, ...] = ()
    reference: UUID | None = None


class HoldExpired(Event, frozen=True, tag="ledger.hold-expired.v1"):
    """The lease ended: all that was still pinned went back to the same grants; ``frozen`` as in a release."""

    hold_id: UUID
    amount_ucr: int
    returned: tuple[Slice, ...]
    frozen: tuple[Slice, ...] = ()
    reference: UUID | None = None


class CreditsDebited(Event, frozen=True, tag="ledger.credits-debited.v1"):
    """A debit without a hold."""

    debit_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    reason: str
    reference: UUID | None = None
    budgets: tuple[BudgetUse, ...] = ()


class CreditsExpired(Event, frozen=True, tag="ledger.credits-expired.v1"):
    """What was free of a grant at its end; what is held or frozen expires when it comes back."""

    grant_id: UUID
    amount_ucr: int


class GrantExtended(Event, frozen=True, tag="ledger.grant-extended.v1"):
    """A later end: ``kept_ucr`` of what was free rolls over, ``expired_ucr`` ends now."""

    grant_id: UUID
    expires_at: datetime
    kept_ucr: int
    expired_ucr: int = 0


class GrantFrozen(Event, frozen=True, tag="ledger.grant-frozen.v1"):
    """A dispute: ``amount_ucr`` of what was free is frozen; what comes back from holds joins it up to ``limit_ucr``."""

    grant_id: UUID
    amount_ucr: int
    limit_ucr: int
    reason: str
    reference: UUID | None = None


class GrantUnfrozen(Event, frozen=True, tag="ledger.grant-unfrozen.v1"):
    """The dispute is won: what was frozen is free."""

    grant_id: UUID
    amount_ucr: int
    reason: str


class CreditsRevoked(Event, frozen=True, tag="ledger.credits-revoked.v1"):
    """Unspent credits taken back: ``amount_ucr`` in all, ``from_frozen_ucr`` of it frozen before.

    ``claim_ucr`` more is held at this moment and taken as it comes back; if it is spent instead, ``spent_as`` says who
    bears it. ``lost_ucr`` was spent already, and is our loss; below zero, so much of that has come back. ``claimed``:
    what is taken here came back to the oldest claim. ``ends``: nothing of this grant can be used any more.
    """

    grant_id: UUID
    amount_ucr: int
    cause: RevokeCause
    from_frozen_ucr: int = 0
    claim_ucr: int = 0
    lost_ucr: int = 0
    spent_as: SpentAs = "debt"
    claimed: bool = False
    ends: bool = False
    reason: str = ""
    reference: UUID | None = None


class DebtIncurred(Event, frozen=True, tag="ledger.debt-incurred.v1"):
    """Credits that were spent and that nothing pays for: beyond what was there, or of a grant that was revoked.

    ``claimed``: they were held when the grant was revoked, and the oldest claim waited for them.
    """

    amount_ucr: int
    cause: DebtCause
    grant_id: UUID | None = None
    reference: UUID | None = None
    claimed: bool = False


class DebtRepaid(Event, frozen=True, tag="ledger.debt-repaid.v1"):
    """Free credits given for debt; ``debts`` are the parts that are gone, the oldest first."""

    amount_ucr: int
    slices: tuple[Slice, ...]
    debts: tuple[DebtPart, ...]


class CreditsReversed(Event, frozen=True, tag="ledger.credits-reversed.v1"):
    """A debit undone, in whole or part: its slices unwound in reverse order, as listed.

    A slice of the overdraft lowers debt. The grants in ``graced`` had ended: what returns is usable until
    ``grace_until``. ``frozen`` is the part that returns to disputed grants.
    """

    reversal_id: UUID
    debit_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    reason: str
    frozen: tuple[Slice, ...] = ()
    graced: tuple[UUID, ...] = ()
    grace_until: datetime | None = None


class CreditsTransferredOut(Event, frozen=True, tag="ledger.credits-transferred-out.v1"):
    """Credits gone to another account of the organisation."""

    transfer_id: UUID
    to_account_id: UUID
    amount_ucr: int
    slices: tuple[Slice, ...]
    reason: str


class CreditsTransferredIn(Event, frozen=True, tag="ledger.credits-transferred-in.v1"):
    """Credits come from another account of the organisation, as buckets of their own."""

    transfer_id: UUID
    from_account_id: UUID
    amount_ucr: int
    parts: tuple[TransferPart, ...]
    reason: str


class BalanceAdjusted(Event, frozen=True, tag="ledger.balance-adjusted.v1"):
    """Two operators changed the balance: more (a goodwill bucket ``grant_id``) or less (``slices`` taken)."""

    adjustment_id: UUID
    amount_ucr: int
    cause: AdjustmentCause
    operator_id: UUID
    approver_id: UUID
    grant_id: UUID | None = None
    slices: tuple[Slice, ...] = ()
    reason: str = ""


AccountEvent = (
    AccountOpened
    | AccountPolicySet
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | CreditsGranted
    | CreditsHeld
    | HoldRenewed
    | HoldRaised
    | HoldCommitted
    | HoldReleased
    | HoldExpired
    | CreditsDebited
    | CreditsExpired
    | GrantExtended
    | GrantFrozen
    | GrantUnfrozen
    | CreditsRevoked
    | DebtIncurred
    | DebtRepaid
    | CreditsReversed
    | CreditsTransferredOut
    | CreditsTransferredIn
    | BalanceAdjusted
)


class BudgetSet(Note, frozen=True, tag="ledger.budget.set.v1"):
    """A budget of an organisation, on a stream of its own; ``limit_ucr`` None lifts it. Windows are UTC."""

    budget_id: UUID
    organisation_id: UUID
    subject: BudgetSubject
    window: BudgetWindow
    limit_ucr: int | None = None


class VerdictsSealed(Note, frozen=True, tag="ledger.log.verdicts-sealed.v1"):
    """Covers the verdicts of one batch that no event names: ``sha256`` (hex) over their rows, by key hash."""

    count: int
    sha256: str


class LogForked(Note, frozen=True, tag="ledger.log.forked.v1"):
    """After a tail was lost: heads were signed up to ``size``, and what lay behind ``kept`` is gone for good."""

    kept: int
    size: int
    root: str
    operator_id: UUID
    reason: str
