"""Opening and looking at top-ups, and taking notifications in, on the twins of ledger and rail."""

from __future__ import annotations

from uuid import UUID

import pytest

from payments.domain import events
from payments.domain.products import AmountProduct
from payments.errors import (
    KeyReused,
    NotificationRefused,
    RailUnavailable,
    RailUnknown,
    TooManyOpenTopUps,
    TopUpUnknown,
)
from payments.limits import NOTIFICATION_BYTES_MAX
from payments.rail import Hint, Instruction, OpenCharge
from payments.sandbox import signing
from payments.sweep import sweep_unopened
from tests.support.payments import CREDIT, SECRET, Story, payment_events, ref_of


@pytest.fixture
def story() -> Story:
    """Default policy."""
    return Story()


def test_a_topup_shows_where_to_pay_and_what_it_brings(story: Story) -> None:
    topup = story.opens()
    assert (topup.state, topup.flags, topup.missing_minor) == ("awaiting", (), 1_000)
    assert topup.charge is not None and topup.charge.instruction.url == f"https://tally.example/sandbox/{ref_of(topup)}"
    assert topup.quote.credits_ucr == 1_000 * CREDIT


def test_the_same_key_gives_the_same_topup_and_another_body_names_the_field(story: Story) -> None:
    first, again = story.opens(), story.opens()
    assert (first.topup_id, first.charges) == (again.topup_id, again.charges)
    assert (first.replayed, again.replayed) == (False, True)
    with pytest.raises(KeyReused) as refusal:
        story.opens(product=AmountProduct(2_000))
    assert refusal.value.facts == {"field": "product"}


def test_an_account_holds_at_most_five_open_quotes(story: Story) -> None:
    topups = [story.opens(f"k{number}") for number in range(5)]
    with pytest.raises(TooManyOpenTopUps) as refusal:
        story.opens("k5")
    assert refusal.value.facts == {"open_topups": 5, "max_open_topups": 5}
    assert story.opens("k3").topup_id == topups[3].topup_id
    story.world.clock.pass_s(16 * 60)
    story.opens("k5")


def test_an_unknown_rail_is_refused_before_anything_is_written(story: Story) -> None:
    with pytest.raises(RailUnknown):
        story.opens(rail="gold")
    assert payment_events(story.world.ledger) == []


def test_another_organisation_learns_nothing_of_a_topup(story: Story) -> None:
    topup = story.opens()
    stranger, _ = story.world.account()
    for organisation_id, topup_id in [(stranger, topup.topup_id), (story.organisation_id, UUID(int=5))]:
        with pytest.raises(TopUpUnknown) as refusal:
            story.world.service.get(organisation_id, topup_id)
        assert refusal.value.facts == {}


def test_another_stream_is_not_a_topup(story: Story) -> None:
    with pytest.raises(TopUpUnknown):
        story.world.service.get(story.organisation_id, story.account_id)


def test_a_forged_notification_is_refused_and_not_stored(story: Story) -> None:
    story.world.desk.pay(ref_of(story.opens()))
    [true] = story.world.courier.kept
    with pytest.raises(NotificationRefused) as refusal:
        story.world.service.receive("sandbox", true.headers, true.raw.replace(b"final", b"fINAL"))
    assert refusal.value.facts == {"reason": "forged"}
    with pytest.raises(NotificationRefused) as refusal:
        story.world.service.receive("sandbox", true.headers, b" " * (NOTIFICATION_BYTES_MAX + 1))
    assert refusal.value.facts == {"reason": "too-large"}
    assert story.world.tables.inbox == []


@pytest.mark.parametrize("ref", ["", "a\0b", "a\nb", "x" * 513])
def test_a_signed_notification_that_names_nothing_storable_is_refused(story: Story, ref: str) -> None:
    sent = signing.write(Hint(external_id="e", ref=ref), SECRET, story.world.clock.now())
    with pytest.raises(NotificationRefused, match="unreadable"):
        story.world.service.receive("sandbox", sent.headers, sent.raw)


def test_a_notification_of_a_rail_that_is_off_is_refused(story: Story) -> None:
    with pytest.raises(RailUnknown):
        story.world.service.receive("gold", {}, b"{}")


def test_a_charge_that_could_not_be_opened_is_opened_by_the_same_key_or_by_the_sweep(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_cmd: OpenCharge) -> Instruction:
        raise RailUnavailable(rail="sandbox", reason="time-out")

    with monkeypatch.context() as patch:
        patch.setattr(story.world.rail, "open", away)
        for key in ("one", "two"):
            with pytest.raises(RailUnavailable):
                story.opens(key)
    assert story.opens("one").charges
    assert story.world.driver.drive(sweep_unopened()) == 1
    assert story.opens("two").replayed
    charged = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ChargeOpened)]
    assert len(charged) == 2
