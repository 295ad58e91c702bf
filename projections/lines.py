"""The line model of statements: one line per event of an account that moves something. Pure.

Four running sums. *Posted* moves when credits come or go, *held* when they are pinned for a job or let go, *frozen*
when a dispute takes them out of use or ends, *debt* when more was spent than is paid for, or that is made good. What
can be spent is posted less held less frozen; debt is in posted already, and shown so that a repayment can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from msgspec import Struct

from ledger.domain import events
from ledger.domain.codec import RecordedEvent
from ledger.ids import render

LineKind = Literal[
    "grant",
    "hold",
    "raise",
    "commit",
    "release",
    "hold-expired",
    "debit",
    "expiry",
    "freeze",
    "unfreeze",
    "revoke",
    "debt",
    "repayment",
    "reversal",
    "transfer-out",
    "transfer-in",
    "adjustment",
]

_OF_HOLDS: tuple[LineKind, ...] = ("hold", "raise", "commit", "release", "hold-expired")
_OF_GRANTS: tuple[LineKind, ...] = ("grant", "expiry", "freeze", "unfreeze", "revoke")
SUBJECTS: dict[LineKind, str] = {
    **dict.fromkeys(_OF_HOLDS, "hold"),
    **dict.fromkeys(_OF_GRANTS, "grant"),
    "debit": "debit",
    "reversal": "undo",
    "transfer-out": "move",
    "transfer-in": "move",
    "adjustment": "adj",
}
"""Kind of a subject's id, as ``ledger.ids`` renders it; for debt it is the grant, else the account."""
REFERENCES: dict[LineKind, str] = {
    **dict.fromkeys(_OF_HOLDS, "job"),
    "debit": "job",
    "grant": "top",
    "reversal": "debit",
    "transfer-out": "acc",
    "transfer-in": "acc",
}
"""Kind of a reference's id; of other lines it is whatever the event named."""


class Line(Struct, frozen=True, kw_only=True):
    """One line; amounts in micro-credits.

    ``amount_ucr`` is what posted changed by (0 for a hold), each ``…_change_ucr`` what that sum did; ``posted_ucr``,
    ``held_ucr``, ``frozen_ucr`` and ``debt_ucr`` are the sums after it. ``subject_id`` is the hold, grant, debit,
    reversal, transfer or adjustment, else the account. ``reference_id`` is the job of a hold or debit, the top-up of a
    grant, the debit of a reversal, the other account of a transfer, else what the event names. ``detail`` is a grant's
    kind, a reason, or the cause of what was revoked, owed or adjusted. ``effective_at`` differs from ``recorded_at``
    where a line was entered later than it was meant for; lines stand in the order of the log.
    """

    position: int
    organisation_id: UUID
    account_id: UUID
    account_version: int
    kind: LineKind
    amount_ucr: int
    held_change_ucr: int
    posted_ucr: int
    held_ucr: int
    subject_id: UUID
    reference_id: UUID | None
    detail: str
    recorded_at: datetime
    effective_at: datetime
    frozen_change_ucr: int = 0
    debt_change_ucr: int = 0
    frozen_ucr: int = 0
    debt_ucr: int = 0

    @property
    def available_ucr(self) -> int:
        """What could be spent after it."""
        return self.posted_ucr - self.held_ucr - self.frozen_ucr

    @property
    def subject(self) -> str:
        """Its subject, as ids are written outside."""
        known = SUBJECTS.get(self.kind) or ("acc" if self.subject_id == self.account_id else "grant")
        return render(known, self.subject_id)

    @property
    def reference(self) -> str | None:
        """Its reference, as ids are written outside; None where there is none of a kind that we know."""
        known = REFERENCES.get(self.kind)
        return render(known, self.reference_id) if known is not None and self.reference_id is not None else None

    def reference_of(self, kind: str) -> str | None:
        """Its reference, if that is of a kind: ``job``, ``top``, ``debit`` or ``acc``."""
        return self.reference if REFERENCES.get(self.kind) == kind else None


