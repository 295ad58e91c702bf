"""Evolve: apply one recorded event to an account and the rows beside it. Exhaustive over the catalogue.

Every change ends in the assertion of what it touched, so that a sum that does not add up is never written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from ledger.domain import events
from ledger.domain.account import Account, Hold
from ledger.domain.effects import holds, sums
from ledger.domain.effects.parts import GrantKey, Rows

__all__ = ["GrantKey", "Rows", "evolve", "evolve_hold", "evolve_sums"]


def evolve(account: Account, rows: Rows, event: events.AccountEvent, at: datetime, position: int) -> Hold | None:
    """Apply an event that was recorded ``at`` as the account's next version; the hold that it changed, if any."""
    kind = type(event)
    account.version += 1
    _SUMS[kind](account, rows, event)
    apply = _HOLDS.get(kind)
    return None if apply is None else apply(account.account_id, rows, event, at, position)


def evolve_sums(account: Account, rows: Rows, event: events.AccountEvent) -> None:
    """The same for the account alone: an event says all that it does to sums and grants, so no hold is needed."""
    account.version += 1
    _SUMS[type(event)](account, rows, event)


def evolve_hold(account_id: UUID, rows: Rows, event: events.AccountEvent, at: datetime, position: int) -> Hold | None:
    """The same for the row of its hold or debit alone; None for an event that changes none."""
    apply = _HOLDS.get(type(event))
    return apply(account_id, rows, event, at, position) if apply is not None else None


_HOLDS: Mapping[type, Callable[[UUID, Rows, Any, datetime, int], Hold]] = {
    events.CreditsHeld: holds.held,
    events.HoldRaised: holds.raised,
    events.HoldRenewed: holds.renewed,
    events.HoldCommitted: holds.committed,
    events.HoldReleased: holds.released,
    events.HoldExpired: holds.released,
    events.CreditsDebited: holds.debited,
    events.CreditsReversed: holds.reversed_,
}
_SUMS: Mapping[type, Callable[[Account, Rows, Any], None]] = {
    events.AccountOpened: sums.opened,
    events.AccountPolicySet: sums.policy_set,
    events.AccountFrozen: sums.status_set,
    events.AccountUnfrozen: sums.status_set,
    events.AccountClosed: sums.status_set,
    events.CreditsGranted: sums.granted,
    events.CreditsHeld: sums.held,
    events.HoldRenewed: sums.unmoved,
    events.HoldRaised: sums.raised,
    events.HoldCommitted: sums.committed,
    events.HoldReleased: sums.released,
    events.HoldExpired: sums.released,
    events.CreditsDebited: sums.debited,
    events.CreditsExpired: sums.expired,
    events.GrantExtended: sums.extended,
    events.GrantFrozen: sums.grant_frozen,
    events.GrantUnfrozen: sums.grant_unfrozen,
    events.CreditsRevoked: sums.revoked,
    events.DebtIncurred: sums.indebted,
    events.DebtRepaid: sums.repaid,
    events.CreditsReversed: sums.reversed_,
    events.CreditsTransferredOut: sums.transferred_out,
    events.CreditsTransferredIn: sums.transferred_in,
    events.BalanceAdjusted: sums.adjusted,
}
assert set(_SUMS) == set(get_args(events.AccountEvent)), "every event of the catalogue is applied"
