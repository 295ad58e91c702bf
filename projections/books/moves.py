"""Rules of what is neither sold nor used: disputes, revocations, debt, transfers, adjustments. Pure.

The ledger's part of each story. What only the source knows, the amount refunded or disputed and its fees, is booked by
the events of payments that stand beside it: a refund's debits Refunds:Payable when it is sent, a dispute's debits
Receivable:Disputes when it opens and Disputes:Losses when it is lost, and ``ReceiptReversed`` debits Rail:Losses.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from ledger.domain import events
from projections.books import chart
from projections.books.deferred import Grant, tax_back
from projections.books.known import Known, Tab
from projections.books.model import CREDIT, Entry, Legs
from projections.books.use import Changes, covered, release, total, unuse

_MONEY_BACK = frozenset({"refund", "dispute", "reorganisation"})
"""Causes for which the customer has the money back, or gets it: its tax was never due."""


def frozen(event: events.GrantFrozen, account_id: UUID, _known: Known) -> Entry | None:
    """A dispute opened: units only."""
    return _shifted("freeze", event.amount_ucr, account_id, chart.AVAILABLE, chart.FROZEN)


def unfrozen(event: events.GrantUnfrozen, account_id: UUID, _known: Known) -> Entry | None:
    """A dispute was won: units only."""
    return _shifted("unfreeze", event.amount_ucr, account_id, chart.FROZEN, chart.AVAILABLE)


def expired(event: events.CreditsExpired, account_id: UUID, known: Known) -> Entry | None:
    """What was free of a grant at its end: its deferred rest is breakage."""
    return _ended("expiry", event.grant_id, event.amount_ucr, account_id, known)


def extended(event: events.GrantExtended, account_id: UUID, known: Known) -> Entry | None:
    """What does not roll over is breakage; what does stays deferred."""
    return _ended("expiry", event.grant_id, event.expired_ucr, account_id, known) if event.expired_ucr else None


def revoked(event: events.CreditsRevoked, account_id: UUID, known: Known) -> Entry | None:
    """Unspent credits are taken back; their deferred rest, and the tax on it, go where the cause says.

    What was held when the money went is taken as it comes back, and makes good a part of the loss that was booked then;
    its tax is owed if the money has come back since.
    """
    if not event.amount_ucr:
        return None
    grant = known.grant(event.grant_id)
    legs, changes = Legs(), Changes()
    receipt = known.receipts.get(grant.receipt_id) if grant.receipt_id and event.cause in _MONEY_BACK else None
    over = receipt is not None and receipt.generation > grant.generation
    gone = over or (receipt is not None and receipt.gone_for != "")
    account = chart.lost_for(event.cause) if gone else chart.taken_for(event.cause, grant.currency)
    taken_micro = release(legs, grant, event.amount_ucr, changes, account)
    if receipt is not None and not over:
        tax_micro = tax_back(grant, event.amount_ucr)
        receipt.tax_micro -= tax_micro
        legs.debit(chart.tax_sales(grant.currency), grant.currency, tax_micro)
        legs.credit(account, grant.currency, tax_micro)
        receipt.take(account, 0 if gone else taken_micro + tax_micro)
    legs.debit(chart.FROZEN, CREDIT, event.from_frozen_ucr)
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr - event.from_frozen_ucr)
    legs.credit(chart.REVOKED, CREDIT, event.amount_ucr)
    return Entry(
        kind="revoke",
        legs=legs.done(),
        changes=changes.done(),
        account_id=account_id,
        receipt_id=grant.receipt_id,
    )


def indebted(event: events.DebtIncurred, account_id: UUID, known: Known) -> Entry:
    """Credits are owed. Overdraft is sold on credit at the account's last price; other debt was counted when spent."""
    legs = Legs()
    if event.cause == "overdraft":
        tab = known.tab(account_id)
        value_micro = tab.owe(event.amount_ucr)
        legs.debit(chart.RECEIVABLE_CUSTOMERS, tab.currency, value_micro)
        legs.credit(chart.USAGE_GROSS, tab.currency, value_micro)
    legs.debit(chart.DEBT, CREDIT, event.amount_ucr)
    legs.credit(chart.CONSUMED if event.cause == "overdraft" else chart.REVOKED, CREDIT, event.amount_ucr)
    return Entry(kind="debt", legs=legs.done(), account_id=account_id)


def repaid(event: events.DebtRepaid, account_id: UUID, known: Known) -> Entry:
    """Paid credits make debt good: their deferred part clears the receivable, or recovers what was lost."""
    legs, changes = Legs(), Changes()
    for grant_id, cause, units_ucr in _paired(event):
        grant = known.grant(grant_id)
        if cause != "overdraft":
            release(legs, grant, units_ucr, changes, chart.RECOVERED.get(cause, chart.DISPUTES_RECOVERED))
            continue
        release(legs, grant, units_ucr, changes, chart.USAGE_GROSS)
        _cleared(legs, known.tab(account_id), units_ucr)
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.DEBT, CREDIT, event.amount_ucr)
    return Entry(kind="repayment", legs=legs.netted(), changes=changes.done(), account_id=account_id)


def _cleared(legs: Legs, tab: Tab, units_ucr: int) -> None:
    """The receivable goes as it came; what pays for it is revenue, so that only the difference is left."""
    value_micro = tab.clear(units_ucr)
    legs.debit(chart.USAGE_GROSS, tab.currency, value_micro)
    legs.credit(chart.RECEIVABLE_CUSTOMERS, tab.currency, value_micro)


