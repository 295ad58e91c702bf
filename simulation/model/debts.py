"""What follows by itself once a command is done: claims are taken, debt arises and is repaid."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from simulation.model.state import Account, Book, Debt, Grant


def owe(book: Book, account: Account, cause: str, grant_id: UUID | None, amount: int) -> None:
    """Credits were spent that nothing pays for. Debts of one cause and grant are one, as old as the first of them."""
    for debt in account.debts:
        if (debt.cause, debt.grant_id) == (cause, grant_id):
            debt.amount += amount
            break
    else:
        account.debts.append(Debt(cause, grant_id, amount))
    book.note(account.account_id, "ledger.debt-incurred.v1")


def settle(book: Book, account: Account, now: datetime) -> None:
    """Take what is claimed, owe what is claimed and gone, repay what can be."""
    for grant in sorted(account.grants.values(), key=Grant.burns):
        _take_claims(book, account, grant)
    repay(book, account, now)


def bear_spent(grant: Grant) -> None:
    """What was spent can be claimed no more: the oldest claims lose it, before anything comes back to them."""
    excess = max(0, grant.claimed - grant.held)
    for claim in grant.claims:
        gone = min(excess, claim.amount)
        claim.amount -= gone
        claim.gone += gone if claim.owed else 0
        grant.recalled += gone
        grant.lost += 0 if claim.owed else gone
        excess -= gone


def _take_claims(book: Book, account: Account, grant: Grant) -> None:
    for claim in grant.claims:
        if claim.gone:
            owe(book, account, claim.cause, grant.grant_id, claim.gone)
            claim.gone = 0
    for claim in grant.claims:
        if claim.gone:
            owe(book, account, claim.cause, grant.grant_id, claim.gone)
            claim.gone = 0
        if taken := min(grant.free, claim.amount):
            grant.free -= taken
            grant.revoked += taken
            claim.amount -= taken
            book.note(account.account_id, "ledger.credits-revoked.v1")
    grant.claims = [claim for claim in grant.claims if claim.amount]


def repay(book: Book, account: Account, now: datetime) -> None:
    """Free paid credits that have not ended repay debt, the oldest first."""
    paid = [grant for grant in account.burning() if grant.kind == "paid" and not grant.due(now)]
    amount = min(account.debt, sum(grant.free for grant in paid))
    if not amount:
        return
    left = amount
    for grant in paid:
        part = min(left, grant.free)
        grant.free -= part
        grant.repaid += part
        left -= part
    lower_debts(account, amount)
    book.note(account.account_id, "ledger.debt-repaid.v1")


def lower_debts(account: Account, amount: int) -> None:
    """Take so much off the oldest debts."""
    for debt in account.debts:
        part = min(amount, debt.amount)
        debt.amount -= part
        amount -= part
    account.debts = [debt for debt in account.debts if debt.amount]
