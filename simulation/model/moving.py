"""Undoing debits, moving credits between accounts, adjusting balances."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from ledger.domain import commands
from simulation.model import budgets
from simulation.model.grants import add, must_have_room, must_not_be_ahead
from simulation.model.spending import burn, may_spend, must_be_open, must_have, receive
from simulation.model.state import NIL, Account, Book, Grant, Hold, No, Parts
from simulation.model.times import after


def reverse(book: Book, asked: commands.ReverseDebit, now: datetime) -> None:
    """Undo a debit, or what a hold committed, from its last slice."""
    account = book.account(asked.account_id)
    must_be_open(account)
    must_not_be_ahead(asked.effective_at, now)
    found = book.holds.get(asked.debit_id)
    if found is None or found.account_id != account.account_id:
        raise No("debit-unknown", debit_id=str(asked.debit_id))
    left = sum(amount for _, amount in found.spent)
    amount = left if asked.amount_ucr is None else asked.amount_ucr
    if amount > left or not left:
        raise No("reverse-above-debit", debit_id=str(asked.debit_id), requested_ucr=amount, reversible_ucr=left)
    parts = _last_of(found.spent, amount)
    overdraft = sum(part for grant_id, part in parts if grant_id == NIL)
    if overdraft > sum(debt.amount for debt in account.debts if debt.cause == "overdraft" and debt.grant_id is None):
        raise No("overdraft-repaid", debit_id=str(asked.debit_id))
    by_grant = Counter[UUID]()
    for grant_id, part in parts:
        by_grant[grant_id] += part
    taken = {one: _taken_back(account, account.grants[one], part) for one, part in by_grant.items() if one != NIL}
    if any(one.paid for one in taken.values()):
        raise No("debt-repaid", debit_id=str(asked.debit_id))
    must_have_room(account, amount, buckets=0)
    _shorten(found, amount)
    budgets.count(book, found.uses, -amount)
    book.note(account.account_id, "ledger.credits-reversed.v1")
    grace_until = after(now, asked.grace_s)
    for grant_id, part in by_grant.items():
        if grant_id == NIL:
            _lower(account, "overdraft", None, part)
        else:
            grant = account.grants[grant_id]
            grant.spent -= part
            if not grant.over and grant.due(now):
                grant.ends_at = grace_until
            _take_again(book, account, grant, taken[grant_id])
            receive(grant_id, account, part - taken[grant_id].owed - taken[grant_id].lost)


class _Taken(NamedTuple):
    """Parts of what returns that its owner may not have again, and one he has paid for since it was taken."""

    owed: int
    lost: int
    paid: int


def _taken_back(account: Account, grant: Grant, amount: int) -> _Taken:
    """A customer who was refunded, or charged back, for more than he then has used keeps nothing of the excess."""
    used = grant.spent + grant.repaid + grant.transferred - amount
    excess = max(0, grant.recalled - used)
    own = sum(debt.amount for debt in account.debts if debt.grant_id == grant.grant_id)
    if _given_with_refunded(account, grant):
        owed = min(amount, own)
        paid = max(0, excess - owed - grant.lost)
        return _Taken(owed, amount - owed - paid, paid)
    owed = min(excess, own)
    lost = min(excess - owed, grant.lost)
    return _Taken(owed, lost, excess - owed - lost)


def _given_with_refunded(account: Account, gift: Grant) -> bool:
    """A gift goes with the purchase it came with, also where it had been used up by then."""
    bought = [one for one in account.grants.values() if one.receipt_id == gift.receipt_id and one.kind != "promo"]
    return gift.kind == "promo" and gift.receipt_id is not None and any(one.over_at > gift.order for one in bought)


def _take_again(book: Book, account: Account, grant: Grant, taken: _Taken) -> None:
    if taken.owed:
        _lower(account, "any", grant.grant_id, taken.owed)
        grant.repaid += taken.owed
        book.note(account.account_id, "ledger.debt-repaid.v1")
    if taken.lost:
        grant.revoked += taken.lost
        loss = min(taken.lost, grant.lost)
        grant.lost -= loss
        grant.recalled -= loss
        if _given_with_refunded(account, grant):
            grant.over, grant.dispute = True, None
        book.note(account.account_id, "ledger.credits-revoked.v1")


def _last_of(spent: Parts, amount: int) -> Parts:
    taken: Parts = []
    for grant_id, part in reversed(spent):
        used = min(part, amount)
        amount -= used
        if used:
            taken.append((grant_id, used))
    return taken


def _shorten(found: Hold, amount: int) -> None:
    while amount:
        grant_id, part = found.spent.pop()
        used = min(part, amount)
        amount -= used
        if part > used:
            found.spent.append((grant_id, part - used))


def _lower(account: Account, cause: str, grant_id: UUID | None, amount: int) -> None:
    for debt in account.debts:
        if (debt.cause, debt.grant_id) == (cause, grant_id) or (cause == "any" and debt.grant_id == grant_id):
            part = min(amount, debt.amount)
            debt.amount -= part
            amount -= part
    account.debts = [debt for debt in account.debts if debt.amount]
    assert cause == "any" or not amount


def transfer(book: Book, asked: commands.TransferCredits) -> None:
    """Move credits to another account of the organisation, slice by slice."""
    account, other = book.account(asked.account_id), book.account(asked.to_account_id)
    may_spend(account)
    if other.organisation_id != account.organisation_id or other is account:
        raise No("other-organisation", to_account_id=str(asked.to_account_id))
    must_be_open(other)
    must_have(account, asked.amount_ucr, overdraft=False)
    must_have_room(other, asked.amount_ucr, buckets=_burnt(account, asked.amount_ucr))
    parts = burn(account, asked.amount_ucr)
    for grant_id, amount in parts:
        origin = account.grants[grant_id]
        origin.transferred += amount
        arrived = add(
            book, other, part_id(asked.transfer_id, account, grant_id, book.versions[account.account_id]), amount
        )
        arrived.kind, arrived.priority, arrived.ends_at = origin.kind, origin.priority, origin.ends_at
        arrived.receipt_id = origin.receipt_id
    book.note(account.account_id, "ledger.credits-transferred-out.v1")
    book.note(other.account_id, "ledger.credits-transferred-in.v1")


def _burnt(account: Account, amount: int) -> int:
    """How many grants an amount would come from."""
    grants = 0
    for grant in account.burning():
        grants, amount = grants + (amount > 0), amount - grant.free
    return grants


def part_id(transfer_id: UUID, account: Account, grant_id: UUID, version: int) -> UUID:
    """Name of the bucket that arrives, made of what nobody else can have: where it comes from, and when."""
    return uuid5(transfer_id, f"{grant_id.hex}:{account.account_id.hex}:{version}")


def adjust(book: Book, asked: commands.AdjustBalance, now: datetime) -> None:
    """Two operators change the balance."""
    account = book.account(asked.account_id)
    must_be_open(account)
    must_not_be_ahead(asked.effective_at, now)
    if asked.operator_id == asked.approver_id:
        raise No("second-operator-needed", operator_id=str(asked.operator_id))
    if asked.amount_ucr > 0:
        bucket_id = uuid5(asked.adjustment_id, account.account_id.hex)
        if bucket_id in account.grants:
            raise No("grant-exists", grant_id=str(bucket_id))
        must_have_room(account, asked.amount_ucr, buckets=1)
        add(book, account, bucket_id, asked.amount_ucr)
    else:
        must_have(account, -asked.amount_ucr, overdraft=False)
        for grant_id, amount in burn(account, -asked.amount_ucr):
            account.grants[grant_id].revoked += amount
    book.note(account.account_id, "ledger.balance-adjusted.v1")
