"""Decide: an account, a command and what is known give events or a typed refusal. Pure; changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from ledger import errors
from ledger.domain import commands
from ledger.domain.account import Account
from ledger.domain.rules import accounts, grants, holds, spending
from ledger.domain.rules.known import Decision, Known


def decide(account: Account, known: Known, command: commands.AccountCommand) -> Decision:
    """Events that a command causes; what is due has been applied before.

    A ``CreditsTransferredIn`` among them is for the account that the transfer names.

    :raises errors.Refusal: a rule says no.
    """
    if account.version == 0 and not isinstance(command, commands.OpenAccount):
        raise errors.AccountUnknown(account_id=str(command.account_id))
    return RULES[type(command)](account, known, command)


def _without_rows(rule: Callable[[Account, Any], Decision]) -> Callable[[Account, Known, Any], Decision]:
    return lambda account, _known, command: rule(account, command)


def _nothing(_account: Account, _known: Known, _command: commands.ExpireGrants) -> Decision:
    """What is due has been applied already."""
    return []


RULES: dict[type, Callable[[Account, Known, Any], Decision]] = {
    commands.OpenAccount: _without_rows(accounts.open_account),
    commands.SetPolicy: _without_rows(accounts.set_policy),
    commands.FreezeAccount: _without_rows(accounts.freeze),
    commands.UnfreezeAccount: _without_rows(accounts.unfreeze),
    commands.CloseAccount: _without_rows(accounts.close),
    commands.GrantCredits: grants.grant,
    commands.ExtendGrant: grants.extend,
    commands.FreezeGrant: grants.freeze,
    commands.UnfreezeGrant: grants.unfreeze,
    commands.RevokeCredits: grants.revoke,
    commands.HoldCredits: holds.hold,
    commands.RenewHold: holds.renew,
    commands.RaiseHold: holds.raise_hold,
    commands.CommitHold: holds.commit,
    commands.ReleaseHold: holds.release,
    commands.ExpireHold: holds.expire,
    commands.DebitCredits: spending.debit,
    commands.ReverseDebit: spending.reverse,
    commands.TransferCredits: spending.transfer,
    commands.AdjustBalance: spending.adjust,
    commands.ExpireGrants: _nothing,
}
assert set(RULES) == set(get_args(commands.AccountCommand)), "every command has its rule"
