"""Questions about the past, to every ledger alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from ledger.domain import commands
from ledger.errors import InvalidRequest
from ledger.ports import Balance
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, grant, hold, open_account


def balance_at(world: World, account_id: UUID, position: int) -> Balance:
    found = world.ledger.balance_at(account_id, position=position)
    assert found is not None
    return found


def test_invariant_29_a_balance_as_of_now_is_the_balance(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold(world.ledger, account_id, 4 * CREDIT)
    now = world.ledger.balance(account_id)
    assert now is not None
    then = balance_at(world, account_id, world.ledger.head())
    assert (then.posted_ucr, then.held_ucr, then.grants) == (now.posted_ucr, now.held_ucr, now.grants)
    assert (then.account_version, then.log_position) == (now.account_version, now.log_position)
    assert world.ledger.open_holds_at(account_id, position=world.ledger.head(), limit=9) == world.ledger.open_holds(
        account_id, limit=9
    )


def test_invariant_29_what_happened_later_or_to_others_is_not_in_the_past(world: World) -> None:
    account_id, other = open_account(world.ledger, credit=10), open_account(world.ledger)
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    held_at = world.ledger.head()
    grant(world.ledger, other, CREDIT)
    world.pass_s(0.01)
    verdict = done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=3 * CREDIT))
    for position in (held_at, held_at + 1):
        then = balance_at(world, account_id, position)
        assert (then.posted_ucr, then.held_ucr, then.open_holds) == (10 * CREDIT, 4 * CREDIT, 1)
        assert then.log_position == position
    before = verdict.recorded_at - timedelta(microseconds=1)
    assert world.ledger.balance_at(account_id, recorded_at=before) is not None
    (view,) = world.ledger.open_holds_at(account_id, recorded_at=before, limit=9)
    assert (view.hold_id, view.state, view.remaining_ucr) == (hold_id, "open", 4 * CREDIT)
    assert world.ledger.hold_at(hold_id, position=held_at) == view
    after = world.ledger.hold_at(hold_id, recorded_at=verdict.recorded_at)
    assert after == world.ledger.hold(hold_id) and after is not None and after.state == "committed"
    assert world.ledger.open_holds_at(account_id, recorded_at=verdict.recorded_at, limit=9) == []


def test_there_is_nothing_before_the_beginning(world: World) -> None:
    other = open_account(world.ledger, credit=1)
    before = world.ledger.head()
    account_id = open_account(world.ledger, credit=1)
    hold_id = hold(world.ledger, account_id, 1)
    assert world.ledger.balance_at(account_id, position=before) is None
    assert world.ledger.balance_at(account_id, recorded_at=datetime(2020, 1, 1, tzinfo=UTC)) is None
    assert world.ledger.open_holds_at(account_id, position=before, limit=9) == []
    assert world.ledger.hold_at(hold_id, position=before) is None
    assert world.ledger.hold_at(uuid4(), position=before) is None
    assert world.ledger.balance_at(uuid4(), position=before) is None
    assert world.ledger.posted_effective(uuid4(), datetime(2030, 1, 1, tzinfo=UTC)) is None
    assert balance_at(world, other, before).posted_ucr == CREDIT


def test_what_has_not_come_is_no_past(world: World) -> None:
    account_id = open_account(world.ledger)
    for position in (0, -1, world.ledger.head() + 1):
        with pytest.raises(InvalidRequest, match="position"):
            world.ledger.balance_at(account_id, position=position)
    with pytest.raises(InvalidRequest, match="recorded_at"):
        world.ledger.balance_at(account_id, recorded_at=datetime(2200, 1, 1, tzinfo=UTC))


def test_a_grant_that_was_due_is_left_out_as_of_a_time_and_its_end_is_no_event(world: World) -> None:
    account_id = open_account(world.ledger)
    grant(world.ledger, account_id, 2 * CREDIT, lifetime_s=1)
    granted_at = world.ledger.head()
    world.pass_s(1.2)
    verdict = done(world.ledger, commands.OpenAccount(account_id=uuid4(), organisation_id=uuid4()))
    assert balance_at(world, account_id, granted_at).available_ucr == 2 * CREDIT
    later = world.ledger.balance_at(account_id, recorded_at=verdict.recorded_at)
    assert later is not None and later.available_ucr == 0 and later.log_position == granted_at + 1
    found = world.ledger.posted_effective(account_id, verdict.recorded_at)
    assert found is not None and found.posted_ucr == 2 * CREDIT


def test_invariant_29_a_backdated_grant_counts_from_when_it_is_meant_for(world: World) -> None:
    account_id = open_account(world.ledger, credit=1)
    start = done(world.ledger, commands.SetPolicy(account_id=account_id)).recorded_at
    world.pass_s(0.01)
    meant = start - timedelta(days=40, seconds=0.25)
    grant(world.ledger, account_id, 5 * CREDIT, effective_at=meant)
    adjustment = commands.AdjustBalance(
        account_id=account_id,
        adjustment_id=uuid4(),
        amount_ucr=-2 * CREDIT,
        cause="correction",
        operator_id=uuid4(),
        approver_id=uuid4(),
        effective_at=meant + timedelta(seconds=0.1),
    )
    done(world.ledger, adjustment)

    def posted(at: datetime) -> int:
        found = world.ledger.posted_effective(account_id, at)
        assert found is not None and found.log_position == world.ledger.head()
        return found.posted_ucr // CREDIT

    assert posted(meant - timedelta(microseconds=1)) == 0
    assert (posted(meant), posted(meant + timedelta(seconds=0.09))) == (5, 5)
    assert posted(meant + timedelta(seconds=0.1)) == posted(start - timedelta(days=1)) == 3
    assert posted(start) == posted(datetime(2200, 1, 1, tzinfo=UTC)) == 4
    then = world.ledger.balance_at(account_id, recorded_at=start)
    assert then is not None and then.posted_ucr == CREDIT
