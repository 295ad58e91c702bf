"""Decide: an account, a command and the time give events or a typed refusal. Pure; changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

from ledger import errors
from ledger.domain import commands, events
from ledger.domain.account import Account, Hold, split
from ledger.limits import SLICES_MAX

Holds = Mapping[UUID, Hold]
Decision = list[events.AccountEvent]


def due(account: Account, now: datetime) -> Decision:
    """What time has done to an account before anything is decided: grants at their end expire."""
    return [
        events.CreditsExpired(grant_id=grant.grant_id, amount_ucr=grant.free_ucr) for grant in account.due_grants(now)
    ]


def decide(account: Account, holds: Holds, command: commands.Command, now: datetime) -> Decision:
    """Events that a command causes.

    ``holds`` has the holds that the command names, open or resolved. ``due`` has been applied before.

    :raises errors.Refusal: a rule says no.
    """
    if isinstance(command, commands.OpenAccount):
        return open_account(account, command)
    if account.version == 0:
        raise errors.AccountUnknown(account_id=str(command.account_id))
    match command:
        case commands.HoldCredits():
            return hold(account, holds, command, now)
        case commands.GrantCredits():
            return grant(account, command, now)
        case commands.DebitCredits():
            return debit(account, command)
        case commands.ExpireGrants():
            return []
        case _:
            return resolve(open_hold(account, holds, command.hold_id), command, now)


HoldCommand = commands.CommitHold | commands.ReleaseHold | commands.ExpireHold | commands.RenewHold


def resolve(seen: Hold, command: HoldCommand, now: datetime) -> Decision:
    """Do what a command asks of an open hold."""
    match command:
        case commands.CommitHold():
            return commit(seen, command)
        case commands.ReleaseHold():
            return release(seen, command)
        case commands.ExpireHold():
            return expire(seen, now)
        case commands.RenewHold():
            return renew(seen, command, now)
        case _:
            assert_never(command)


def open_account(account: Account, command: commands.OpenAccount) -> Decision:
    """Open an account once."""
    if account.version > 0:
        raise errors.AccountExists(account_id=str(command.account_id))
    return [
        events.AccountOpened(
            account_id=command.account_id,
            organisation_id=command.organisation_id,
            max_open_holds=command.max_open_holds,
        )
    ]


def grant(account: Account, command: commands.GrantCredits, now: datetime) -> Decision:
    """Add a bucket."""
    if account.grant(command.grant_id):
        raise errors.GrantExists(grant_id=str(command.grant_id))
    lifetime_s = command.lifetime_s
    return [
        events.CreditsGranted(
            grant_id=command.grant_id,
            amount_ucr=command.amount_ucr,
            kind=command.kind,
            priority=command.priority,
            expires_at=None if lifetime_s is None else now + timedelta(seconds=lifetime_s),
            cost_micro=command.cost_micro,
            list_value_micro=command.list_value_micro,
            book_currency=command.book_currency,
            receipt_id=command.receipt_id,
            generation=command.generation,
            reason=command.reason,
        )
    ]


def hold(account: Account, holds: Holds, command: commands.HoldCredits, now: datetime) -> Decision:
    """Pin credits of the grants that burn first."""
    if seen := holds.get(command.hold_id):
        raise errors.HoldExists(hold_id=str(seen.hold_id), state=seen.state)
    if account.open_holds >= account.max_open_holds:
        raise errors.TooManyHolds(open_holds=account.open_holds, max_open_holds=account.max_open_holds)
    return [
        events.CreditsHeld(
            hold_id=command.hold_id,
            amount_ucr=command.amount_ucr,
            slices=affordable(account, command.amount_ucr),
            lease_until=now + timedelta(seconds=command.lease_s),
            reference=command.reference,
        )
    ]


def debit(account: Account, command: commands.DebitCredits) -> Decision:
    """Spend without a hold."""
    return [
        events.CreditsDebited(
            debit_id=command.debit_id,
            amount_ucr=command.amount_ucr,
            slices=affordable(account, command.amount_ucr),
            reason=command.reason,
            reference=command.reference,
        )
    ]


def affordable(account: Account, amount_ucr: int) -> tuple[events.Slice, ...]:
    """Slices for an amount.

    :raises errors.InsufficientCredits: less is available.
    :raises errors.TooManySlices: it would take more grants than one event may name.
    """
    if amount_ucr > account.available_ucr:
        raise errors.InsufficientCredits(
            required_ucr=amount_ucr, available_ucr=account.available_ucr, held_ucr=account.held_ucr
        )
    slices = account.burn(amount_ucr)
    if len(slices) > SLICES_MAX:
        raise errors.TooManySlices(slices_max=SLICES_MAX)
    return slices


def open_hold(account: Account, holds: Holds, hold_id: UUID) -> Hold:
    """The open hold that a command names.

    :raises errors.HoldUnknown: no such hold in this account.
    :raises errors.HoldResolved: it was resolved, and how.
    """
    seen = holds.get(hold_id)
    if seen is None or seen.account_id != account.account_id:
        raise errors.HoldUnknown(hold_id=str(hold_id))
    if seen.state != "open":
        assert seen.resolved_at is not None
        raise errors.HoldResolved(
            hold_id=str(hold_id), state=seen.state, resolved_at=seen.resolved_at.isoformat().replace("+00:00", "Z")
        )
    return seen


def commit(seen: Hold, command: commands.CommitHold) -> Decision:
    """Debit a part of a hold; nothing left, or ``final``, resolves it."""
    if command.amount_ucr > seen.remaining_ucr:
        raise errors.CommitAboveHold(
            hold_id=str(seen.hold_id), requested_ucr=command.amount_ucr, remaining_ucr=seen.remaining_ucr
        )
    spent, rest = split(seen.slices, command.amount_ucr)
    final = command.final or not rest
    return [
        events.HoldCommitted(
            hold_id=seen.hold_id,
            amount_ucr=command.amount_ucr,
            slices=spent,
            final=final,
            returned=rest if final else (),
            reference=seen.reference,
        )
    ]


def release(seen: Hold, command: commands.ReleaseHold) -> Decision:
    """Give back what a hold pins."""
    return [
        events.HoldReleased(
            hold_id=seen.hold_id,
            amount_ucr=seen.remaining_ucr,
            returned=seen.slices,
            reason=command.reason,
            reference=seen.reference,
        )
    ]


def expire(seen: Hold, now: datetime) -> Decision:
    """Give back what a hold pins whose lease has ended; never early."""
    if now < seen.lease_until:
        raise errors.HoldNotDue(
            hold_id=str(seen.hold_id), lease_until=seen.lease_until.isoformat().replace("+00:00", "Z")
        )
    return [
        events.HoldExpired(
            hold_id=seen.hold_id, amount_ucr=seen.remaining_ucr, returned=seen.slices, reference=seen.reference
        )
    ]


def renew(seen: Hold, command: commands.RenewHold, now: datetime) -> Decision:
    """Move a lease's end; an end that is later already stays."""
    lease_until = now + timedelta(seconds=command.lease_s)
    if lease_until <= seen.lease_until:
        return []
    return [events.HoldRenewed(hold_id=seen.hold_id, lease_until=lease_until)]
