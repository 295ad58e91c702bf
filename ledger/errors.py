"""Refusals and failures of the ledger.

::

    Refusal                     a rule says no; becomes a verdict
    ├── AccountUnknown          account-unknown
    ├── AccountExists           account-exists
    ├── GrantExists             grant-exists
    ├── HoldExists              hold-exists
    ├── HoldUnknown             hold-unknown
    ├── HoldResolved            hold-resolved
    ├── HoldNotDue              hold-not-due
    ├── CommitAboveHold         commit-above-hold
    ├── InsufficientCredits     insufficient-credits
    ├── TooManyHolds            too-many-holds
    ├── TooManyGrants           too-many-grants
    ├── BalanceTooLarge         balance-too-large
    ├── DebtTooLarge            debt-too-large
    ├── TooManySlices           too-many-slices
    ├── AccountIsFrozen         account-frozen
    ├── AccountIsClosed         account-closed
    ├── AccountNotEmpty         account-not-empty
    ├── GrantUnknown            grant-unknown
    ├── GrantIsFrozen           grant-frozen
    ├── GrantNotFrozen          grant-not-frozen
    ├── GrantEnded              grant-ended
    ├── RevokeAboveGrant        revoke-above-grant
    ├── ExtensionNotLater       extension-not-later
    ├── RaiseAboveCap           raise-above-cap
    ├── LateFinishOver          late-finish-over
    ├── DebitExists             debit-exists
    ├── DebitUnknown            debit-unknown
    ├── ReverseAboveDebit       reverse-above-debit
    ├── OverdraftRepaid         overdraft-repaid
    ├── DebtIsRepaid            debt-repaid
    ├── OtherOrganisation       other-organisation
    ├── SecondOperatorNeeded    second-operator-needed
    ├── EffectiveInFuture       effective-in-future
    ├── BudgetUnknown           budget-unknown
    ├── BudgetExceeded          budget-exceeded
    ├── TooManyRefusals         too-many-refusals   (transient)
    ├── UpgradeNeeded           upgrade-needed      (transient)
    ├── KeyConflict             idempotency-key-conflict
    ├── VersionConflict         version-conflict    (transient)
    ├── StreamConflict          stream-conflict     (transient)
    ├── ClockSkew               clock-skew          (transient)
    └── InternalError           internal-error
    LedgerError                 the ledger could not answer
    ├── InvalidRequest          refused before the queue: nothing was written
    ├── NotDone                 withdrawn or never taken: nothing was written
    ├── OutcomeUnknown          ask again with the same key
    ├── BatchRefused            the database refused a batch for its content
    └── ConnectionLost          the database went away; an acknowledgement may be lost
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

Fact = str | int | bool | None


class Refusal(Exception):
    """A rule says no. ``facts`` are the figures behind it, ``transient`` whether the same may succeed later."""

    code: ClassVar[str] = "refused"
    transient: ClassVar[bool] = False

    def __init__(self, **facts: Fact) -> None:
        super().__init__(self.code)
        self.facts: Mapping[str, Fact] = facts


class AccountUnknown(Refusal):
    """No such account."""

    code = "account-unknown"


class AccountExists(Refusal):
    """The account is open already."""

    code = "account-exists"


class GrantExists(Refusal):
    """A live grant with this id exists already."""

    code = "grant-exists"


class HoldExists(Refusal):
    """Facts: ``hold_id``, ``state``."""

    code = "hold-exists"


class HoldUnknown(Refusal):
    """Facts: ``hold_id``."""

    code = "hold-unknown"


class HoldResolved(Refusal):
    """Somebody else won. Facts: ``hold_id``, ``state``, ``resolved_at``."""

    code = "hold-resolved"


class HoldNotDue(Refusal):
    """The lease has not ended. Facts: ``hold_id``, ``lease_until``."""

    code = "hold-not-due"


class CommitAboveHold(Refusal):
    """Facts: ``hold_id``, ``requested_ucr``, ``remaining_ucr``."""

    code = "commit-above-hold"


class InsufficientCredits(Refusal):
    """Facts: ``required_ucr``, ``available_ucr``, ``held_ucr``; ``overdraft_limit_ucr`` where one counts."""

    code = "insufficient-credits"


class TooManyHolds(Refusal):
    """Facts: ``open_holds``, ``max_open_holds``."""

    code = "too-many-holds"


class TooManyGrants(Refusal):
    """The account that would get another grant has as many live ones as it may. Facts: ``grants_max``."""

    code = "too-many-grants"


class BalanceTooLarge(Refusal):
    """The account that would get credits would have more than it may.

    Facts: ``posted_ucr``, ``amount_ucr``, ``posted_max_ucr``.
    """

    code = "balance-too-large"


class DebtTooLarge(Refusal):
    """The account would owe more than it may: what was spent can be our loss instead.

    Facts: ``debt_ucr`` (with what is claimed), ``amount_ucr``, ``debt_max_ucr``.
    """

    code = "debt-too-large"


class TooManySlices(Refusal):
    """Facts: ``slices_max``."""

    code = "too-many-slices"


class AccountIsFrozen(Refusal):
    """Nothing new may be spent. Facts: ``account_id``."""

    code = "account-frozen"


class AccountIsClosed(Refusal):
    """The account has ended. Facts: ``account_id``."""

    code = "account-closed"


class AccountNotEmpty(Refusal):
    """It cannot be closed yet. Facts: ``account_id``, ``posted_ucr``, ``open_holds``, ``debt_ucr``."""

    code = "account-not-empty"


class GrantUnknown(Refusal):
    """No such grant in this account. Facts: ``grant_id``."""

    code = "grant-unknown"


class GrantIsFrozen(Refusal):
    """A dispute over it is open already. Facts: ``grant_id``."""

    code = "grant-frozen"


class GrantNotFrozen(Refusal):
    """No dispute over it is open. Facts: ``grant_id``."""

    code = "grant-not-frozen"


class GrantEnded(Refusal):
    """It was revoked as a whole, or has no end to move. Facts: ``grant_id``."""

    code = "grant-ended"


class RevokeAboveGrant(Refusal):
    """Facts: ``grant_id``, ``requested_ucr``, ``revocable_ucr``."""

    code = "revoke-above-grant"


class ExtensionNotLater(Refusal):
    """An extension ends later than the grant does. Facts: ``grant_id``, ``expires_at``."""

    code = "extension-not-later"


class RaiseAboveCap(Refusal):
    """Facts: ``hold_id``, ``amount_ucr`` (with the raise), ``cap_ucr``."""

    code = "raise-above-cap"


class LateFinishOver(Refusal):
    """The time in which an expired hold may still be finished is over. Facts: ``hold_id``, ``resolved_at``."""

    code = "late-finish-over"


class DebitExists(Refusal):
    """Facts: ``debit_id``."""

    code = "debit-exists"


class DebitUnknown(Refusal):
    """No such debit in this account. Facts: ``debit_id``."""

    code = "debit-unknown"


class ReverseAboveDebit(Refusal):
    """Facts: ``debit_id``, ``requested_ucr``, ``reversible_ucr``."""

    code = "reverse-above-debit"


class OverdraftRepaid(Refusal):
    """The overdraft that the debit drew on is repaid: two operators adjust instead. Facts: ``debit_id``."""

    code = "overdraft-repaid"


class DebtIsRepaid(Refusal):
    """What the debit spent was revoked and is owed no more: two operators adjust instead. Facts: ``debit_id``."""

    code = "debt-repaid"


class OtherOrganisation(Refusal):
    """Credits never move between organisations. Facts: ``to_account_id``."""

    code = "other-organisation"


class SecondOperatorNeeded(Refusal):
    """Nobody approves what they asked for themselves. Facts: ``operator_id``."""

    code = "second-operator-needed"


class EffectiveInFuture(Refusal):
    """What is entered later may lie in the past, never ahead. Facts: ``effective_at``."""

    code = "effective-in-future"


class BudgetUnknown(Refusal):
    """No such budget in this organisation. Facts: ``budget_id``."""

    code = "budget-unknown"


class BudgetExceeded(Refusal):
    """Facts: ``budget_id``, ``limit_ucr``, ``used_ucr``, ``required_ucr``, ``resets_at`` (None: never)."""

    code = "budget-exceeded"


class TooManyRefusals(Refusal):
    """Too many refusals were kept for this account today; this one was not. Facts: ``kept_max``."""

    code = "too-many-refusals"
    transient = True


class UpgradeNeeded(Refusal):
    """A newer release has written to this account what this one cannot read. Facts: ``account_id``."""

    code = "upgrade-needed"
    transient = True


class KeyConflict(Refusal):
    """The key was used with another body. Facts: ``field``."""

    code = "idempotency-key-conflict"


class VersionConflict(Refusal):
    """Facts: ``expected_version``, ``account_version``."""

    code = "version-conflict"
    transient = True


class StreamConflict(Refusal):
    """Facts: ``stream_id``, ``expected_version``, ``stream_version``."""

    code = "stream-conflict"
    transient = True


class ClockSkew(Refusal):
    """Clocks disagree; nothing is written until they agree. Facts: ``skew_ms``."""

    code = "clock-skew"
    transient = True


class InternalError(Refusal):
    """A fault of ours in this one command; nothing was written."""

    code = "internal-error"


class LedgerError(Exception):
    """The ledger could not answer."""


class InvalidRequest(LedgerError):
    """Refused before the queue: nothing was written. ``field`` names what is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class NotDone(LedgerError):
    """The request was never taken: nothing was written, and it may be sent again."""


class OutcomeUnknown(LedgerError):
    """The request was taken and its end is not known: ask again with the same key."""


class BatchRefused(LedgerError):
    """The database refused a batch for its content; it is rolled back."""


class Overtaken(LedgerError):
    """What a batch was decided on ahead is not so: the log's end, what is absent, or the time. Nothing is written."""


class ConnectionLost(LedgerError):
    """The database went away; whether the last commit took effect is not known."""
