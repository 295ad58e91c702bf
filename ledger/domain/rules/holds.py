"""Rules of holds: taken, renewed, raised, and resolved exactly once."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from ledger import errors
from ledger.domain import commands, events
from ledger.domain.account import Account, Hold, split
from ledger.domain.events import Slice
from ledger.domain.rules.known import Decision, Known, affordable, iso, may_spend, overdrawn, refrozen
from ledger.limits import LATE_FINISH_MAX_S, SLICES_MAX


def hold(account: Account, known: Known, command: commands.HoldCredits) -> Decision:
    """Pin credits of the grants that burn first."""
    may_spend(account)
    if seen := known.rows.holds.get(command.hold_id):
        raise errors.HoldExists(hold_id=str(seen.hold_id), state=seen.state)
    if account.open_holds >= account.max_open_holds:
        raise errors.TooManyHolds(open_holds=account.open_holds, max_open_holds=account.max_open_holds)
    if command.cap_ucr is not None and command.cap_ucr < command.amount_ucr:
        raise errors.RaiseAboveCap(hold_id=str(command.hold_id), amount_ucr=command.amount_ucr, cap_ucr=command.cap_ucr)
    return [
        events.CreditsHeld(
            hold_id=command.hold_id,
            amount_ucr=command.amount_ucr,
            slices=affordable(account, command.amount_ucr),
            lease_until=known.now + timedelta(seconds=command.lease_s),
            reference=command.reference,
            cap_ucr=command.cap_ucr or 0,
            budgets=known.budgets.take(account.organisation_id, command.budgets, command.amount_ucr, known.now)
            if command.budgets
            else (),
        )
    ]


def open_hold(account: Account, known: Known, hold_id: UUID) -> Hold:
    """The open hold that a command names.

    :raises errors.HoldUnknown: no such hold in this account.
    :raises errors.HoldResolved: it was resolved, and how.
    """
    seen = known.rows.holds.get(hold_id)
    if seen is None or seen.account_id.int != account.account_id.int:  # ``UUID.__eq__`` costs five times as much
        raise errors.HoldUnknown(hold_id=str(hold_id))
    if seen.state != "open":
        assert seen.resolved_at is not None
        raise errors.HoldResolved(hold_id=str(hold_id), state=seen.state, resolved_at=iso(seen.resolved_at))
    return seen


def raise_hold(account: Account, known: Known, command: commands.RaiseHold) -> Decision:
    """Pin more, within the cap and the budgets that the hold counts against."""
    may_spend(account)
    seen = open_hold(account, known, command.hold_id)
    raised_ucr = seen.amount_ucr + command.amount_ucr
    if raised_ucr > seen.cap_ucr:
        raise errors.RaiseAboveCap(hold_id=str(seen.hold_id), amount_ucr=raised_ucr, cap_ucr=seen.cap_ucr)
    slices = affordable(account, command.amount_ucr)
    _reversible(seen, slices)
    for use in seen.budgets:
        known.budgets.allow(use, command.amount_ucr)
    return [events.HoldRaised(hold_id=seen.hold_id, amount_ucr=command.amount_ucr, slices=slices)]


def commit(account: Account, known: Known, command: commands.CommitHold) -> Decision:
    """Debit a part of a hold; nothing left, or ``final``, resolves it."""
    if command.late and (expired := _expired(account, known, command.hold_id)):
        return _commit_late(account, known, expired, command)
    seen = open_hold(account, known, command.hold_id)
    remaining_ucr = seen.remaining_ucr
    if command.amount_ucr > remaining_ucr:
        raise _above(seen, command, remaining_ucr)
    spent, rest = split(seen.slices, command.amount_ucr)
    final = command.final or not rest
    return [
        events.HoldCommitted(
            hold_id=seen.hold_id,
            amount_ucr=command.amount_ucr,
            slices=spent,
            final=final,
            returned=rest if final else (),
            frozen=refrozen(account, known, rest) if final and rest else (),
            reference=seen.reference,
        ),
        *overdrawn(spent),
    ]


def _expired(account: Account, known: Known, hold_id: UUID) -> Hold | None:
    """The hold, if it has expired and nobody but the ledger owned it."""
    seen = known.rows.holds.get(hold_id)
    if seen is None or seen.account_id != account.account_id:
        return None
    return seen if seen.state == "expired" and seen.reference is None else None


def _commit_late(account: Account, known: Known, seen: Hold, command: commands.CommitHold) -> Decision:
    """Take what an expired hold was for from what is free now: all that is asked for, or nothing."""
    may_spend(account)
    assert seen.resolved_at is not None
    if known.now > seen.resolved_at + timedelta(seconds=LATE_FINISH_MAX_S):
        raise errors.LateFinishOver(hold_id=str(seen.hold_id), resolved_at=iso(seen.resolved_at))
    if command.amount_ucr > seen.amount_ucr - seen.committed_ucr:
        raise _above(seen, command, seen.amount_ucr - seen.committed_ucr)
    slices = affordable(account, command.amount_ucr)
    _reversible(seen, slices)
    for use in seen.budgets:
        known.budgets.allow(use, command.amount_ucr)
    return [
        events.HoldCommitted(hold_id=seen.hold_id, amount_ucr=command.amount_ucr, slices=slices, final=True, late=True),
        *overdrawn(slices),
    ]


def _reversible(seen: Hold, more: tuple[Slice, ...]) -> None:
    """Check that one event can undo all that a hold comes to.

    :raises errors.TooManySlices: it would take more grants than one may name.
    """
    if len(seen.spent) + len(seen.slices) + len(more) > SLICES_MAX:
        raise errors.TooManySlices(slices_max=SLICES_MAX)


def _above(seen: Hold, command: commands.CommitHold, remaining_ucr: int) -> errors.CommitAboveHold:
    return errors.CommitAboveHold(
        hold_id=str(seen.hold_id), requested_ucr=command.amount_ucr, remaining_ucr=remaining_ucr
    )


def release(account: Account, known: Known, command: commands.ReleaseHold) -> Decision:
    """Give back what a hold pins."""
    seen = open_hold(account, known, command.hold_id)
    return [
        events.HoldReleased(
            hold_id=seen.hold_id,
            amount_ucr=seen.remaining_ucr,
            returned=seen.slices,
            reason=command.reason,
            frozen=refrozen(account, known, seen.slices),
            reference=seen.reference,
        )
    ]


def expire(account: Account, known: Known, command: commands.ExpireHold) -> Decision:
    """Give back what a hold pins whose lease has ended; never early."""
    seen = open_hold(account, known, command.hold_id)
    if known.now < seen.lease_until:
        raise errors.HoldNotDue(hold_id=str(seen.hold_id), lease_until=iso(seen.lease_until))
    return [
        events.HoldExpired(
            hold_id=seen.hold_id,
            amount_ucr=seen.remaining_ucr,
            returned=seen.slices,
            frozen=refrozen(account, known, seen.slices),
            reference=seen.reference,
        )
    ]


def renew(account: Account, known: Known, command: commands.RenewHold) -> Decision:
    """Move a lease's end; an end that is later already stays."""
    seen = open_hold(account, known, command.hold_id)
    lease_until = known.now + timedelta(seconds=command.lease_s)
    if lease_until <= seen.lease_until:
        return []
    return [events.HoldRenewed(hold_id=seen.hold_id, lease_until=lease_until)]
