"""What readers are shown of stored state. Pure, shared by both stores."""

from __future__ import annotations

from datetime import datetime

from ledger.domain.account import Account, Grant, Hold
from ledger.ports import Balance, GrantView, HoldView


def balance_view(account: Account, *, log_position: int, at: datetime) -> Balance:
    """An account as shown ``at`` a time: what is free of grants that are due is left out, though not booked yet."""
    due_ucr = sum(grant.free_ucr for grant in account.due_grants(at))
    posted_ucr = account.posted_ucr - due_ucr
    return Balance(
        account_id=account.account_id,
        organisation_id=account.organisation_id,
        posted_ucr=posted_ucr,
        held_ucr=account.held_ucr,
        frozen_ucr=account.frozen_ucr,
        available_ucr=posted_ucr - account.held_ucr - account.frozen_ucr,
        open_holds=account.open_holds,
        grants=tuple(_grant_view(grant, at) for grant in account.grants if _shown(grant, at)),
        account_version=account.version,
        log_position=log_position,
        at=at,
    )


def _shown(grant: Grant, at: datetime) -> bool:
    return grant.held_ucr > 0 or grant.frozen_ucr > 0 or not grant.due(at)


def _grant_view(grant: Grant, at: datetime) -> GrantView:
    return GrantView(
        grant_id=grant.grant_id,
        kind=grant.kind,
        priority=grant.priority,
        expires_at=grant.expires_at,
        granted_ucr=grant.granted_ucr,
        free_ucr=0 if grant.due(at) else grant.free_ucr,
        held_ucr=grant.held_ucr,
        frozen_ucr=grant.frozen_ucr,
    )


def hold_view(hold: Hold) -> HoldView:
    """A hold as shown."""
    return HoldView(
        hold_id=hold.hold_id,
        account_id=hold.account_id,
        state=hold.state,
        amount_ucr=hold.amount_ucr,
        remaining_ucr=hold.remaining_ucr,
        committed_ucr=hold.committed_ucr,
        lease_until=hold.lease_until,
        reference=hold.reference,
        opened_at=hold.opened_at,
        resolved_at=hold.resolved_at,
    )
