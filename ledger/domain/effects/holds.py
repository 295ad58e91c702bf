"""Effects on the rows of holds and debits: what they pin, what they have spent, how they ended."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger.domain import events
from ledger.domain.account import Hold, split
from ledger.domain.effects.parts import Rows
from ledger.domain.events import Slice


def held(account_id: UUID, rows: Rows, event: events.CreditsHeld, at: datetime, position: int) -> Hold:
    """A hold begins."""
    hold = Hold(
        hold_id=event.hold_id,
        account_id=account_id,
        state="open",
        amount_ucr=event.amount_ucr,
        committed_ucr=0,
        slices=event.slices,
        lease_until=event.lease_until,
        reference=event.reference,
        opened_at=at,
        opened_position=position,
        budgets=event.budgets,
        cap_ucr=event.cap_ucr,
    )
    assert hold.remaining_ucr == event.amount_ucr
    rows.holds[hold.hold_id] = hold
    return hold


def raised(_account_id: UUID, rows: Rows, event: events.HoldRaised, _at: datetime, _position: int) -> Hold:
    """It pins more."""
    hold = rows.holds[event.hold_id]
    hold.amount_ucr += event.amount_ucr
    hold.slices = joined(hold.slices, event.slices)
    assert hold.amount_ucr <= hold.cap_ucr
    return hold


def renewed(_account_id: UUID, rows: Rows, event: events.HoldRenewed, _at: datetime, _position: int) -> Hold:
    """A later lease end."""
    hold = rows.holds[event.hold_id]
    hold.lease_until = event.lease_until
    return hold


def committed(_account_id: UUID, rows: Rows, event: events.HoldCommitted, at: datetime, _position: int) -> Hold:
    """A part is spent; the last part, or the end, resolves it."""
    hold = rows.holds[event.hold_id]
    hold.committed_ucr += event.amount_ucr
    hold.spent = joined(hold.spent, event.slices)
    if not event.late:
        spent, rest = split(hold.slices, event.amount_ucr)
        assert spent == event.slices, "spent other slices than it pinned"
        hold.slices = rest
    if event.final:
        hold.state, hold.resolved_at, hold.slices = "committed", at, ()
    return hold


def released(
    _account_id: UUID, rows: Rows, event: events.HoldReleased | events.HoldExpired, at: datetime, _position: int
) -> Hold:
    """It pins nothing any more."""
    hold = rows.holds[event.hold_id]
    assert event.amount_ucr == hold.remaining_ucr
    hold.state = "released" if isinstance(event, events.HoldReleased) else "expired"
    hold.resolved_at, hold.slices = at, ()
    return hold


def debited(account_id: UUID, rows: Rows, event: events.CreditsDebited, at: datetime, position: int) -> Hold:
    """A debit stands among the holds, so that it can be told and reversed."""
    debit = Hold(
        hold_id=event.debit_id,
        account_id=account_id,
        state="debited",
        amount_ucr=event.amount_ucr,
        committed_ucr=event.amount_ucr,
        slices=(),
        lease_until=at,
        reference=event.reference,
        opened_at=at,
        opened_position=position,
        resolved_at=at,
        spent=event.slices,
        budgets=event.budgets,
    )
    rows.holds[debit.hold_id] = debit
    return debit


def reversed_(_account_id: UUID, rows: Rows, event: events.CreditsReversed, _at: datetime, _position: int) -> Hold:
    """What was spent last has come back."""
    debit = rows.holds[event.debit_id]
    back, rest = split(reversed(debit.spent), event.amount_ucr)
    assert back == event.slices, "unwound other slices than were spent last"
    debit.spent = tuple(reversed(rest))
    return debit


def joined(slices: tuple[Slice, ...], more: tuple[Slice, ...]) -> tuple[Slice, ...]:
    """Slices one after another; neighbours of one grant become one."""
    if not slices:
        return more
    if more and slices[-1].grant_id == more[0].grant_id:
        both = Slice(more[0].grant_id, slices[-1].amount_ucr + more[0].amount_ucr)
        return (*slices[:-1], both, *more[1:])
    return slices + more
