"""What is asked about is known to whoever asked, however little is remembered and whoever asks meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, cast
from uuid import UUID

import pytest

from api.ledger.owners import Held, KnownOwners

ORGANISATION, ACCOUNT = UUID(int=1), UUID(int=2)
KEPT = 20


def uuids(first: int, many: int) -> list[UUID]:
    """So many ids."""
    return [UUID(int=first + index) for index in range(many)]


class Everything:
    """Owners that know any id, and a crossing that turns the event loop and does what it is told to meanwhile."""

    def __init__(self) -> None:
        self.asked: list[UUID] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def of_accounts(self, account_ids: Collection[UUID]) -> dict[UUID, UUID]:
        self.asked += account_ids
        return dict.fromkeys(account_ids, ORGANISATION)

    def of_holds(self, hold_ids: Collection[UUID]) -> dict[UUID, tuple[UUID, UUID, UUID | None]]:
        self.asked += hold_ids
        return dict.fromkeys(hold_ids, (ACCOUNT, ORGANISATION, None))

    async def call(self, function: Callable[[Any], Any], wanted: Any) -> Any:
        await asyncio.sleep(0)
        self.meanwhile()
        return function(wanted)


def known_owners() -> tuple[KnownOwners, Everything]:
    """Owners that remember twenty of a kind, and what they ask."""
    everything = Everything()
    return KnownOwners(cast("Any", everything), cast("Any", everything), KEPT), everything


def assert_known(owners: KnownOwners, accounts: Collection[UUID], holds: Collection[UUID]) -> None:
    """All of these are known."""
    assert all(owners.owns(ORGANISATION, one) for one in accounts)
    assert all(owners.hold(one) == Held(ACCOUNT, ORGANISATION, None) for one in holds)


@pytest.mark.parametrize("many", [1, KEPT, 3 * KEPT])
def test_the_oldest_that_a_request_names_is_not_forgotten_for_its_newest(many: int) -> None:
    owners, _ = known_owners()
    old_accounts, old_holds = uuids(1_000, KEPT), uuids(2_000, KEPT)
    asyncio.run(owners.learn(old_accounts, old_holds))
    accounts, holds = [old_accounts[0], *uuids(3_000, many)], [old_holds[0], *uuids(4_000, many)]
    asyncio.run(owners.learn(accounts, holds))
    assert_known(owners, accounts, holds)


def test_what_others_open_meanwhile_makes_nobody_forget_what_is_asked_about() -> None:
    owners, everything = known_owners()
    accounts, holds = uuids(1_000, 2), uuids(2_000, 2)
    asyncio.run(owners.learn(accounts[:1], holds[:1]))

    def opened() -> None:
        for hold_id in uuids(5_000, 2 * KEPT):
            owners.opened(hold_id, ACCOUNT, ORGANISATION)

    everything.meanwhile = opened
    asyncio.run(owners.learn(accounts, holds))
    assert_known(owners, accounts, holds)


def test_what_is_remembered_is_bounded_and_not_asked_for_again() -> None:
    owners, everything = known_owners()
    for first in range(0, 10 * KEPT, 5):
        asyncio.run(owners.learn(uuids(1_000 + first, 5), uuids(2_000 + first, 5)))
        owners.opened(UUID(int=3_000 + first), ACCOUNT, ORGANISATION)
        assert len(owners._accounts) <= KEPT and len(owners._holds) <= KEPT
    before = list(everything.asked)
    asyncio.run(owners.learn(uuids(1_000 + 10 * KEPT - 5, 5), uuids(2_000 + 10 * KEPT - 5, 5)))
    assert everything.asked == before
