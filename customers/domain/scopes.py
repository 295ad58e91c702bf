"""What a key may do. Every route names one scope; a key without it is refused, naming it."""

from __future__ import annotations

from collections.abc import Iterable

from customers.errors import InvalidField, ScopeMissing

MEANINGS = {
    "balance:read": "See balance and holds.",
    "statement:read": "See the statement.",
    "topups:read": "See top-ups.",
    "topups:write": "Order top-ups.",
    "jobs:read": "See jobs, their progress and pictures.",
    "jobs:write": "Order and cancel jobs.",
    "keys:read": "See which keys there are.",
    "keys:write": "Make, rotate and revoke keys.",
    "ledger:read": "See the organisation's accounts as they are and as they were.",
    "ledger:write": "Hold, commit, release, debit and transfer credits, one by one or in batches.",
    "ledger:budgets": "Set budgets.",
    "ledger:accounts": "For operators: open and close accounts, and set their limits.",
    "ledger:grants": "For operators: give and extend credits.",
    "ledger:freeze": "For operators: freeze accounts and grants, and revoke credits.",
    "ledger:adjust": "For operators: undo debits, and propose adjustments.",
    "ledger:approve": "For operators: approve adjustments that somebody else proposed.",
}
SCOPES = frozenset(MEANINGS)
OPERATOR_SCOPES = frozenset(scope for scope, meaning in MEANINGS.items() if meaning.startswith("For operators:"))
"""What makes credits, or takes them away. No key has these unless an operator gave them to it."""

CUSTOMER_SCOPES = tuple(scope for scope in MEANINGS if scope not in OPERATOR_SCOPES)
"""What an organisation's first key may do: everything with what it has bought."""

_APART = frozenset({"ledger:adjust", "ledger:approve"})
"""One key never has both: whoever proposes with a key cannot make one that approves."""


def read_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Check scopes and put them in their canonical order.

    :raises InvalidField: unknown, none at all, or two that one key may not have.
    """
    wanted = set(scopes)
    if wanted >= _APART:
        raise InvalidField("scopes", f"at most one of {' and '.join(sorted(_APART))}")
    if not wanted or wanted - SCOPES:
        raise InvalidField("scopes", f"one or more of {', '.join(sorted(SCOPES))}")
    return tuple(scope for scope in MEANINGS if scope in wanted)


def require_within(wanted: Iterable[str], granted: Iterable[str]) -> None:
    """A key cannot give more than it has.

    :raises ScopeMissing: naming the first that it lacks.
    """
    lacking = sorted(set(wanted) - set(granted))
    if lacking:
        raise ScopeMissing(scope=lacking[0])
