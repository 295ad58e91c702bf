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
    ├── TooManySlices           too-many-slices
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
    """Facts: ``required_ucr``, ``available_ucr``, ``held_ucr``."""

    code = "insufficient-credits"


class TooManyHolds(Refusal):
    """Facts: ``open_holds``, ``max_open_holds``."""

    code = "too-many-holds"


class TooManySlices(Refusal):
    """Facts: ``slices_max``."""

    code = "too-many-slices"


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


class ConnectionLost(LedgerError):
    """The database went away; whether the last commit took effect is not known."""
