"""Rules of grants: given, extended, disputed, revoked."""

from __future__ import annotations

from datetime import datetime, timedelta

from ledger import errors, limits
from ledger.domain import commands, events
from ledger.domain.account import Account, Grant
from ledger.domain.rules.known import (
    Decision,
    Known,
    find_grant,
    iso,
    may_add,
    may_receive,
    not_ahead,
    seen_grant,
)


def due(account: Account, now: datetime) -> Decision:
    """What time has done to an account before anything is decided: grants at their end expire."""
    found = account.due_grants(now)
    return [events.CreditsExpired(grant_id=one.grant_id, amount_ucr=one.free_ucr) for one in found] if found else []


def grant(account: Account, known: Known, command: commands.GrantCredits) -> Decision:
    """Add a bucket."""
    may_receive(account)
    not_ahead(command.effective_at, known.now)
    if seen_grant(account, known, command.grant_id):
        raise errors.GrantExists(grant_id=str(command.grant_id))
    may_add(account, command.amount_ucr)
    lifetime_s = command.lifetime_s
    return [
        events.CreditsGranted(
            grant_id=command.grant_id,
            amount_ucr=command.amount_ucr,
            kind=command.kind,
            priority=command.priority,
            expires_at=None if lifetime_s is None else known.now + timedelta(seconds=lifetime_s),
            cost_micro=command.cost_micro,
            list_value_micro=command.list_value_micro,
            book_currency=command.book_currency,
            receipt_id=command.receipt_id,
            generation=command.generation,
            reason=command.reason,
        )
    ]


def extend(account: Account, known: Known, command: commands.ExtendGrant) -> Decision:
    """Move the end of a grant to later; what is not kept of it expires."""
    may_receive(account)
    found = find_grant(account, known, command.grant_id)
    if found.ended or not found.live or found.expires_at is None:
        raise errors.GrantEnded(grant_id=str(command.grant_id))
    expires_at = known.now + timedelta(seconds=command.lifetime_s)
    if expires_at <= found.expires_at:
        raise errors.ExtensionNotLater(grant_id=str(command.grant_id), expires_at=iso(found.expires_at))
    kept_ucr = found.free_ucr if command.keep_ucr is None else min(command.keep_ucr, found.free_ucr)
    return [
        events.GrantExtended(
            grant_id=found.grant_id,
            expires_at=expires_at,
            kept_ucr=kept_ucr,
            expired_ucr=found.free_ucr - kept_ucr,
        )
    ]


def freeze(account: Account, known: Known, command: commands.FreezeGrant) -> Decision:
    """Open a dispute: what is free of it is frozen, what comes back from holds will be."""
    found = find_grant(account, known, command.grant_id)
    if found.freeze_limit_ucr:
        raise errors.GrantIsFrozen(grant_id=str(command.grant_id))
    if found.ended:
        raise errors.GrantEnded(grant_id=str(command.grant_id))
    limit_ucr = found.granted_ucr if command.amount_ucr is None else min(command.amount_ucr, found.granted_ucr)
    return [
        events.GrantFrozen(
            grant_id=found.grant_id,
            amount_ucr=min(found.free_ucr, limit_ucr),
            limit_ucr=limit_ucr,
            reason=command.reason,
            reference=command.reference,
        )
    ]


def unfreeze(account: Account, known: Known, command: commands.UnfreezeGrant) -> Decision:
    """Close a dispute in the customer's favour."""
    found = find_grant(account, known, command.grant_id)
    if not found.freeze_limit_ucr:
        raise errors.GrantNotFrozen(grant_id=str(command.grant_id))
    return [
        events.GrantUnfrozen(grant_id=found.grant_id, amount_ucr=found.frozen_ucr, reason=command.reason),
    ]


def revoke(account: Account, known: Known, command: commands.RevokeCredits) -> Decision:
    """Take a grant back, or a part of it: unspent first, then what is held as it returns, then what was spent."""
    found = find_grant(account, known, command.grant_id)
    if found.ended:
        raise errors.GrantEnded(grant_id=str(command.grant_id))
    revocable_ucr = found.free_ucr + found.frozen_ucr + found.held_ucr - found.claim_ucr + _owable(found)
    wanted_ucr = revocable_ucr if command.amount_ucr is None else command.amount_ucr
    if wanted_ucr > revocable_ucr:
        raise errors.RevokeAboveGrant(
            grant_id=str(command.grant_id), requested_ucr=wanted_ucr, revocable_ucr=revocable_ucr
        )
    if command.spent_as == "debt":
        _may_owe(account, wanted_ucr - found.free_ucr - found.frozen_ucr)
    decision = _revoked(found, command, wanted_ucr)
    if command.amount_ucr is None and found.receipt_id is not None and found.kind != "promo":
        for gift in account.grants:
            mate = gift.receipt_id == found.receipt_id and gift.grant_id != found.grant_id
            if gift.kind == "promo" and mate and not gift.ended:
                unspent_ucr = gift.free_ucr + gift.frozen_ucr + gift.held_ucr - gift.claim_ucr
                decision += _revoked(gift, command, unspent_ucr, gift=True)
    return decision


def _may_owe(account: Account, amount_ucr: int) -> None:
    """Check that an account may owe so much more; what is claimed of it may be owed, too."""
    if amount_ucr <= 0:
        return
    owed_ucr = account.debt_ucr + sum(one.claim_ucr for one in account.grants)
    if owed_ucr + amount_ucr > limits.DEBT_MAX_UCR:
        raise errors.DebtTooLarge(debt_ucr=owed_ucr, amount_ucr=amount_ucr, debt_max_ucr=limits.DEBT_MAX_UCR)


def _owable(found: Grant) -> int:
    """What its owner had of it, and neither owes yet nor was our loss."""
    return max(0, found.used_ucr - found.recalled_ucr)


def _revoked(found: Grant, command: commands.RevokeCredits, wanted_ucr: int, *, gift: bool = False) -> Decision:
    taken_ucr = min(wanted_ucr, found.free_ucr + found.frozen_ucr)
    claimed_ucr = min(wanted_ucr - taken_ucr, found.held_ucr - found.claim_ucr)
    spent_ucr = wanted_ucr - taken_ucr - claimed_ucr
    ours = gift or command.spent_as == "loss"
    decision: Decision = [
        events.CreditsRevoked(
            grant_id=found.grant_id,
            amount_ucr=taken_ucr,
            cause=command.cause,
            from_frozen_ucr=min(taken_ucr, found.frozen_ucr),
            claim_ucr=claimed_ucr,
            lost_ucr=spent_ucr if ours else 0,
            spent_as="loss" if ours else "debt",
            ends=command.amount_ucr is None,
            reason=command.reason,
            reference=command.reference,
        )
    ]
    if spent_ucr and not ours:
        decision.append(
            events.DebtIncurred(
                amount_ucr=spent_ucr, cause=command.cause, grant_id=found.grant_id, reference=command.reference
            )
        )
    return decision
