"""Grants that had ended before a snapshot and are used again in the events behind it: what they were then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.domain import events
from ledger.domain.account import Account, Grant
from ledger.domain.codec import RecordedEvent, account_event
from ledger.domain.events import OVERDRAFT
from ledger.domain.evolve import Rows
from ledger.errors import UpgradeNeeded


class Missing(Exception):
    """A grant that is used again has no row that this release can read."""


class Move(NamedTuple):
    """Another end of a grant."""

    expires_at: datetime | None


def said(recorded: RecordedEvent) -> events.AccountEvent:
    """What an event of an account says.

    :raises UpgradeNeeded: nothing that this release knows.
    """
    try:
        return account_event(recorded.state)
    except msgspec.ValidationError as error:
        raise UpgradeNeeded(account_id=str(recorded.stream_id)) from error


def unknown_grants(account: Account, rows: Rows, happened: Sequence[events.AccountEvent]) -> list[UUID]:
    """Grants that the next events use again, and of which neither account nor rows know anything."""
    known = {grant.grant_id for grant in account.grants} | {grant_id for _, grant_id in rows.ended}
    for event in happened:
        known.update(_begun(event))
    used = dict.fromkeys(grant_id for event in happened for grant_id in _used_again(event))
    return [grant_id for grant_id in used if grant_id not in known]


def base_of(kept: Grant, expires_at: datetime | None) -> Grant:
    """An ended grant as it was with another end: nothing is left of it, no dispute, no claim.

    How it came to nothing cannot be told from its row of today. All of it counts as spent, so that whatever comes
    back can; what is free, held and frozen of it afterwards is exact.
    """
    gone = {"free_ucr": 0, "held_ucr": 0, "frozen_ucr": 0, "expired_ucr": 0, "revoked_ucr": 0}
    gone |= {"transferred_ucr": 0, "repaid_ucr": 0, "freeze_limit_ucr": 0, "claims": (), "lost_ucr": 0}
    return msgspec.structs.replace(kept, **gone, spent_ucr=kept.granted_ucr, expires_at=expires_at)


def moved_end(event: events.AccountEvent, grant_id: UUID) -> Move | None:
    """The end that an event gives to a grant, if it gives one."""
    match event:
        case events.GrantExtended() if event.grant_id == grant_id:
            return Move(event.expires_at)
        case events.CreditsReversed() if grant_id in event.graced:
            return Move(event.grace_until)
        case _:
            return None


def starting_end(event: events.AccountEvent, grant_id: UUID) -> datetime | None:
    """The end that a grant had by the event it began with."""
    match event:
        case events.CreditsGranted():
            return event.expires_at
        case events.CreditsTransferredIn():
            return next(part.expires_at for part in event.parts if part.grant_id == grant_id)
        case _:
            assert isinstance(event, events.BalanceAdjusted), f"grant {grant_id} begins with {event}"
            return None


def _begun(event: events.AccountEvent) -> Iterable[UUID]:
    match event:
        case events.CreditsGranted():
            return (event.grant_id,)
        case events.CreditsTransferredIn():
            return (part.grant_id for part in event.parts)
        case events.BalanceAdjusted(grant_id=UUID() as grant_id):
            return (grant_id,)
        case _:
            return ()


def _used_again(event: events.AccountEvent) -> Iterable[UUID]:
    """Grants that an event may bring back to life: those that ``ledger.domain.effects`` revives."""
    match event:
        case events.CreditsReversed():
            return (part.grant_id for part in event.slices if part.grant_id != OVERDRAFT)
        case events.GrantFrozen() | events.CreditsRevoked():
            return (event.grant_id,)
        case events.DebtIncurred(grant_id=UUID() as grant_id):
            return (grant_id,)
        case _:
            return ()
