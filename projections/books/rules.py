"""The rules: one account event becomes one entry. Pure; what they change is what they were given to know.

Units move as the event says. Money moves at use and at expiry: the change of the deferred formula for grants that
were paid for, list price against a contra account for those that were not. A hold moves units only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args
from uuid import UUID

from ledger.domain import events
from projections.appends import Funding
from projections.books import chart, moves
from projections.books.deferred import Grant
from projections.books.known import Known, Receipt
from projections.books.model import CREDIT, Entry, Legs
from projections.books.receipts import fund
from projections.books.use import covered, total, use


def account_entry(event: events.AccountEvent, account_id: UUID, position: int, known: Known) -> Entry | None:
    """Entry of an account's event other than a bought or given grant; None where nothing moves.

    :raises Unbookable: the event names a grant that the books do not know.
    """
    if isinstance(event, events.CreditsTransferredIn):
        return moves.transferred_in(event, account_id, known, position)
    if isinstance(event, events.BalanceAdjusted):
        return moves.adjusted(event, account_id, known, position)
    rule = _RULES[type(event)]
    return rule(event, account_id, known) if rule is not None else None


def granted(
    event: events.CreditsGranted,
    account_id: UUID,
    position: int,
    funding: Funding | None,
    receipts: Mapping[UUID, Receipt] | None = None,
) -> tuple[Entry, Grant]:
    """Entry of a grant, together with the receipt of the same append that paid for it, if one did.

    :raises Unbookable: receipt and grant disagree.
    """
    grant = Grant(
        grant_id=event.grant_id,
        account_id=account_id,
        kind=event.kind,
        granted_ucr=event.amount_ucr,
        cost_micro=event.cost_micro,
        list_value_micro=event.list_value_micro,
        currency=event.book_currency,
        position=position,
        receipt_id=event.receipt_id,
        generation=event.generation,
    )
    legs = Legs()
    fund(legs, grant, funding, receipts or {})
    legs.credit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.debit(chart.ISSUED[event.kind], CREDIT, event.amount_ucr)
    entry = Entry(
        kind=f"grant-{event.kind}",
        legs=legs.done(),
        account_id=account_id,
        grant_id=event.grant_id,
        receipt_id=event.receipt_id,
    )
    return entry, grant


def _held(event: events.CreditsHeld, account_id: UUID, _known: Known) -> Entry:
    legs = Legs()
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.HELD, CREDIT, event.amount_ucr)
    return _of_hold("hold", legs, event.hold_id, account_id, event.reference)


def _raised(event: events.HoldRaised, account_id: UUID, _known: Known) -> Entry:
    legs = Legs()
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.HELD, CREDIT, event.amount_ucr)
    return _of_hold("raise", legs, event.hold_id, account_id, None)


def _let_go(event: events.HoldReleased | events.HoldExpired, account_id: UUID, _known: Known) -> Entry:
    """What a hold pinned goes back; the part of disputed grants is frozen."""
    legs, frozen_ucr = Legs(), total(event.frozen)
    legs.debit(chart.HELD, CREDIT, event.amount_ucr)
    legs.credit(chart.AVAILABLE, CREDIT, event.amount_ucr - frozen_ucr)
    legs.credit(chart.FROZEN, CREDIT, frozen_ucr)
    kind = "release" if isinstance(event, events.HoldReleased) else "hold-expired"
    return _of_hold(kind, legs, event.hold_id, account_id, event.reference)


def _committed(event: events.HoldCommitted, account_id: UUID, known: Known) -> Entry | None:
    """A hold is spent in part or whole; the last part gives the rest back.

    Overdraft that was spent goes back to Available, and from there into Debt by the event behind it. A late commit
    takes what is free now: nothing was held any more.
    """
    legs = Legs()
    changes = use(legs, event.slices, known)
    spent_ucr, frozen_ucr = covered(event.slices), total(event.frozen)
    legs.debit(chart.AVAILABLE, CREDIT, spent_ucr if event.late else 0)
    freed_ucr = 0 if event.late else event.amount_ucr + total(event.returned)
    legs.debit(chart.HELD, CREDIT, freed_ucr)
    legs.credit(chart.CONSUMED, CREDIT, spent_ucr)
    legs.credit(chart.FROZEN, CREDIT, frozen_ucr)
    legs.credit(chart.AVAILABLE, CREDIT, 0 if event.late else freed_ucr - spent_ucr - frozen_ucr)
    if not (found := legs.done()):
        return None
    return Entry(
        kind="commit",
        legs=found,
        changes=changes.done(),
        account_id=account_id,
        hold_id=event.hold_id,
        reference=event.reference,
    )


def _debited(event: events.CreditsDebited, account_id: UUID, known: Known) -> Entry | None:
    """Credits are spent without a hold; what is overdraft is booked by the debt behind it."""
    legs = Legs()
    changes = use(legs, event.slices, known)
    legs.debit(chart.AVAILABLE, CREDIT, covered(event.slices))
    legs.credit(chart.CONSUMED, CREDIT, covered(event.slices))
    if not (found := legs.done()):
        return None
    return Entry(kind="debit", legs=found, changes=changes.done(), account_id=account_id, reference=event.reference)


def _of_hold(kind: str, legs: Legs, hold_id: UUID, account_id: UUID, reference: UUID | None) -> Entry:
    return Entry(kind=kind, legs=legs.done(), account_id=account_id, hold_id=hold_id, reference=reference)


_ELSEWHERE = {events.CreditsGranted, events.CreditsTransferredIn, events.BalanceAdjusted}
"""Grants that begin: booked with their money or at their place, see ``granted`` and ``account_entry``."""

_RULES: dict[type, Callable[[Any, UUID, Known], Entry | None] | None] = {
    events.AccountOpened: None,
    events.AccountPolicySet: None,
    events.AccountFrozen: None,
    events.AccountUnfrozen: None,
    events.AccountClosed: None,
    events.HoldRenewed: None,
    events.CreditsHeld: _held,
    events.HoldRaised: _raised,
    events.HoldReleased: _let_go,
    events.HoldExpired: _let_go,
    events.HoldCommitted: _committed,
    events.CreditsDebited: _debited,
    events.CreditsExpired: moves.expired,
    events.GrantExtended: moves.extended,
    events.GrantFrozen: moves.frozen,
    events.GrantUnfrozen: moves.unfrozen,
    events.CreditsRevoked: moves.revoked,
    events.DebtIncurred: moves.indebted,
    events.DebtRepaid: moves.repaid,
    events.CreditsReversed: moves.reversed_,
    events.CreditsTransferredOut: moves.transferred_out,
}
assert {*_RULES, *_ELSEWHERE} == set(get_args(events.AccountEvent)), "every event of the catalogue is booked, or not"
