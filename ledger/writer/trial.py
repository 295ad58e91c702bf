"""What would happen: commands decided one after another on copies, so that nothing is touched if one is refused."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from ledger import errors
from ledger.domain.account import Account, decode_account, encode_account
from ledger.domain.budgets import Budgets
from ledger.domain.commands import AccountCommand, TransferCredits
from ledger.domain.debts import consequences
from ledger.domain.decide import decide
from ledger.domain.events import AccountEvent, CreditsTransferredIn
from ledger.domain.evolve import Rows, evolve
from ledger.domain.rules.grants import due
from ledger.domain.rules.known import Known


def copy_of(known: Known, account_ids: Sequence[UUID], hold_ids: Sequence[UUID]) -> Known:
    """A deep copy of what a request names, on which it may be tried."""
    holds = {
        hold_id: msgspec.structs.replace(known.rows.holds[hold_id])
        for hold_id in hold_ids
        if hold_id in known.rows.holds
    }
    ended = {key: msgspec.structs.replace(grant) for key, grant in known.rows.ended.items()}
    accounts = {account_id: decode_account(encode_account(known.accounts[account_id])) for account_id in account_ids}
    budgets = Budgets(known.budgets.known.values(), dict(known.budgets.used_ucr))
    return Known(known.now, Rows(holds, ended), budgets, accounts)


def expire_due(known: Known, position: int) -> None:
    """Let what is due expire on copies."""
    for account in known.accounts.values():
        _expire(known, account, position)


def try_out(known: Known, commands: Sequence[AccountCommand], position: int) -> None:
    """Do commands on copies, to see whether all are accepted.

    :raises errors.Refusal: the first that is refused; of several, ``linked_index`` says which.
    """
    for index, command in enumerate(commands):
        account = known.accounts[command.account_id]
        try:
            events = decide(account, known, command)
        except errors.Refusal as refusal:
            if len(commands) > 1:
                refusal.facts = {**refusal.facts, "linked_index": index}
            raise
        accounts = touched_by(account, known, command)
        for event in events:
            target = accounts[-1] if type(event) is CreditsTransferredIn else account
            _apply(known, target, event, position)
        for touched in accounts:
            while follows := consequences(touched, known.now):
                _apply(known, touched, follows, position)
            _expire(known, touched, position)


def touched_by(account: Account, known: Known, command: AccountCommand) -> tuple[Account, ...]:
    """The accounts that a command changes, the one that receives a transfer last."""
    if type(command) is TransferCredits:
        return (account, known.accounts[command.to_account_id])
    return (account,)


def _expire(known: Known, account: Account, position: int) -> None:
    for event in due(account, known.now):
        _apply(known, account, event, position)


def _apply(known: Known, account: Account, event: AccountEvent, position: int) -> None:
    hold = evolve(account, known.rows, event, known.now, position)
    if hold is not None and hold.budgets:
        known.budgets.apply(event, hold.budgets)
