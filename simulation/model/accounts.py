"""The life of an account."""

from __future__ import annotations

from ledger.domain import commands
from simulation.model.spending import must_be_open
from simulation.model.state import Account, Book, No


def open_account(book: Book, asked: commands.OpenAccount) -> None:
    """A new account."""
    if asked.account_id in book.accounts:
        raise No("account-exists", account_id=str(asked.account_id))
    book.accounts[asked.account_id] = Account(
        asked.account_id, asked.organisation_id, asked.max_open_holds, asked.overdraft_limit_ucr
    )
    book.note(asked.account_id, "ledger.account-opened.v1")


def set_policy(book: Book, asked: commands.SetPolicy) -> None:
    """Other limits."""
    account = book.account(asked.account_id)
    must_be_open(account)
    if (account.max_open_holds, account.overdraft_limit) == (asked.max_open_holds, asked.overdraft_limit_ucr):
        return
    account.max_open_holds = asked.max_open_holds
    account.overdraft_limit = asked.overdraft_limit_ucr
    book.note(asked.account_id, "ledger.account-policy-set.v1")


def freeze(book: Book, asked: commands.FreezeAccount) -> None:
    """Stop new spending."""
    account = book.account(asked.account_id)
    must_be_open(account)
    if not account.frozen:
        account.frozen = True
        book.note(asked.account_id, "ledger.account-frozen.v1")


def unfreeze(book: Book, asked: commands.UnfreezeAccount) -> None:
    """Allow spending again."""
    account = book.account(asked.account_id)
    must_be_open(account)
    if account.frozen:
        account.frozen = False
        book.note(asked.account_id, "ledger.account-unfrozen.v1")


def close(book: Book, asked: commands.CloseAccount) -> None:
    """End an account on which nothing is left."""
    account = book.account(asked.account_id)
    must_be_open(account)
    if any(grant.live for grant in account.grants.values()) or account.open_holds or account.debt:
        raise No(
            "account-not-empty",
            account_id=str(asked.account_id),
            posted_ucr=account.posted,
            open_holds=account.open_holds,
            debt_ucr=account.debt,
        )
    account.closed = True
    book.note(asked.account_id, "ledger.account-closed.v1")
