"""The rules: one account event becomes one entry. Pure; what they change are the grants they were given.

Units move as the event says. Money moves at use and at expiry: the change of the deferred formula for grants that
were paid for, list price against a contra account for those that were not. A hold moves units only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never
from uuid import UUID

from ledger.domain import events
from projections.appends import Funding
from projections.books import chart
from projections.books.deferred import Grant, leave
from projections.books.model import CREDIT, Change, Entry, Legs
from projections.books.receipts import fund
from projections.errors import Unbookable

Grants = Mapping[UUID, Grant]


def account_entry(event: events.AccountEvent, account_id: UUID, grants: Grants) -> Entry | None:
    """Entry of an account's event other than a grant; None where nothing moves. Units that leave are taken from grants.

    :raises Unbookable: the event names a grant that the books do not know.
    """
    match event:
        case events.AccountOpened() | events.HoldRenewed():
            return None
        case events.CreditsHeld():
            return _moved("hold", event, account_id, event.amount_ucr, chart.AVAILABLE, chart.HELD)
        case events.HoldReleased():
            return _moved("release", event, account_id, event.amount_ucr, chart.HELD, chart.AVAILABLE)
        case events.HoldExpired():
            return _moved("hold-expired", event, account_id, event.amount_ucr, chart.HELD, chart.AVAILABLE)
        case events.HoldCommitted():
            return committed(event, account_id, grants)
        case events.CreditsDebited():
            return debited(event, account_id, grants)
        case events.CreditsExpired():
            return expired(event, account_id, grants)
        case events.CreditsGranted():
            raise AssertionError("a grant is booked with its money: see granted")
        case _:
            assert_never(event)


def granted(
    event: events.CreditsGranted, account_id: UUID, position: int, funding: Funding | None
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
    )
    legs = Legs()
    fund(legs, grant, funding)
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


def committed(event: events.HoldCommitted, account_id: UUID, grants: Grants) -> Entry:
    """A hold is spent in part or whole; the last part gives the rest back."""
    legs = Legs()
    changes = use(legs, event.slices, grants)
    returned_ucr = sum(part.amount_ucr for part in event.returned)
    legs.debit(chart.HELD, CREDIT, event.amount_ucr + returned_ucr)
    legs.credit(chart.CONSUMED, CREDIT, event.amount_ucr)
    legs.credit(chart.AVAILABLE, CREDIT, returned_ucr)
    return Entry(
        kind="commit",
        legs=legs.done(),
        changes=changes,
        account_id=account_id,
        hold_id=event.hold_id,
        reference=event.reference,
    )


def debited(event: events.CreditsDebited, account_id: UUID, grants: Grants) -> Entry:
    """Credits are spent without a hold."""
    legs = Legs()
    changes = use(legs, event.slices, grants)
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.CONSUMED, CREDIT, event.amount_ucr)
    return Entry(kind="debit", legs=legs.done(), changes=changes, account_id=account_id, reference=event.reference)


def expired(event: events.CreditsExpired, account_id: UUID, grants: Grants) -> Entry:
    """What was free of a grant at its end: its deferred rest is breakage."""
    grant = _known(grants, event.grant_id)
    legs = Legs()
    deferred_micro, _ = leave(grant, event.amount_ucr)
    if deferred_micro:
        legs.debit(chart.DEFERRED[grant.kind], grant.currency, deferred_micro)
        legs.credit(chart.BREAKAGE, grant.currency, deferred_micro)
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.EXPIRED, CREDIT, event.amount_ucr)
    change = Change(grant.grant_id, event.amount_ucr, deferred_micro)
    return Entry(kind="expiry", legs=legs.done(), changes=(change,), account_id=account_id)


def use(legs: Legs, slices: Iterable[events.Slice], grants: Grants) -> tuple[Change, ...]:
    """Revenue of slices that were used: cost basis where paid, else list price against its contra account."""
    changes: list[Change] = []
    for part in slices:
        grant = _known(grants, part.grant_id)
        deferred_micro, list_micro = leave(grant, part.amount_ucr)
        deferred = chart.DEFERRED.get(grant.kind)
        revenue_micro = deferred_micro if deferred else list_micro
        legs.debit(deferred or chart.AT_LIST[grant.kind], grant.currency, revenue_micro)
        legs.credit(chart.USAGE_GROSS, grant.currency, revenue_micro)
        changes.append(Change(grant.grant_id, part.amount_ucr, deferred_micro))
    return tuple(changes)


def _moved(
    kind: str,
    event: events.CreditsHeld | events.HoldReleased | events.HoldExpired,
    account_id: UUID,
    amount_ucr: int,
    debit: str,
    credit: str,
) -> Entry:
    legs = Legs()
    legs.debit(debit, CREDIT, amount_ucr)
    legs.credit(credit, CREDIT, amount_ucr)
    return Entry(kind=kind, legs=legs.done(), account_id=account_id, hold_id=event.hold_id, reference=event.reference)


def _known(grants: Grants, grant_id: UUID) -> Grant:
    if (grant := grants.get(grant_id)) is None:
        raise Unbookable(f"grant {grant_id} was never booked")
    return grant
