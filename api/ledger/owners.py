"""Whose accounts and holds are: asked once, then known, because neither ever changes hands."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar
from uuid import UUID

from api.crossing import Crossing
from api.limits import OWNERS_KEPT_MAX
from api.services import Owners

T = TypeVar("T")


class Held(NamedTuple):
    """What a hold belongs to; ``job`` is None where no job of ours waits for it."""

    account_id: UUID
    organisation_id: UUID
    job: UUID | None


class KnownOwners:
    """What this process has learnt, bounded. Unknown ids are asked for again: they may exist by then."""

    def __init__(self, owners: Owners, crossing: Crossing, kept_max: int = OWNERS_KEPT_MAX) -> None:
        self._owners = owners
        self._crossing = crossing
        self._kept_max = kept_max
        self._accounts: dict[UUID, UUID] = {}
        self._holds: dict[UUID, Held] = {}

    async def learn(self, accounts: Collection[UUID], holds: Collection[UUID]) -> None:
        """Find out about these, unless they are known. At most two questions, whatever their number.

        What is asked about is known when this returns, and until the event loop turns again.
        """
        unknown_accounts = [one for one in accounts if one not in self._accounts]
        unknown_holds = [one for one in holds if one not in self._holds]
        if not unknown_accounts and not unknown_holds:
            return
        needed_accounts, needed_holds = _those(self._accounts, accounts), _those(self._holds, holds)
        if unknown_accounts:
            needed_accounts.update(await self._crossing.call(self._owners.of_accounts, unknown_accounts))
        if unknown_holds:
            found = await self._crossing.call(self._owners.of_holds, unknown_holds)
            needed_holds.update((hold_id, Held(*row)) for hold_id, row in found.items())
        _remember(self._accounts, needed_accounts, self._kept_max)
        _remember(self._holds, needed_holds, self._kept_max)

    def owns(self, organisation_id: UUID, account_id: UUID) -> bool:
        """Whether an account that was asked about is the organisation's."""
        return self._accounts.get(account_id) == organisation_id

    def hold(self, hold_id: UUID) -> Held | None:
        """What a hold that was asked about belongs to."""
        return self._holds.get(hold_id)

    def opened(self, hold_id: UUID, account_id: UUID, organisation_id: UUID) -> None:
        """A hold was opened here: nobody needs to ask about it."""
        self._holds[hold_id] = Held(account_id, organisation_id, None)
        if len(self._holds) > self._kept_max:
            _bound(self._holds, self._kept_max, needed=1)


def _those(known: dict[UUID, T], wanted: Collection[UUID]) -> dict[UUID, T]:
    """What is known of these."""
    return {one: known[one] for one in wanted if one in known}


def _remember(known: dict[UUID, T], needed: dict[UUID, T], most: int) -> None:
    """Make these the newest: others may have forgotten them meanwhile, and this request must not."""
    for one in needed:
        known.pop(one, None)
    known.update(needed)
    if len(known) > most:
        _bound(known, most, len(needed))


def _bound(known: dict[UUID, T], most: int, needed: int) -> None:
    """Forget the oldest tenth of what is too much, but none of the newest that are ``needed``."""
    surplus = len(known) - most + most // 10
    for one in list(known)[: min(surplus, len(known) - needed)]:
        del known[one]
