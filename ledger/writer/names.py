"""Which rows a request names: the read-back under the lock asks for these and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from uuid import UUID

from msgspec import Struct

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


class Names(Struct, frozen=True, gc=False):
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
    first = _naming(type(command))(command)
    if not request.linked:
        return first
    every = [first, *(_naming(type(one))(one) for one in request.linked)]
    return Names(
        tuple(dict.fromkeys(one for named in every for one in named.accounts)),
        tuple(dict.fromkeys(one for named in every for one in named.holds)),
        tuple(dict.fromkeys(one for named in every for one in named.grants)),
        tuple(dict.fromkeys(one for named in every for one in named.budgets)),
    )


def _of_hold(command: Any) -> Names:
    return Names((command.account_id,), (command.hold_id,))


def _of_grant(command: Any) -> Names:
    return Names((command.account_id,), (), ((command.account_id, command.grant_id),))


def _of_account(command: Any) -> Names:
    return Names((command.account_id,))


_NAMING: Mapping[type, Callable[[Any], Names]] = {
    SetBudget: lambda command: Names(budgets=(command.budget_id,)),
    HoldCredits: lambda command: Names((command.account_id,), (command.hold_id,), (), command.budgets),
    DebitCredits: lambda command: Names((command.account_id,), (command.debit_id,), (), command.budgets),
    ReverseDebit: lambda command: Names((command.account_id,), (command.debit_id,)),
    AdjustBalance: lambda command: Names((command.account_id,), (), ((command.account_id, bucket_of(command)),)),
    TransferCredits: lambda command: Names((command.account_id, command.to_account_id)),
}
"""Commands that name more, or other things, than their fields tell by themselves."""


@cache
def _naming(kind: type[Command]) -> Callable[[Any], Names]:
    """How to tell what commands of a kind name."""
    if kind in _NAMING:
        return _NAMING[kind]
    if "hold_id" in kind.__struct_fields__:
        return _of_hold
    return _of_grant if "grant_id" in kind.__struct_fields__ else _of_account
