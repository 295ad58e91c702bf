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
}
SCOPES = frozenset(MEANINGS)


def read_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Check scopes and put them in their canonical order.

    :raises InvalidField: unknown, or none at all.
    """
    wanted = set(scopes)
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