class Sums(Struct):
    """An account's running sums as of ``position``."""

    account_id: UUID
    organisation_id: UUID
    account_version: int
    position: int
    posted_ucr: int = 0
    held_ucr: int = 0
    frozen_ucr: int = 0
    debt_ucr: int = 0


class Movement(Struct, frozen=True):
    """What an event moves; no subject is the account itself."""

    kind: LineKind
    subject_id: UUID | None
    amount_ucr: int = 0
    held_change_ucr: int = 0
    reference_id: UUID | None = None
    detail: str = ""
    frozen_change_ucr: int = 0
    debt_change_ucr: int = 0

    @property
    def moves(self) -> bool:
        """Whether any sum changes."""
        return bool(self.amount_ucr or self.held_change_ucr or self.frozen_change_ucr or self.debt_change_ucr)


def opened(event: events.AccountOpened, recorded: RecordedEvent) -> Sums:
    """Sums of a new account."""
    return Sums(
        account_id=event.account_id,
        organisation_id=event.organisation_id,
        account_version=recorded.version,
        position=recorded.position,
    )


def line(sums: Sums, event: events.AccountEvent, recorded: RecordedEvent, topup_id: UUID | None = None) -> Line | None:
    """Move the sums over an event; its line, or None where nothing moves. ``topup_id`` paid for a grant."""
    assert recorded.version == sums.account_version + 1, f"version {recorded.version} after {sums.account_version}"
    sums.account_version, sums.position = recorded.version, recorded.position
    if (moved := movement(event)) is None:
        return None
    sums.posted_ucr += moved.amount_ucr
    sums.held_ucr += moved.held_change_ucr
    sums.frozen_ucr += moved.frozen_change_ucr
    sums.debt_ucr += moved.debt_change_ucr
    assert sums.held_ucr >= 0 <= sums.frozen_ucr and sums.debt_ucr >= 0, "less than nothing is held, frozen or owed"
    return Line(
        position=recorded.position,
        organisation_id=sums.organisation_id,
        account_id=sums.account_id,
        account_version=recorded.version,
        kind=moved.kind,
        amount_ucr=moved.amount_ucr,
        held_change_ucr=moved.held_change_ucr,
        posted_ucr=sums.posted_ucr,
        held_ucr=sums.held_ucr,
        subject_id=moved.subject_id or sums.account_id,
        reference_id=topup_id or moved.reference_id,
        detail=moved.detail,
        recorded_at=recorded.recorded_at,
        effective_at=recorded.effective_at,
        frozen_change_ucr=moved.frozen_change_ucr,
        debt_change_ucr=moved.debt_change_ucr,
        frozen_ucr=sums.frozen_ucr,
        debt_ucr=sums.debt_ucr,
    )


def movement(event: events.AccountEvent) -> Movement | None:
    """What an event moves; None for nothing: then it has no line. Exhaustive over the catalogue."""
    rule = _MOVEMENTS[type(event)]
    moved = rule(event) if rule is not None else None
    return moved if moved is not None and moved.moves else None


def _grant(event: events.CreditsGranted) -> Movement:
    return Movement("grant", event.grant_id, event.amount_ucr, detail=event.kind)


def _hold(event: events.CreditsHeld) -> Movement:
    return Movement("hold", event.hold_id, 0, event.amount_ucr, event.reference)


def _raise(event: events.HoldRaised) -> Movement:
    return Movement("raise", event.hold_id, 0, event.amount_ucr)


def _commit(event: events.HoldCommitted) -> Movement:
    """Spent overdraft leaves posted by the debt that follows; a late commit takes what is free, not what was held."""
    freed_ucr = 0 if event.late else event.amount_ucr + _sum(event.returned)
    return Movement(
        "commit",
        event.hold_id,
        -_covered(event.slices),
        -freed_ucr,
        event.reference,
        "late" if event.late else "",
        frozen_change_ucr=_sum(event.frozen),
    )


def _release(event: events.HoldReleased) -> Movement:
    frozen_ucr = _sum(event.frozen)
    return Movement("release", event.hold_id, 0, -event.amount_ucr, event.reference, event.reason, frozen_ucr)


def _hold_expired(event: events.HoldExpired) -> Movement:
    return Movement("hold-expired", event.hold_id, 0, -event.amount_ucr, event.reference, "", _sum(event.frozen))


