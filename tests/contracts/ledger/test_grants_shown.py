"""The grants of a balance are where its credits lie: free, held and frozen, now and then."""

from __future__ import annotations

from uuid import UUID

from ledger.domain import commands
from ledger.ports import Balance, GrantView
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, grant, hold, open_account

LIFETIME_S = 4
"""Long enough for a few commands on a slow machine."""


def shown(found: Balance | None) -> tuple[GrantView, ...]:
    """Its grants, in which all of it lies."""
    assert found is not None
    parts = [(one.free_ucr, one.held_ucr, one.frozen_ucr) for one in found.grants]
    sums = tuple(sum(part) for part in zip(*parts, strict=True)) if parts else (0, 0, 0)
    assert sums == (found.available_ucr, found.held_ucr, found.frozen_ucr)
    return found.grants


def parts(grants: tuple[GrantView, ...]) -> dict[UUID, tuple[int, int, int]]:
    """What is free, held and frozen of each, in whole credits."""
    return {one.grant_id: (one.free_ucr // CREDIT, one.held_ucr // CREDIT, one.frozen_ucr // CREDIT) for one in grants}


def freeze(world: World, account_id: UUID, grant_id: UUID) -> None:
    done(world.ledger, commands.FreezeGrant(account_id=account_id, grant_id=grant_id, reason="dispute"))


def test_what_is_frozen_lies_in_a_grant_before_and_after_its_end(world: World) -> None:
    account_id = open_account(world.ledger)
    ending = grant(world.ledger, account_id, 10 * CREDIT, lifetime_s=LIFETIME_S)
    staying = grant(world.ledger, account_id, 5 * CREDIT)
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    before = world.ledger.head()
    freeze(world, account_id, ending)
    frozen_at = world.ledger.head()
    assert parts(shown(world.ledger.balance(account_id))) == {ending: (0, 4, 6), staying: (5, 0, 0)}
    world.pass_s(LIFETIME_S + 0.2)
    assert parts(shown(world.ledger.balance(account_id))) == {ending: (0, 4, 6), staying: (5, 0, 0)}
    last = done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="x"))
    assert parts(shown(world.ledger.balance(account_id))) == {ending: (0, 0, 10), staying: (5, 0, 0)}
    then = world.ledger.balance_at(account_id, position=before)
    assert parts(shown(then)) == {ending: (6, 4, 0), staying: (5, 0, 0)}
    then = world.ledger.balance_at(account_id, position=frozen_at)
    assert parts(shown(then)) == {ending: (0, 4, 6), staying: (5, 0, 0)}
    for point in ({"position": world.ledger.head()}, {"recorded_at": last.recorded_at}):
        then = world.ledger.balance_at(account_id, **point)  # type: ignore[arg-type]
        assert parts(shown(then)) == {ending: (0, 0, 10), staying: (5, 0, 0)}


def test_an_ended_grant_of_which_nothing_is_left_is_not_shown(world: World) -> None:
    account_id = open_account(world.ledger)
    ending = grant(world.ledger, account_id, 10 * CREDIT, lifetime_s=LIFETIME_S)
    freeze(world, account_id, ending)
    done(world.ledger, commands.RevokeCredits(account_id=account_id, grant_id=ending, cause="dispute"))
    world.pass_s(LIFETIME_S + 0.2)
    assert shown(world.ledger.balance(account_id)) == ()
