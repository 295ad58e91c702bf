"""Holds of the past, from the events of their account. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from uuid import UUID

from ledger.as_of_grants import said
from ledger.domain import events
from ledger.domain.account import Hold
from ledger.domain.codec import RecordedEvent, tag_of
from ledger.domain.evolve import Rows, evolve_hold

_OPENING = frozenset(map(tag_of, (events.CreditsHeld, events.CreditsDebited)))
_NAMED_BY = {
    tag_of(events.CreditsHeld): "hold_id",
    tag_of(events.HoldRenewed): "hold_id",
    tag_of(events.HoldRaised): "hold_id",
    tag_of(events.HoldCommitted): "hold_id",
    tag_of(events.HoldReleased): "hold_id",
    tag_of(events.HoldExpired): "hold_id",
    tag_of(events.CreditsDebited): "debit_id",
    tag_of(events.CreditsReversed): "debit_id",
}


def hold_id_of(recorded: RecordedEvent) -> UUID | None:
    """The hold or debit that an event is about."""
    field = _NAMED_BY.get(recorded.tag)
    return None if field is None else getattr(said(recorded), field)


def opened_in(
    account_id: UUID, page: Sequence[RecordedEvent], later: dict[UUID, list[RecordedEvent]]
) -> Iterator[Hold]:
    """Holds and debits begun in a page of events, newest first, as they were after all that was seen.

    ``later`` gathers, from page to page, what happened to those that began before.
    """
    for recorded in page:
        hold_id = hold_id_of(recorded)
        if hold_id is None:
            continue
        later.setdefault(hold_id, []).append(recorded)
        if recorded.tag in _OPENING:
            yield hold_from(account_id, reversed(later.pop(hold_id)))


def hold_from(account_id: UUID, life: Iterable[RecordedEvent]) -> Hold:
    """A hold or debit after its events, oldest first."""
    rows, hold = Rows(), None
    for recorded in life:
        hold = evolve_hold(account_id, rows, said(recorded), recorded.recorded_at, recorded.position)
    assert hold is not None, "no event of this hold"
    return hold