def _paired(event: events.DebtRepaid) -> Iterator[tuple[UUID, str, int]]:
    """Which grant pays for which cause: both lists in their order, cut where either ends."""
    debts = [(part.cause, part.amount_ucr) for part in event.debts]
    for part in event.slices:
        left_ucr = part.amount_ucr
        while left_ucr:
            cause, owed_ucr = debts.pop(0)
            units_ucr = min(left_ucr, owed_ucr)
            yield part.grant_id, cause, units_ucr
            left_ucr -= units_ucr
            if owed_ucr > units_ucr:
                debts.insert(0, (cause, owed_ucr - units_ucr))


def reversed_(event: events.CreditsReversed, account_id: UUID, known: Known) -> Entry:
    """A debit is undone: revenue goes back to where the formula has it, and overdraft to the tab."""
    legs = Legs()
    changes = unuse(legs, event.slices, known)
    overdraft_ucr = event.amount_ucr - covered(event.slices)
    if overdraft_ucr:
        _cleared(legs, known.tab(account_id), overdraft_ucr)
    frozen_ucr = total(event.frozen)
    legs.debit(chart.CONSUMED, CREDIT, event.amount_ucr)
    legs.credit(chart.DEBT, CREDIT, overdraft_ucr)
    legs.credit(chart.FROZEN, CREDIT, frozen_ucr)
    legs.credit(chart.AVAILABLE, CREDIT, event.amount_ucr - overdraft_ucr - frozen_ucr)
    return Entry(kind="reversal", legs=legs.done(), changes=changes.done(), account_id=account_id)


def transferred_out(event: events.CreditsTransferredOut, account_id: UUID, known: Known) -> Entry:
    """Slices leave with what they have deferred; the event behind it brings both to the other account."""
    legs, changes = Legs(), Changes()
    for part in event.slices:
        release(legs, known.grant(part.grant_id), part.amount_ucr, changes, chart.TRANSFERS)
    legs.debit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.credit(chart.MOVING, CREDIT, event.amount_ucr)
    return Entry(kind="transfer-out", legs=legs.done(), changes=changes.done(), account_id=account_id)


def transferred_in(event: events.CreditsTransferredIn, account_id: UUID, known: Known, position: int) -> Entry:
    """Grants that begin with the cost basis they were given; the tax stays with the receipt's own grant."""
    legs = Legs()
    for part in event.parts:
        grant = Grant(
            grant_id=part.grant_id,
            account_id=account_id,
            kind=part.kind,
            granted_ucr=part.amount_ucr,
            cost_micro=part.cost_micro,
            list_value_micro=part.list_value_micro,
            currency=part.book_currency,
            position=position,
            receipt_id=part.receipt_id,
            generation=part.generation,
        )
        known.issue(grant)
        if grant.kind in chart.DEFERRED:
            legs.debit(chart.TRANSFERS, grant.currency, grant.total_micro)
            legs.credit(chart.DEFERRED[grant.kind], grant.currency, grant.total_micro)
    legs.debit(chart.MOVING, CREDIT, event.amount_ucr)
    legs.credit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    return Entry(kind="transfer-in", legs=legs.done(), account_id=account_id)


def adjusted(event: events.BalanceAdjusted, account_id: UUID, known: Known, position: int) -> Entry:
    """Two operators changed a balance: goodwill more, or units less, whose deferred rest is breakage or escheated."""
    if event.grant_id is not None:
        return _more(event, event.grant_id, account_id, known, position)
    legs, changes = Legs(), Changes()
    dormant = event.cause == "dormant"
    for part in event.slices:
        grant = known.grant(part.grant_id)
        release(legs, grant, part.amount_ucr, changes, chart.ESCHEAT if dormant else chart.BREAKAGE)
    units_ucr = total(event.slices)
    legs.debit(chart.AVAILABLE, CREDIT, units_ucr)
    legs.credit(chart.ESCHEATED if dormant else chart.REVOKED, CREDIT, units_ucr)
    return Entry(kind=f"adjustment-{event.cause}", legs=legs.done(), changes=changes.done(), account_id=account_id)


def _more(event: events.BalanceAdjusted, grant_id: UUID, account_id: UUID, known: Known, position: int) -> Entry:
    """Units only: nobody paid for them, and they have no list price."""
    grant = Grant(
        grant_id=grant_id,
        account_id=account_id,
        kind="goodwill",
        granted_ucr=event.amount_ucr,
        cost_micro=0,
        list_value_micro=0,
        currency=known.currency,
        position=position,
    )
    known.issue(grant)
    legs = Legs()
    legs.credit(chart.AVAILABLE, CREDIT, event.amount_ucr)
    legs.debit(chart.ISSUED[grant.kind], CREDIT, event.amount_ucr)
    return Entry(kind=f"adjustment-{event.cause}", legs=legs.done(), account_id=account_id, grant_id=grant_id)


def _ended(kind: str, grant_id: UUID, units_ucr: int, account_id: UUID, known: Known) -> Entry:
    legs, changes = Legs(), Changes()
    release(legs, known.grant(grant_id), units_ucr, changes, chart.BREAKAGE)
    legs.debit(chart.AVAILABLE, CREDIT, units_ucr)
    legs.credit(chart.EXPIRED, CREDIT, units_ucr)
    return Entry(kind=kind, legs=legs.done(), changes=changes.done(), account_id=account_id)


def _shifted(kind: str, units_ucr: int, account_id: UUID, debit: str, credit: str) -> Entry | None:
    if not units_ucr:
        return None
    legs = Legs()
    legs.debit(debit, CREDIT, units_ucr)
    legs.credit(credit, CREDIT, units_ucr)
    return Entry(kind=kind, legs=legs.done(), account_id=account_id)
