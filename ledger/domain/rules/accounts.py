"""Rules of an account's life: open, policy, frozen, closed."""

from __future__ import annotations

from ledger import errors
from ledger.domain import commands, events
from ledger.domain.account import Account
from ledger.domain.rules.known import Decision, may_receive


def open_account(account: Account, command: commands.OpenAccount) -> Decision:
    """Open an account once."""
    if account.version > 0:
        raise errors.AccountExists(account_id=str(command.account_id))
    return [
        events.AccountOpened(
            account_id=command.account_id,
            organisation_id=command.organisation_id,
            max_open_holds=command.max_open_holds,
            overdraft_limit_ucr=command.overdraft_limit_ucr,
        )
    ]


def set_policy(account: Account, command: commands.SetPolicy) -> Decision:
    """Change the policy; nothing follows for what is held."""
    may_receive(account)
    if (account.max_open_holds, account.overdraft_limit_ucr) == (command.max_open_holds, command.overdraft_limit_ucr):
        return []
    return [
        events.AccountPolicySet(max_open_holds=command.max_open_holds, overdraft_limit_ucr=command.overdraft_limit_ucr)
    ]


def freeze(account: Account, command: commands.FreezeAccount) -> Decision:
    """Stop new spending; freezing twice is once."""
    may_receive(account)
    return [] if account.status == "frozen" else [events.AccountFrozen(reason=command.reason)]


def unfreeze(account: Account, command: commands.UnfreezeAccount) -> Decision:
    """Allow spending again."""
    may_receive(account)
    return [] if account.status == "open" else [events.AccountUnfrozen(reason=command.reason)]


def close(account: Account, command: commands.CloseAccount) -> Decision:
    """End an empty account."""
    may_receive(account)
    if account.grants or account.open_holds or account.debts:
        raise errors.AccountNotEmpty(
            account_id=str(account.account_id),
            posted_ucr=account.posted_ucr,
            open_holds=account.open_holds,
            debt_ucr=account.debt_ucr,
        )
    return [events.AccountClosed(reason=command.reason)]
