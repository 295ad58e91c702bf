"""A mistake that the ledger finds is told at its place in the body, by the name that it has there."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from api.ledger.asked import Asked, Group
from api.ledger.kinds import KINDS
from api.ledger.places import located
from ledger.domain import commands
from ledger.errors import InvalidRequest
from ledger.ports import Request

DEBIT = next(kind for kind in KINDS if kind.name == "debit")
SAID = InvalidRequest("somewhere", "expected something else")


def debit(**more: Any) -> commands.DebitCredits:
    """A debit with nothing wrong, unless it is said."""
    fields = {"account_id": UUID(int=1), "debit_id": UUID(int=2), "amount_ucr": 1, "reason": "r"} | more
    return commands.DebitCredits(**fields)


def request(*made: commands.DebitCredits, key: str = "k") -> Request:
    """A request for one, or for several together."""
    return Request(key=key, operation="o", command=made[0], linked=made[1:])


def at(where: str) -> Asked:
    """What was asked at a place; nothing else of it is looked at."""
    return Asked(DEBIT, None, "k", where=where)


def group(where: str, parts: int) -> Group:
    """So many operations together."""
    return Group([at(f"{where}/operations/{index}") for index in range(parts)], "k", None, False, where)


GOOD = (at("/operations/0"), request(debit()))
BUDGET = UUID(int=3)


@pytest.mark.parametrize(
    ("item", "wrong", "pointer"),
    [
        (at(""), request(debit(amount_ucr=0)), "/amount"),
        (at("/operations/1"), request(debit(amount_ucr=0)), "/operations/1/amount"),
        (at("/operations/1"), request(debit(budgets=(BUDGET, BUDGET))), "/operations/1/budgets"),
        (at("/operations/1"), request(debit(), key="k" * 256), "/operations/1/idempotency_key"),
        (group("/operations/1", 2), request(debit(), debit(reason="\0")), "/operations/1/operations/1/reason"),
        (group("/operations/1", 2), request(debit(amount_ucr=0), debit()), "/operations/1/operations/0/amount"),
        (group("/operations/1", 2), request(debit(), debit(), key=""), "/operations/1/idempotency_key"),
        (group("/operations/1", 40), request(*[debit()] * 40), "/operations/1/operations"),
    ],
)
def test_the_first_that_is_wrong_is_told_with_its_place(item: Asked | Group, wrong: Request, pointer: str) -> None:
    found = located(SAID, [GOOD, (item, wrong), (at("/operations/2"), request(debit(reason="\0")))])
    assert [fault.pointer for fault in found.faults] == [pointer]


def test_what_is_found_in_none_is_told_as_it_was_said() -> None:
    found = located(SAID, [GOOD])
    assert [(fault.pointer, fault.detail) for fault in found.faults] == [("/somewhere", "expected something else")]
