"""What several rules share: units that leave grants or come back, and the money that this moves. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from ledger.domain.events import OVERDRAFT, Slice
from projections.books import chart
from projections.books.deferred import Grant, leave
from projections.books.known import Known
from projections.books.model import Change, Legs


class Changes:
    """What an entry does to grants; slices of one grant become one change."""

    def __init__(self) -> None:
        self._found: dict[UUID, tuple[int, int]] = {}

    def leave(self, grant: Grant, units_ucr: int) -> tuple[int, int]:
        """Move units out of a grant, or back; see ``deferred.leave``."""
        deferred_micro, list_micro = leave(grant, units_ucr)
        gone_ucr, taken_micro = self._found.get(grant.grant_id, (0, 0))
        self._found[grant.grant_id] = (gone_ucr + units_ucr, taken_micro + deferred_micro)
        return deferred_micro, list_micro

    def done(self) -> tuple[Change, ...]:
        """The changes, in the order in which grants were named first."""
        return tuple(Change(grant_id, *found) for grant_id, found in self._found.items())


def use(legs: Legs, slices: Iterable[Slice], known: Known) -> Changes:
    """Revenue of slices that were used: cost basis where paid, else list price against its contra account."""
    changes = Changes()
    for part in slices:
        if part.grant_id == OVERDRAFT:
            continue
        grant = known.grant(part.grant_id)
        deferred_micro, list_micro = changes.leave(grant, part.amount_ucr)
        deferred = chart.DEFERRED.get(grant.kind)
        revenue_micro = deferred_micro if deferred else list_micro
        legs.debit(deferred or chart.AT_LIST[grant.kind], grant.currency, revenue_micro)
        legs.credit(chart.USAGE_GROSS, grant.currency, revenue_micro)
    return changes


def unuse(legs: Legs, slices: Iterable[Slice], known: Known) -> Changes:
    """The reverse of ``use``: units are back in their grants, and the formula takes back what it gave."""
    changes = Changes()
    for part in slices:
        if part.grant_id == OVERDRAFT:
            continue
        grant = known.grant(part.grant_id)
        deferred_micro, list_micro = changes.leave(grant, -part.amount_ucr)
        deferred = chart.DEFERRED.get(grant.kind)
        revenue_micro = -deferred_micro if deferred else -list_micro
        legs.debit(chart.USAGE_GROSS, grant.currency, revenue_micro)
        legs.credit(deferred or chart.AT_LIST[grant.kind], grant.currency, revenue_micro)
    return changes


def release(legs: Legs, grant: Grant, units_ucr: int, changes: Changes, account: str) -> int:
    """Units leave a grant without being used: what they had deferred goes to an account that the cause names."""
    deferred_micro, _ = changes.leave(grant, units_ucr)
    if grant.kind in chart.DEFERRED:
        legs.debit(chart.DEFERRED[grant.kind], grant.currency, deferred_micro)
        legs.credit(account, grant.currency, deferred_micro)
    return deferred_micro


def total(slices: Iterable[Slice]) -> int:
    """Units of slices, overdraft included."""
    return sum(part.amount_ucr for part in slices)


def covered(slices: Iterable[Slice]) -> int:
    """Units of slices that grants pay for."""
    return sum(part.amount_ucr for part in slices if part.grant_id != OVERDRAFT)
