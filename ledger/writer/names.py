"""Which rows a request names: the read-back under the lock asks for these and no others."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from ledger.domain.commands import (
    AdjustBalance,
    Command,
    DebitCredits,
    HoldCredits,
    ReverseDebit,
    SetBudget,
    TransferCredits,
)
from ledger.domain.evolve import GrantKey
from ledger.domain.rules.spending import bucket_of
from ledger.ports import Request


class Names(NamedTuple):
    """Ids by kind; of the accounts the first is the one that answers."""

    accounts: tuple[UUID, ...] = ()
    holds: tuple[UUID, ...] = ()
    grants: tuple[GrantKey, ...] = ()
    budgets: tuple[UUID, ...] = ()


_NOTHING = Names()


def names(request: Request) -> Names:
    """All that a request's commands name."""
    command = request.command
    if command is None:
        return _NOTHING
    first = _names(command)
    if not request.linked:
        return first
    every = [first, *map(_names, request.linked)]
    return Names(*(tuple(dict.fromkeys(one for named in every for one in named[kind])) for kind in range(4)))  # type: ignore[arg-type]


def _names(command: Command) -> Names:
    if isinstance(command, SetBudget):
        return Names(budgets=(command.budget_id,))
    account_id = command.account_id
    match command:
        case HoldCredits():
            return Names((account_id,), (command.hold_id,), (), command.budgets)
        case DebitCredits():
            return Names((account_id,), (command.debit_id,), (), command.budgets)
        case ReverseDebit():
            return Names((account_id,), (command.debit_id,))
        case AdjustBalance():
            return Names((account_id,), (), ((account_id, bucket_of(command)),))
        case TransferCredits():
            return Names((account_id, command.to_account_id))
        case _:
            hold_id: UUID | None = getattr(command, "hold_id", None)
            grant_id: UUID | None = getattr(command, "grant_id", None)
            return Names(
                (account_id,),
                () if hold_id is None else (hold_id,),
                () if grant_id is None else ((account_id, grant_id),),
            )
