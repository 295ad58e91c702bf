"""One command on the model's book, with all that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.domain import commands
from ledger.domain.commands import AccountCommand, Command
from simulation.model import accounts, budgets, grants, moving, spending
from simulation.model.debts import settle
from simulation.model.state import Book

Rule = Callable[[Book, Any, datetime], None]


def _timeless(rule: Callable[[Book, Any], None]) -> Rule:
    return lambda book, asked, _now: rule(book, asked)


def _nothing(book: Book, asked: Any, _now: datetime) -> None:
    book.account(asked.account_id)


_RULES: dict[type[AccountCommand], Rule] = {
    commands.OpenAccount: _timeless(accounts.open_account),
    commands.SetPolicy: _timeless(accounts.set_policy),
    commands.FreezeAccount: _timeless(accounts.freeze),
    commands.UnfreezeAccount: _timeless(accounts.unfreeze),
    commands.CloseAccount: _timeless(accounts.close),
    commands.GrantCredits: grants.give,
    commands.ExtendGrant: grants.extend,
    commands.FreezeGrant: _timeless(grants.freeze),
    commands.UnfreezeGrant: _timeless(grants.unfreeze),
    commands.RevokeCredits: _timeless(grants.revoke),
    commands.HoldCredits: spending.hold,
    commands.RenewHold: spending.renew,
    commands.RaiseHold: _timeless(spending.raise_hold),
    commands.CommitHold: spending.commit,
    commands.ReleaseHold: spending.release,
    commands.ExpireHold: spending.expire,
    commands.DebitCredits: spending.debit,
    commands.ReverseDebit: moving.reverse,
    commands.TransferCredits: _timeless(moving.transfer),
    commands.AdjustBalance: moving.adjust,
    commands.ExpireGrants: _nothing,
}


def decide(book: Book, command: Command, now: datetime) -> None:
    """Do a command.

    :raises No: it is refused; the book is unchanged.
    """
    if isinstance(command, commands.SetBudget):
        budgets.set_budget(book, command)
        return
    ids = [command.account_id, *([command.to_account_id] if isinstance(command, commands.TransferCredits) else [])]
    before = [_posted(book, one) for one in ids]
    _RULES[type(command)](book, command, now)
    effective_at = getattr(command, "effective_at", None) or now
    for account_id, posted in zip(ids, before, strict=True):
        change = _posted(book, account_id) - posted
        settle(book, book.account(account_id), now)
        grants.expire_due(book, book.account(account_id), now)
        book.moved.append((account_id, effective_at, change))
        book.moved.append((account_id, now, _posted(book, account_id) - posted - change))


def _posted(book: Book, account_id: UUID) -> int:
    account = book.accounts.get(account_id)
    return account.posted if account else 0