def _debit(event: events.CreditsDebited) -> Movement:
    return Movement("debit", event.debit_id, -_covered(event.slices), 0, event.reference, event.reason)


def _expiry(event: events.CreditsExpired) -> Movement:
    return Movement("expiry", event.grant_id, -event.amount_ucr)


def _extended(event: events.GrantExtended) -> Movement:
    """What does not roll over ends; a later end alone moves nothing."""
    return Movement("expiry", event.grant_id, -event.expired_ucr, detail="not-rolled-over")


def _freeze(event: events.GrantFrozen) -> Movement:
    return Movement("freeze", event.grant_id, 0, 0, event.reference, event.reason, event.amount_ucr)


def _unfreeze(event: events.GrantUnfrozen) -> Movement:
    return Movement("unfreeze", event.grant_id, detail=event.reason, frozen_change_ucr=-event.amount_ucr)


def _revoke(event: events.CreditsRevoked) -> Movement:
    frozen_ucr = -event.from_frozen_ucr
    return Movement("revoke", event.grant_id, -event.amount_ucr, 0, event.reference, event.cause, frozen_ucr)


def _debt(event: events.DebtIncurred) -> Movement:
    amount_ucr = event.amount_ucr
    return Movement("debt", event.grant_id, -amount_ucr, 0, event.reference, event.cause, debt_change_ucr=amount_ucr)


def _repayment(event: events.DebtRepaid) -> Movement:
    """Credits and debt go together: the balance stays, and less is owed."""
    return Movement("repayment", None, detail=event.debts[0].cause, debt_change_ucr=-event.amount_ucr)


def _reversal(event: events.CreditsReversed) -> Movement:
    owed_ucr = event.amount_ucr - _covered(event.slices)
    return Movement(
        "reversal",
        event.reversal_id,
        event.amount_ucr,
        0,
        event.debit_id,
        event.reason,
        frozen_change_ucr=_sum(event.frozen),
        debt_change_ucr=-owed_ucr,
    )


def _transfer_out(event: events.CreditsTransferredOut) -> Movement:
    return Movement("transfer-out", event.transfer_id, -event.amount_ucr, 0, event.to_account_id, event.reason)


def _transfer_in(event: events.CreditsTransferredIn) -> Movement:
    return Movement("transfer-in", event.transfer_id, event.amount_ucr, 0, event.from_account_id, event.reason)


def _adjustment(event: events.BalanceAdjusted) -> Movement:
    return Movement("adjustment", event.adjustment_id, event.amount_ucr, detail=event.cause)


def _sum(slices: Iterable[events.Slice]) -> int:
    return sum(part.amount_ucr for part in slices)


def _covered(slices: Iterable[events.Slice]) -> int:
    """What grants pay for."""
    return sum(part.amount_ucr for part in slices if part.grant_id != events.OVERDRAFT)


_MOVEMENTS: dict[type, Callable[[Any], Movement] | None] = {
    events.AccountOpened: None,
    events.AccountPolicySet: None,
    events.AccountFrozen: None,
    events.AccountUnfrozen: None,
    events.AccountClosed: None,
    events.HoldRenewed: None,
    events.CreditsGranted: _grant,
    events.CreditsHeld: _hold,
    events.HoldRaised: _raise,
    events.HoldCommitted: _commit,
    events.HoldReleased: _release,
    events.HoldExpired: _hold_expired,
    events.CreditsDebited: _debit,
    events.CreditsExpired: _expiry,
    events.GrantExtended: _extended,
    events.GrantFrozen: _freeze,
    events.GrantUnfrozen: _unfreeze,
    events.CreditsRevoked: _revoke,
    events.DebtIncurred: _debt,
    events.DebtRepaid: _repayment,
    events.CreditsReversed: _reversal,
    events.CreditsTransferredOut: _transfer_out,
    events.CreditsTransferredIn: _transfer_in,
    events.BalanceAdjusted: _adjustment,
}
assert set(_MOVEMENTS) == set(get_args(events.AccountEvent)), "every event of the catalogue has its line, or none"
