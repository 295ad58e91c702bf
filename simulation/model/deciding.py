"""One command on the model's book, with all that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from ledger.domain import commands
from ledger.domain.commands import Command
from simulation.model import accounts, budgets, grants, moving, spending
from simulation.model.debts import settle
from simulation.model.state import Book

Rule = Callable[[Book, Any, datetime], None]


def _timeless(rule: Callable[[Book, Any], None]) -> Rule:
    return lambda book, asked, _now: rule(book, asked)


def _nothing(book: Book, asked: Any, _now: datetime) -> None:
    book.account(asked.account_id)


_RULES: dict[type[Command], Rule] = {
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
    commands.SetBudget: _timeless(budgets.set_budget),
}


def decide(book: Book, command: Command, now: datetime) -> None:
    """Do a command.

    :raises No: it is refused; the book is unchanged.
    """
    _RULES[type(command)](book, command, now)
    if isinstance(command, commands.SetBudget):
        return
    settle(book, book.account(command.account_id), now)
    if isinstance(command, commands.TransferCredits):
        settle(book, book.account(command.to_account_id), now)
