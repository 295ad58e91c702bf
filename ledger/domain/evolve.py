"""Evolve: apply one recorded event to an account and the holds it names. Exhaustive over the catalogue.

Every change ends in the assertion of what it touched, so that a sum that does not add up is never written.
"""

from __future__ import annotations

from bisect import insort
from datetime import datetime
from typing import assert_never
from uuid import UUID

from ledger.domain import events
from ledger.domain.account import Account, Grant, Hold, burn_key

OpenHolds = dict[UUID, Hold]


def evolve(account: Account, holds: OpenHolds, event: events.AccountEvent, at: datetime, position: int) -> Hold | None:
    """Apply an event that was recorded ``at`` as the account's next version; the hold that it changed, if any."""
    account.version += 1
    match event:
        case events.CreditsHeld():
            return held(account, holds, event, at, position)
        case events.HoldCommitted():
            return committed(account, holds[event.hold_id], event, at)
        case events.HoldReleased():
            return resolved(account, holds[event.hold_id], event, "released", at)
        case events.HoldExpired():
            return resolved(account, holds[event.hold_id], event, "expired", at)
        case events.HoldRenewed():
            hold = holds[event.hold_id]
            hold.lease_until = event.lease_until
            return hold
        case events.CreditsGranted():
            granted(account, event)
        case events.CreditsDebited():
            spend(account, event.slices, from_held=False)
        case events.CreditsExpired():
            expired(account, event)
        case events.AccountOpened():
            account.organisation_id = event.organisation_id
            account.max_open_holds = event.max_open_holds
        case _:
            assert_never(event)
    return None


def granted(account: Account, event: events.CreditsGranted) -> None:
    """A bucket takes its place in the burn order."""
    grant = Grant(
        grant_id=event.grant_id,
        order=account.version,
        kind=event.kind,
        priority=event.priority,
        expires_at=event.expires_at,
        granted_ucr=event.amount_ucr,
        free_ucr=event.amount_ucr,
    )
    insort(account.grants, grant, key=burn_key)
    account.posted_ucr += event.amount_ucr


def held(account: Account, holds: OpenHolds, event: events.CreditsHeld, at: datetime, position: int) -> Hold:
    """Slices move from free to held."""
    for part in event.slices:
        grant = named(account, part.grant_id)
        grant.free_ucr -= part.amount_ucr
        grant.held_ucr += part.amount_ucr
        grant.check()
    account.held_ucr += event.amount_ucr
    account.open_holds += 1
    hold = Hold(
        hold_id=event.hold_id,
        account_id=account.account_id,
        state="open",
        amount_ucr=event.amount_ucr,
        committed_ucr=0,
        slices=event.slices,
        lease_until=event.lease_until,
        reference=event.reference,
        opened_at=at,
        opened_position=position,
    )
    assert hold.remaining_ucr == event.amount_ucr
    holds[hold.hold_id] = hold
    return hold


def committed(account: Account, hold: Hold, event: events.HoldCommitted, at: datetime) -> Hold:
    """Slices are spent; a resolved hold gives the rest back."""
    spend(account, event.slices, from_held=True)
    account.held_ucr -= event.amount_ucr
    hold.committed_ucr += event.amount_ucr
    if event.final:
        give_back(account, event.returned)
        _resolve(account, hold, "committed", at)
        return hold
    spent_ucr = {part.grant_id: part.amount_ucr for part in event.slices}
    hold.slices = tuple(
        events.Slice(part.grant_id, left)
        for part in hold.slices
        if (left := part.amount_ucr - spent_ucr.get(part.grant_id, 0)) > 0
    )
    return hold


def resolved(
    account: Account, hold: Hold, event: events.HoldReleased | events.HoldExpired, state: str, at: datetime
) -> Hold:
    """All that was pinned goes back."""
    assert event.amount_ucr == hold.remaining_ucr
    give_back(account, event.returned)
    _resolve(account, hold, state, at)
    return hold


def expired(account: Account, event: events.CreditsExpired) -> None:
    """What was free of a grant is gone."""
    grant = named(account, event.grant_id)
    grant.free_ucr -= event.amount_ucr
    grant.expired_ucr += event.amount_ucr
    account.posted_ucr -= event.amount_ucr
    _settle(account, grant)


def spend(account: Account, slices: tuple[events.Slice, ...], *, from_held: bool) -> None:
    """Slices leave their grants for good."""
    for part in slices:
        grant = named(account, part.grant_id)
        if from_held:
            grant.held_ucr -= part.amount_ucr
        else:
            grant.free_ucr -= part.amount_ucr
        grant.spent_ucr += part.amount_ucr
        account.posted_ucr -= part.amount_ucr
        _settle(account, grant)


def give_back(account: Account, slices: tuple[events.Slice, ...]) -> None:
    """Slices move from held to free in the grants they came from."""
    for part in slices:
        grant = named(account, part.grant_id)
        grant.held_ucr -= part.amount_ucr
        grant.free_ucr += part.amount_ucr
        account.held_ucr -= part.amount_ucr
        grant.check()


def named(account: Account, grant_id: UUID) -> Grant:
    """The live grant that an event names; its absence is a bug, not a refusal."""
    grant = account.grant(grant_id)
    assert grant is not None, f"grant {grant_id} is not live"
    return grant


def _settle(account: Account, grant: Grant) -> None:
    grant.check()
    if not grant.live:
        account.grants.remove(grant)


def _resolve(account: Account, hold: Hold, state: str, at: datetime) -> None:
    hold.slices = ()
    hold.state = state
    hold.resolved_at = at
    account.open_holds -= 1
    assert account.held_ucr >= 0 and account.open_holds >= 0
