"""Questions to the model, answered in the words of the ledger's readers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger.ports import Balance, GrantView, HoldView
from simulation.model.state import Account, Book, Grant, Hold


def balance(book: Book, account_id: UUID, at: datetime) -> Balance | None:
    """An account at a time: what has ended is left out, though not booked yet."""
    account = book.accounts.get(account_id)
    if account is None:
        return None
    gone = sum(grant.free for grant in account.grants.values() if grant.due(at))
    return Balance(
        account_id=account_id,
        organisation_id=account.organisation_id,
        posted_ucr=account.posted - gone,
        held_ucr=account.held,
        frozen_ucr=account.in_dispute,
        available_ucr=account.available - gone,
        open_holds=account.open_holds,
        grants=_grants(account, at),
        account_version=book.versions[account_id],
        log_position=book.position,
        at=at,
    )


def _grants(account: Account, at: datetime) -> tuple[GrantView, ...]:
    shown = [one for one in account.grants.values() if one.live and (one.held or one.frozen or not one.due(at))]
    return tuple(_grant(one, at) for one in sorted(shown, key=Grant.burns))


def _grant(grant: Grant, at: datetime) -> GrantView:
    return GrantView(
        grant_id=grant.grant_id,
        kind=grant.kind,
        priority=grant.priority,
        expires_at=grant.ends_at,
        granted_ucr=grant.granted,
        free_ucr=0 if grant.due(at) else grant.free,
        held_ucr=grant.held,
        frozen_ucr=grant.frozen,
    )


def hold(book: Book, hold_id: UUID) -> HoldView | None:
    """A hold, open or resolved."""
    found = book.holds.get(hold_id)
    return None if found is None else _hold(found)


def open_holds(book: Book, account_id: UUID, limit: int) -> list[HoldView]:
    """Open holds of an account, newest first."""
    found = [one for one in book.holds.values() if one.account_id == account_id and one.state == "open"]
    return [_hold(one) for one in reversed(found)][:limit]


def _hold(found: Hold) -> HoldView:
    return HoldView(
        hold_id=found.hold_id,
        account_id=found.account_id,
        state=found.state,
        amount_ucr=found.amount,
        remaining_ucr=found.remaining,
        committed_ucr=found.committed,
        lease_until=found.lease_until,
        reference=found.reference,
        opened_at=found.opened_at,
        resolved_at=found.resolved_at,
    )
