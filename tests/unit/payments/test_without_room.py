"""Money for an account without room for its credits, or its debt: booked, told, and not asked about for ever."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ledger import limits
from ledger.domain import commands
from payments.domain import events
from payments.domain.settlement import Outcome
from tests.support.ledger import done
from tests.support.payments import CREDIT, Story, money_of, payment_events, ref_of

NO_ROOM = {"GRANTS_MAX": "too-many-grants", "POSTED_MAX_UCR": "balance-too-large"}
BOUNDS = {"GRANTS_MAX": 1, "POSTED_MAX_UCR": 1_000 * CREDIT}


@pytest.fixture
def story() -> Story:
    """Default policy; the account has one credit as a gift."""
    story = Story()
    gift = commands.GrantCredits(account_id=story.account_id, grant_id=uuid4(), amount_ucr=CREDIT, kind="promo")
    done(story.world.ledger, gift)
    return story


def spends(story: Story, amount: int) -> None:
    """Credits are used."""
    command = commands.DebitCredits(
        account_id=story.account_id, debit_id=uuid4(), amount_ucr=amount * CREDIT, reason="x"
    )
    done(story.world.ledger, command)


@pytest.mark.parametrize("bound", NO_ROOM)
def test_a_payment_that_finds_no_room_waits_for_a_human_and_is_not_tried_again(
    story: Story, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    with monkeypatch.context() as patch:
        patch.setattr(limits, bound, BOUNDS[bound])
        assert story.settles() == [Outcome("needs-human", NO_ROOM[bound])]
    [money] = money_of(story.world.ledger)
    assert (money.unapplied_micro, money.net_micro, money.grant_id, money.credits_ucr) == (10_000_000, 0, None, 0)
    [why] = [one for one in payment_events(story.world.ledger) if isinstance(one, events.ReceiptUnapplied)]
    assert (why.reason, why.unapplied_micro, why.account_id) == (NO_ROOM[bound], 10_000_000, story.account_id)
    assert "unapplied" in story.now(topup).flags
    assert {outcome.kind for outcome in story.sweeps()} == {"needs-human", "nothing-to-do"}
    assert (len(money_of(story.world.ledger)), story.posted) == (1, 1), "once, though there would be room now"
    assert all(row["outcome"] for row in story.world.tables.inbox), "nothing is left to be asked again"


@pytest.mark.parametrize("bound", NO_ROOM)
def test_a_part_that_finds_no_room_when_its_window_closes_stays_unapplied(
    story: Story, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, bound, {"GRANTS_MAX": 1, "POSTED_MAX_UCR": 400 * CREDIT}[bound])
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 400)
    assert story.settles() == [Outcome("appended", "partial")]
    story.world.clock.pass_s(15 * 60 + 1)
    assert story.sweeps()[-1] == Outcome("needs-human", NO_ROOM[bound])
    handled = len(story.world.tables.inbox)
    for _ in range(3):
        story.world.clock.pass_s(3_600)
        story.sweeps()
    assert len(story.world.tables.inbox) == handled, "nobody asks for ever"
    [money] = money_of(story.world.ledger)
    assert (money.unapplied_micro, story.posted) == (4_000_000, 1)


@pytest.mark.parametrize("bound", NO_ROOM)
def test_money_that_comes_back_and_finds_no_room_waits_in_suspense(
    story: Story, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = story.world.desk.pay(ref_of(story.opens()))
    story.settles()
    story.world.desk.progress(payment.external_id, "reversed")
    story.settles()
    monkeypatch.setattr(limits, bound, BOUNDS[bound])
    story.world.desk.progress(payment.external_id, "final")
    assert story.settles()[-1] == Outcome("needs-human", "restored")
    last = money_of(story.world.ledger)[-1]
    assert (last.suspense_micro, last.net_micro, last.grant_id, story.posted) == (10_000_000, 0, None, 1)


def test_money_that_goes_back_is_booked_though_the_account_may_owe_no_more(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment = story.world.desk.pay(ref_of(story.opens()))
    story.settles()
    spends(story, 500)
    monkeypatch.setattr(limits, "DEBT_MAX_UCR", CREDIT)
    story.world.desk.take_back(payment.external_id, "refund")
    assert story.settles()[-1] == Outcome("needs-human", "debt-too-large")
    [gone] = [one for one in payment_events(story.world.ledger) if isinstance(one, events.ReceiptReversed)]
    assert (gone.credits_revoked_ucr, gone.credits_kept_ucr, story.posted) == (0, 1_000 * CREDIT, 501)
    assert story.sweeps()[-1].kind != "appended"
