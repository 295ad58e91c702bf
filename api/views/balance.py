"""Balance, holds and statement as answers."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from api.limits import EXPIRING_SOON_S
from api.views.common import Credits
from ledger.amounts import format_credits
from ledger.ids import render
from ledger.ports import Balance, GrantView, HoldView
from projections.lines import Line


class GrantOut(Struct, frozen=True, kw_only=True):
    """A bucket of credits. They are spent in the order of the list; what is ``held`` or ``frozen`` outlives its end."""

    grant_id: str
    kind: str
    priority: int
    granted: Credits
    free: Credits
    held: Credits
    frozen: Credits
    expires_at: datetime | None


class ExpiringOut(Struct, frozen=True, kw_only=True):
    """Free credits that end before a time, unless they are spent."""

    credits: Credits
    before: datetime


class BalanceOut(Struct, frozen=True, kw_only=True):
    """An account at one position of the log: what can be spent is ``available`` = posted - held - frozen."""

    account_id: str
    posted: Credits
    held: Credits
    frozen: Credits
    available: Credits
    open_holds: int
    expiring_soon: ExpiringOut
    grants: list[GrantOut]
    account_version: int
    log_position: int
    at: datetime


class HoldOut(Struct, frozen=True, kw_only=True):
    """Credits pinned for a job, until committed, released or expired."""

    hold_id: str
    state: str
    amount: Credits
    remaining: Credits
    committed: Credits
    lease_until: datetime
    job_id: str | None
    opened_at: datetime
    resolved_at: datetime | None


class LineOut(Struct, frozen=True, kw_only=True):
    """One line of the statement.

    ``amount`` is what the balance changed by, ``held_change`` what was pinned or let go, ``frozen_change`` what a
    dispute took out of use or gave back, ``debt_change`` what is owed more or less; the sums after it follow, and
    ``available`` = posted - held - frozen. ``subject_id`` is the hold, grant, debit, reversal, transfer, adjustment or
    account; ``job_id`` or ``topup_id`` say what it was for, ``debit_id`` what was reversed, ``other_account_id`` where
    a transfer went or came from. Lines stand in the order of recording; ``effective_at`` is earlier where one was
    entered later.
    """

    position: int
    kind: str
    amount: Credits
    held_change: Credits
    frozen_change: Credits
    debt_change: Credits
    posted: Credits
    held: Credits
    frozen: Credits
    debt: Credits
    available: Credits
    subject_id: str
    job_id: str | None
    topup_id: str | None
    debit_id: str | None
    other_account_id: str | None
    detail: str
    recorded_at: datetime
    effective_at: datetime


def balance_out(balance: Balance) -> BalanceOut:
    """An account as its organisation sees it."""
    before = balance.at + timedelta(seconds=EXPIRING_SOON_S)
    soon_ucr = sum(
        grant.free_ucr for grant in balance.grants if grant.expires_at is not None and grant.expires_at <= before
    )
    return BalanceOut(
        account_id=render("acc", balance.account_id),
        posted=format_credits(balance.posted_ucr),
        held=format_credits(balance.held_ucr),
        frozen=format_credits(balance.frozen_ucr),
        available=format_credits(balance.available_ucr),
        open_holds=balance.open_holds,
        expiring_soon=ExpiringOut(credits=format_credits(soon_ucr), before=before),
        grants=[_grant(grant) for grant in balance.grants],
        account_version=balance.account_version,
        log_position=balance.log_position,
        at=balance.at,
    )


def _grant(grant: GrantView) -> GrantOut:
    return GrantOut(
        grant_id=render("grant", grant.grant_id),
        kind=grant.kind,
        priority=grant.priority,
        granted=format_credits(grant.granted_ucr),
        free=format_credits(grant.free_ucr),
        held=format_credits(grant.held_ucr),
        frozen=format_credits(grant.frozen_ucr),
        expires_at=grant.expires_at,
    )


def hold_out(hold: HoldView) -> HoldOut:
    """A hold."""
    return HoldOut(
        hold_id=render("hold", hold.hold_id),
        state=hold.state,
        amount=format_credits(hold.amount_ucr),
        remaining=format_credits(hold.remaining_ucr),
        committed=format_credits(hold.committed_ucr),
        lease_until=hold.lease_until,
        job_id=render("job", hold.reference) if hold.reference else None,
        opened_at=hold.opened_at,
        resolved_at=hold.resolved_at,
    )


def line_out(line: Line) -> LineOut:
    """A line of the statement."""
    return LineOut(
        position=line.position,
        kind=line.kind,
        amount=format_credits(line.amount_ucr),
        held_change=format_credits(line.held_change_ucr),
        frozen_change=format_credits(line.frozen_change_ucr),
        debt_change=format_credits(line.debt_change_ucr),
        posted=format_credits(line.posted_ucr),
        held=format_credits(line.held_ucr),
        frozen=format_credits(line.frozen_ucr),
        debt=format_credits(line.debt_ucr),
        available=format_credits(line.available_ucr),
        subject_id=line.subject,
        job_id=line.reference_of("job"),
        topup_id=line.reference_of("top"),
        debit_id=line.reference_of("debit"),
        other_account_id=line.reference_of("acc"),
        detail=line.detail,
        recorded_at=line.recorded_at,
        effective_at=line.effective_at,
    )
