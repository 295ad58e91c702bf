"""The line model of statements: one line per event of an account that moves something. Pure.

Two running sums. *Posted* moves when credits come or go: grant, commit, debit, expiry. *Held* moves when they are
pinned or let go: hold, release, hold-expired, and commit. What can be spent is posted less held.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple, assert_never
from uuid import UUID

from msgspec import Struct

from ledger.domain import events
from ledger.domain.codec import RecordedEvent

LineKind = Literal["grant", "hold", "commit", "release", "hold-expired", "debit", "expiry"]


class Line(Struct, frozen=True, kw_only=True):
    """One line; amounts in micro-credits.

    ``amount_ucr`` is what posted changed by (0 for a hold), ``held_change_ucr`` what held did; ``posted_ucr`` and
    ``held_ucr`` are the sums after it. ``subject_id`` is the hold of hold, commit, release and hold-expired, the grant
    of grant and expiry, the debit of debit. ``reference_id`` is the job of a hold or debit and the top-up of a grant.
    ``detail`` is a grant's kind, or the reason of a release or debit.
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

    @property
    def available_ucr(self) -> int:
        """What could be spent after it."""
        return self.posted_ucr - self.held_ucr


class Sums(Struct, kw_only=True):
    """An account's running sums as of ``position``."""

    account_id: UUID
    organisation_id: UUID
    account_version: int
    position: int
    posted_ucr: int = 0
    held_ucr: int = 0


class Movement(NamedTuple):
    """What an event moves."""

    kind: LineKind
    subject_id: UUID
    amount_ucr: int = 0
    held_change_ucr: int = 0
    reference_id: UUID | None = None
    detail: str = ""


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
    assert sums.held_ucr >= 0, "less than nothing is held"
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
        subject_id=moved.subject_id,
        reference_id=topup_id or moved.reference_id,
        detail=moved.detail,
        recorded_at=recorded.recorded_at,
        effective_at=recorded.effective_at,
    )


def movement(event: events.AccountEvent) -> Movement | None:
    """What an event moves; None for nothing. Exhaustive over the catalogue."""
    match event:
        case events.AccountOpened() | events.HoldRenewed():
            return None
        case events.CreditsGranted():
            return Movement("grant", event.grant_id, event.amount_ucr, detail=event.kind)
        case events.CreditsHeld():
            return Movement("hold", event.hold_id, 0, event.amount_ucr, event.reference)
        case events.HoldCommitted():
            freed_ucr = event.amount_ucr + sum(part.amount_ucr for part in event.returned)
            return Movement("commit", event.hold_id, -event.amount_ucr, -freed_ucr, event.reference)
        case events.HoldReleased():
            return Movement("release", event.hold_id, 0, -event.amount_ucr, event.reference, event.reason)
        case events.HoldExpired():
            return Movement("hold-expired", event.hold_id, 0, -event.amount_ucr, event.reference)
        case events.CreditsDebited():
            return Movement("debit", event.debit_id, -event.amount_ucr, 0, event.reference, event.reason)
        case events.CreditsExpired():
            return Movement("expiry", event.grant_id, -event.amount_ucr)
        case _:
            assert_never(event)
