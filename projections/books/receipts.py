"""The rules for money: receipts as booked, alone or in one entry with the grant of the same append. Pure.

A receipt that paid for a grant is booked with it, at the grant's position: cash, tax and Deferred in one entry, and the
sum of the deferred formula equals the Deferred accounts at every sequence. Later its own event adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

from payments.domain import events
from projections.appends import Funding, Money
from projections.books import chart
from projections.books.deferred import Grant, share
from projections.books.known import Receipt
from projections.books.model import Entry, Legs
from projections.errors import Unbookable


def fund(legs: Legs, grant: Grant, funding: Funding | None, receipts: Mapping[UUID, Receipt]) -> None:
    """Money side of a grant. What no receipt explains is owed by Unapplied, where its debit shows.

    ``receipts`` has the receipt as it was, where money that had gone comes back.

    :raises Unbookable: receipt and grant disagree.
    """
    deferred = chart.DEFERRED.get(grant.kind, chart.UNAPPLIED)
    if funding is None:
        legs.debit(chart.UNAPPLIED, grant.currency, grant.total_micro)
        legs.credit(deferred, grant.currency, grant.total_micro)
        return
    money = funding.money
    grant.money_position, grant.tax_micro = funding.position, money.tax_micro
    if (money.net_micro, money.currency) != (grant.total_micro, grant.currency):
        raise Unbookable(
            f"receipt {money.receipt_id} pays {money.net_micro} {money.currency} for grant {grant.grant_id}, "
            f"whose cost basis is {grant.total_micro} {grant.currency}"
        )
    match money:
        case events.ReceiptFinal(case="restored"):
            _returned(legs, money, deferred, _known(receipts, money.receipt_id))
        case events.ReceiptFinal():
            _received(legs, money, deferred)
        case events.ReceiptApplied():
            _applied(legs, money, deferred)
        case _:
            assert_never(money)


def receipt_entry(
    event: events.PaymentEvent, position: int, receipts: dict[UUID, Receipt], grants: Mapping[UUID, Grant]
) -> Entry | None:
    """Entry of an event of payments, None where it moves nothing or was booked with its grant.

    :raises Unbookable: a receipt that the books do not know, or figures that do not add up.
    """
    match event:
        case events.ReceiptFinal():
            return _final(event, position, receipts, grants)
        case events.ReceiptApplied():
            return _waited(event, position, _known(receipts, event.receipt_id), grants)
        case events.ReceiptReversed():
            return _reversed(event, _known(receipts, event.receipt_id))
        case _:
            return None


def _final(
    event: events.ReceiptFinal, position: int, receipts: dict[UUID, Receipt], grants: Mapping[UUID, Grant]
) -> Entry | None:
    before = receipts.get(event.receipt_id)
    credits_kept = event.case == "restored" and event.grant_id is None
    receipts[event.receipt_id] = Receipt(
        receipt_id=event.receipt_id,
        generation=event.generation,
        rail=event.rail,
        asset=event.asset,
        amount_minor=event.amount_minor,
        currency=event.currency,
        value_micro=event.value_micro,
        unapplied_micro=event.unapplied_micro,
        suspense_micro=event.suspense_micro,
        tax_micro=before.tax_micro if credits_kept and before is not None else event.tax_micro,
    )
    if _booked_with_grant(event, position, grants):
        return None
    legs = Legs()
    if event.case == "restored":
        _restored(legs, event, before.gone_for if before is not None else "")
    else:
        _received(legs, event, chart.UNAPPLIED)
    return _entry(f"receipt-{event.case}", legs, event)


def _waited(
    event: events.ReceiptApplied, position: int, receipt: Receipt, grants: Mapping[UUID, Grant]
) -> Entry | None:
    used_micro = event.net_micro + event.tax_micro
    if event.source == "unapplied":
        receipt.unapplied_micro -= used_micro
    else:
        receipt.suspense_micro -= used_micro
    if min(receipt.unapplied_micro, receipt.suspense_micro) < 0:
        raise Unbookable(f"more is applied of receipt {event.receipt_id} than waits in {event.source}")
    receipt.tax_micro += event.tax_micro
    if _booked_with_grant(event, position, grants):
        return None
    legs = Legs()
    _applied(legs, event, chart.UNAPPLIED)
    return _entry("receipt-applied", legs, event)


def _reversed(event: events.ReceiptReversed, receipt: Receipt) -> Entry | None:
    """The money is gone: what still waited goes with it, and what its revoked credits gave up; the rest is a loss."""
    waiting_micro = receipt.unapplied_micro + receipt.suspense_micro
    if event.value_micro != receipt.value_micro:
        raise Unbookable(f"receipt {event.receipt_id} brought {receipt.value_micro}, not {event.value_micro}")
    accounts = chart.rail_accounts(event.rail, receipt.asset)
    legs = Legs()
    legs.debit(chart.UNAPPLIED, event.currency, receipt.unapplied_micro)
    legs.debit(chart.suspense(event.rail), event.currency, receipt.suspense_micro)
    legs.debit(receipt.taken_in, event.currency, receipt.taken_micro)
    loss_micro = event.value_micro - waiting_micro - receipt.taken_micro
    legs.difference(chart.lost_for(event.cause), event.currency, -loss_micro)
    legs.credit(accounts.assets, event.currency, event.value_micro)
    if accounts.commodity:
        legs.debit(accounts.world, accounts.commodity, receipt.amount_minor)
        legs.credit(accounts.wallet, accounts.commodity, receipt.amount_minor)
    receipt.unapplied_micro = receipt.suspense_micro = receipt.taken_micro = 0
    receipt.gone_for = event.cause
    return _entry("receipt-reversed", legs, event)


def _returned(legs: Legs, event: events.ReceiptFinal, for_net: str, before: Receipt) -> None:
    """Money that had gone is back, and so are its credits: tax is owed again as far as it was not, the rest is no loss.

    What the customer had spent is debt, which the new grant repays: that makes good what is left of the loss.
    """
    _check_parts(event)
    _cash(legs, event)
    again_micro = event.tax_micro - before.tax_micro
    back_micro = event.net_micro + again_micro + event.unapplied_micro + event.suspense_micro
    legs.credit(for_net, event.currency, event.net_micro)
    legs.credit(chart.tax_sales(event.currency), event.currency, again_micro)
    legs.credit(chart.UNAPPLIED, event.currency, event.unapplied_micro)
    legs.credit(chart.suspense(event.rail), event.currency, event.suspense_micro)
    legs.difference(chart.lost_for(before.gone_for), event.currency, event.value_micro - back_micro)


def _restored(legs: Legs, event: events.ReceiptFinal, gone_for: str) -> None:
    """A reversed receipt is back, its credits were never taken: what does not wait again undoes the loss."""
    _cash(legs, event)
    waiting_micro = event.unapplied_micro + event.suspense_micro
    legs.difference(chart.lost_for(gone_for), event.currency, event.value_micro - waiting_micro)
    legs.credit(chart.UNAPPLIED, event.currency, event.unapplied_micro)
    legs.credit(chart.suspense(event.rail), event.currency, event.suspense_micro)


def _received(legs: Legs, event: events.ReceiptFinal, for_net: str) -> None:
    _check_parts(event)
    _cash(legs, event)
    legs.difference(chart.FX_REALIZED, event.currency, event.fx_micro)
    legs.credit(for_net, event.currency, event.net_micro)
    legs.credit(chart.tax_sales(event.currency), event.currency, event.tax_micro)
    legs.credit(chart.UNAPPLIED, event.currency, event.unapplied_micro)
    legs.credit(chart.suspense(event.rail), event.currency, event.suspense_micro)
    _fee(legs, event)


def _check_parts(event: events.ReceiptFinal) -> None:
    parts_micro = event.net_micro + event.tax_micro + event.unapplied_micro + event.suspense_micro + event.fx_micro
    if parts_micro != event.value_micro:
        raise Unbookable(f"receipt {event.receipt_id} is {event.value_micro}, its parts are {parts_micro}")


def _cash(legs: Legs, event: events.ReceiptFinal) -> None:
    accounts = chart.rail_accounts(event.rail, event.asset)
    legs.debit(accounts.assets, event.currency, event.value_micro)
    if accounts.commodity:
        legs.debit(accounts.wallet, accounts.commodity, event.amount_minor)
        legs.credit(accounts.world, accounts.commodity, event.amount_minor)


def _fee(legs: Legs, event: events.ReceiptFinal) -> None:
    """What the source kept; its value is its share of the payment's. A reversal does not give it back."""
    if event.fee_minor:
        fee_micro = share(event.value_micro, event.fee_minor, event.amount_minor)
        legs.debit(chart.processing(event.rail), event.currency, fee_micro)
        legs.credit(chart.rail_accounts(event.rail, event.asset).assets, event.currency, fee_micro)


def _applied(legs: Legs, event: events.ReceiptApplied, for_net: str) -> None:
    source = chart.UNAPPLIED if event.source == "unapplied" else chart.suspense(event.rail)
    legs.debit(source, event.currency, event.net_micro + event.tax_micro)
    legs.credit(for_net, event.currency, event.net_micro)
    legs.credit(chart.tax_sales(event.currency), event.currency, event.tax_micro)


def _booked_with_grant(event: Money, position: int, grants: Mapping[UUID, Grant]) -> bool:
    grant = grants.get(event.grant_id) if event.grant_id is not None else None
    return grant is not None and grant.money_position == position


def _entry(kind: str, legs: Legs, event: Money | events.ReceiptReversed) -> Entry | None:
    account_id = None if isinstance(event, events.ReceiptReversed) else event.account_id
    if not (found := legs.done()):
        return None
    return Entry(kind=kind, legs=found, account_id=account_id, receipt_id=event.receipt_id)


def _known(receipts: Mapping[UUID, Receipt], receipt_id: UUID) -> Receipt:
    if (receipt := receipts.get(receipt_id)) is None:
        raise Unbookable(f"receipt {receipt_id} was never booked")
    return receipt
