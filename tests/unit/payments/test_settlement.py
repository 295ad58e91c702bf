"""Every way a payment can go, from what the source says to the credits, on the twins of ledger and rail."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest

from ledger.domain import commands
from ledger.domain.codec import as_json
from ledger.errors import OutcomeUnknown
from ledger.ports import Request
from payments.domain import events
from payments.domain.entries import Situation
from payments.domain.policy import Policy
from payments.domain.products import PackProduct, PriceBook
from payments.domain.receipt import Granted, Receipt
from payments.domain.settle import Question, settle_ref
from payments.domain.settlement import Outcome, plan
from payments.errors import RailUnavailable
from payments.limits import SETTLE_ATTEMPTS_MAX
from payments.rail import Observation
from payments.sweep import sweep_changes, sweep_charges
from tests.support.ledger import done, refused
from tests.support.payments import CREDIT, Story, money_of, payment_events, ref_of, topups_of


@pytest.fixture
def story() -> Story:
    """Default policy."""
    return Story()


def test_a_paid_topup_is_credited_with_receipt_and_grant_in_one_append(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    assert story.settles() == [Outcome("appended", "exact")]
    topup = story.now(topup)
    assert (topup.state, topup.flags, topup.missing_minor, topup.charge) == ("credited", (), 0, None)
    assert (topup.credited_ucr, story.posted) == (1_000 * CREDIT, 1_000)
    log = story.world.ledger.log(after=0, limit=100)
    tags = [event.tag for event in log[-3:]]
    assert tags == ["ledger.credits-granted.v1", "payments.receipt-final.v1", "payments.topup-credited.v1"]
    assert len({event.key_hash for event in log[-3:]}) == 1
    [money] = money_of(story.world.ledger)
    assert (money.value_micro, money.net_micro, money.currency, money.generation) == (10_000_000, 10_000_000, "USD", 1)


def test_the_grant_carries_cost_basis_list_value_and_receipt(story: Story) -> None:
    topup = story.opens(product=PackProduct("studio"))
    story.world.desk.pay(ref_of(topup))
    story.settles()
    [money] = money_of(story.world.ledger)
    recorded = next(e for e in story.world.ledger.stream(story.account_id) if "granted" in e.tag)
    state = as_json(recorded).decode()
    for expected in (
        '"cost_micro":50000000',
        '"list_value_micro":52500000',
        f'"receipt_id":"{money.receipt_id}"',
        f'"grant_id":"{money.grant_id}"',
        '"amount_ucr":5250000000',
    ):
        assert expected in state


def test_a_lost_notification_is_found_by_the_sweep(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    assert story.sweeps() == [Outcome("appended", "exact")]
    assert story.posted == 1_000


def test_invariant_25_notification_and_sweep_together_credit_once(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    story.world.courier.deliver(times=3)
    story.world.driver.drive(sweep_changes("sandbox"))
    story.world.driver.drive(sweep_charges())
    assert sorted(outcome.kind for outcome in story.settles()) == ["appended", "nothing-to-do"]
    assert story.posted == 1_000


def test_a_notification_moves_nothing_if_the_source_does_not_know_it(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    [true] = story.world.courier.kept
    story.world.store._movements.clear()
    story.world.service.receive("sandbox", true.headers, true.raw)
    assert story.settles()[0] == Outcome("nothing-to-do")
    assert story.posted == 0


def test_a_partial_payment_waits_and_the_rest_completes_it(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 400)
    assert story.settles() == [Outcome("appended", "partial")]
    topup = story.now(topup)
    assert (topup.state, topup.flags, topup.received_minor, topup.missing_minor) == ("awaiting", ("partial",), 400, 600)
    assert story.posted == 0
    story.world.desk.pay(ref_of(topup), 600)
    story.settles()
    topup = story.now(topup)
    assert (topup.state, topup.missing_minor, topup.credited_ucr, story.posted) == (
        "credited",
        0,
        1_000 * CREDIT,
        1_000,
    )


def test_a_partial_payment_is_credited_at_the_quotes_rate_when_the_window_closes(story: Story) -> None:
    topup = story.opens(product=PackProduct("studio"))
    story.world.desk.pay(ref_of(topup), 2_000)
    story.settles()
    story.world.clock.pass_s(15 * 60 + 1)
    story.sweeps()
    topup = story.now(topup)
    assert (topup.state, topup.flags, topup.credited_ucr) == ("credited", ("partial",), 2_100 * CREDIT)
    [applied] = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ReceiptApplied)]
    assert (applied.net_micro, applied.part, applied.source) == (20_000_000, 1, "unapplied")


def test_a_partial_payment_that_somebody_must_ask_about_stays_in_unapplied() -> None:
    story = Story(Policy(partial="ask"))
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 400)
    assert story.settles() == [Outcome("needs-human", "partial-ask")]
    story.world.clock.pass_s(3_600)
    story.sweeps()
    topup = story.now(topup)
    assert (topup.state, topup.flags, story.posted) == ("expired", ("partial", "unapplied"), 0)


def test_an_overpayment_is_credited_whole(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 1_500)
    story.settles()
    topup = story.now(topup)
    assert (topup.state, topup.flags, story.posted) == ("credited", ("over",), 1_500)


def test_an_excess_parked_by_setting_is_booked_with_the_grant() -> None:
    story = Story(Policy(excess="unapplied"))
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 1_050)
    assert story.settles() == [Outcome("needs-human", "excess")]
    [money] = money_of(story.world.ledger)
    assert (money.net_micro, money.unapplied_micro, story.posted) == (10_000_000, 500_000, 1_000)
    assert story.now(topup).flags == ("over", "unapplied")


def test_paying_twice_is_credited_twice_and_flagged(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay_twice(ref_of(topup))
    story.settles()
    topup = story.now(topup)
    assert (topup.state, topup.flags, topup.received_minor, story.posted) == ("credited", ("several",), 2_000, 2_000)


def test_a_late_payment_is_never_lost(story: Story) -> None:
    topup = story.opens()
    story.world.clock.pass_s(15 * 60 + 1)
    story.sweeps()
    assert story.now(topup).state == "expired"
    story.world.clock.pass_s(30 * 24 * 3600)
    story.world.desk.pay(ref_of(topup))
    assert story.sweeps()[-1] == Outcome("appended", "late")
    assert (story.now(topup).state, story.now(topup).flags, story.posted) == ("credited", ("late",), 1_000)


def test_the_desk_pays_late_while_the_window_is_open(story: Story) -> None:
    topup = story.opens()
    story.world.desk.pay_late(ref_of(topup))
    story.settles()
    assert story.now(topup).flags == ("late",)


def test_a_failed_payment_says_so_and_a_second_try_still_counts(story: Story) -> None:
    topup = story.opens()
    story.world.desk.fail(ref_of(topup))
    assert story.settles() == [Outcome("appended", "failed")]
    assert (story.now(topup).state, story.posted) == ("failed", 0)
    story.world.desk.pay(ref_of(topup))
    story.settles()
    assert (story.now(topup).state, story.posted) == ("credited", 1_000)


def test_a_payment_on_its_way_is_shown_and_not_credited(story: Story) -> None:
    topup = story.opens()
    payment = story.world.desk.pay(ref_of(topup), state="seen")
    story.settles()
    assert (story.now(topup).state, story.posted) == ("seen", 0)
    story.world.desk.progress(payment.external_id, "confirming", 1)
    story.settles()
    shown = story.now(topup)
    assert shown.charge is not None
    assert (shown.state, shown.charge.confirmations, story.posted) == ("confirming", 1, 0)
    story.world.desk.progress(payment.external_id, "final", 2)
    story.settles()
    assert (story.now(topup).state, story.posted) == ("credited", 1_000)


def test_money_without_a_topup_goes_to_suspense_once(story: Story) -> None:
    story.world.desk.pay_stray("USD", 700)
    assert story.settles() == [Outcome("needs-human", "no-top-up")]
    story.sweeps()
    [money] = money_of(story.world.ledger)
    assert (money.suspense_micro, money.topup_id, money.account_id) == (7_000_000, None, None)
    assert [type(e) for e in payment_events(story.world.ledger)] == [events.ReceiptFinal, events.SuspenseReceived]


@pytest.mark.parametrize(("asset", "amount_minor", "reason"), [("SHELLS", 500, "unknown-asset"), ("USD", 9, "dust")])
def test_what_has_no_value_is_listed_once_and_not_booked(
    story: Story, asset: str, amount_minor: int, reason: str
) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), amount_minor, asset=asset)
    assert story.settles() == [Outcome("appended", reason)]
    story.sweeps()
    listed = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ReceiptListed)]
    assert [(e.asset, e.amount_minor, e.reason) for e in listed] == [(asset, amount_minor, reason)]
    assert (money_of(story.world.ledger), story.now(topup).state) == ([], "awaiting")


def test_a_refused_grant_books_the_money_to_unapplied_with_the_reason(story: Story) -> None:
    story.account_id = UUID(int=77)
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    assert story.settles() == [Outcome("needs-human", "account-unknown")]
    [money] = money_of(story.world.ledger)
    assert (money.unapplied_micro, money.net_micro, money.grant_id) == (10_000_000, 0, None)
    [why] = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ReceiptUnapplied)]
    assert (why.reason, why.unapplied_micro) == ("account-unknown", 10_000_000)
    assert "unapplied" in story.now(topup).flags
    assert {outcome.kind for outcome in story.sweeps()} == {"needs-human", "nothing-to-do"}
    assert len(money_of(story.world.ledger)) == 1


def test_a_reversed_receipt_takes_its_credits_in_one_append_and_its_return_brings_them_once(story: Story) -> None:
    topup = story.opens()
    payment = story.world.desk.pay(ref_of(topup))
    story.settles()
    story.world.desk.progress(payment.external_id, "reversed")
    assert story.settles()[-1] == Outcome("appended", "reversed")
    assert (story.now(topup).flags, story.now(topup).received_minor) == (("reorganised",), 0)
    assert story.posted == 0
    log = story.world.ledger.log(after=0, limit=100)
    tags = ["ledger.credits-revoked.v1", "payments.receipt-reversed.v1", "payments.topup-reversed.v1"]
    assert [event.tag for event in log[-3:]] == tags
    assert len({event.key_hash for event in log[-3:]}) == 1
    story.world.desk.progress(payment.external_id, "final")
    assert story.settles()[-1] == Outcome("appended", "restored")
    story.sweeps()
    assert (story.posted, story.now(topup).received_minor) == (1_000, 1_000)
    first, second = money_of(story.world.ledger)
    assert (first.generation, second.generation, second.case, second.credits_ucr) == (1, 2, "restored", 1_000 * CREDIT)
    assert second.grant_id not in (None, first.grant_id)
    assert (first.value_micro, first.net_micro) == (second.value_micro, second.net_micro)


@pytest.mark.parametrize("cause", ["refund", "dispute"])
def test_feature_M2_4_a_refund_or_dispute_at_the_source_leaves_no_credits_to_spend(story: Story, cause: str) -> None:
    topup = story.opens()
    payment = story.world.desk.pay(ref_of(topup))
    story.settles()
    spends(story, 400)
    story.world.desk.take_back(payment.external_id, cause)
    assert story.settles()[-1] == Outcome("appended", "reversed")
    assert story.posted == -400, "what was spent is owed"
    assert story.now(topup).flags == ({"refund": "refunded", "dispute": "disputed"}[cause],)
    [gone] = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ReceiptReversed)]
    assert (gone.cause, gone.credits_revoked_ucr, gone.credits_kept_ucr) == (cause, 1_000 * CREDIT, 0)
    refusal = refused(story.world.ledger, debit(story, 1))
    assert refusal.code == "insufficient-credits"


def test_feature_M2_4_a_payment_that_comes_back_repays_what_was_owed_for_it(story: Story) -> None:
    payment = story.world.desk.pay(ref_of(story.opens()))
    story.settles()
    spends(story, 400)
    story.world.desk.take_back(payment.external_id, "dispute")
    story.settles()
    story.world.desk.progress(payment.external_id, "final")
    assert story.settles()[-1] == Outcome("appended", "restored")
    assert story.posted == 600


def test_feature_M2_4_credits_that_an_operator_took_before_do_not_keep_a_reversal_from_the_rest(story: Story) -> None:
    topup = story.opens()
    first = story.world.desk.pay(ref_of(topup))
    story.settles()
    [money] = money_of(story.world.ledger)
    assert money.grant_id is not None
    done(
        story.world.ledger,
        commands.RevokeCredits(account_id=story.account_id, grant_id=money.grant_id, cause="refund"),
    )
    story.world.desk.take_back(first.external_id, "refund")
    assert story.settles()[-1] == Outcome("appended", "reversed")
    [gone] = [e for e in payment_events(story.world.ledger) if isinstance(e, events.ReceiptReversed)]
    assert (gone.credits_revoked_ucr, gone.credits_kept_ucr, story.posted) == (0, 0, 0)


def test_money_that_comes_back_to_a_closed_account_waits_in_suspense(story: Story) -> None:
    payment = story.world.desk.pay(ref_of(story.opens()))
    story.settles()
    story.world.desk.progress(payment.external_id, "reversed")
    story.settles()
    done(story.world.ledger, commands.CloseAccount(account_id=story.account_id, reason="asked"))
    story.world.desk.progress(payment.external_id, "final")
    assert story.settles()[-1] == Outcome("needs-human", "restored")
    last = money_of(story.world.ledger)[-1]
    assert (last.suspense_micro, last.net_micro, last.grant_id, story.posted) == (10_000_000, 0, None, 0)


def test_all_that_a_reversed_receipt_brought_is_taken_back_together(story: Story) -> None:
    now = reversed_situation(story, grants=2)
    found = plan(now, story.world.terms)
    assert found is not None
    named = [found.request.command, *found.request.linked]
    assert [one.grant_id for one in named if isinstance(one, commands.RevokeCredits)] == [UUID(int=0), UUID(int=1)]


def test_a_receipt_of_which_credits_were_kept_grants_nothing_when_it_returns(story: Story) -> None:
    now = reversed_situation(story, grants=1)
    gone = msgspec.structs.replace(now.receipt, state="reversed", revoked_ucr=CREDIT)
    for kept_ucr, case in ((0, "appended"), (5, "needs-human")):
        receipt = msgspec.structs.replace(gone, credits_ucr=kept_ucr, grants=())
        seen = msgspec.structs.replace(now.seen, state="final")
        found = plan(msgspec.structs.replace(now, receipt=receipt, seen=seen), story.world.terms)
        assert found is not None
        assert (found.outcome.kind, found.request.command is not None) == (case, kept_ucr == 0)


def reversed_situation(story: Story, grants: int) -> Situation:
    """A final receipt, of several grants, whose money the source has taken back."""
    topup = story.opens()
    payment = story.world.desk.pay(ref_of(topup))
    seen = msgspec.structs.replace(payment.observed(), state="reversed")
    granted = tuple(Granted(UUID(int=n), story.account_id, CREDIT) for n in range(grants))
    value_micro = story.world.terms.value(seen)
    assert value_micro is not None
    receipt = Receipt(
        receipt_id=uuid4(),
        version=1,
        state="final",
        generation=1,
        net_micro=value_micro,
        credits_ucr=grants * CREDIT,
        grants=granted,
    )
    [opened] = topups_of(story.world.ledger)
    return Situation(seen=seen, receipt=receipt, topup=opened, currency="USD")


def debit(story: Story, amount: int) -> commands.DebitCredits:
    return commands.DebitCredits(
        account_id=story.account_id, debit_id=uuid4(), amount_ucr=amount * CREDIT, reason="test"
    )


def spends(story: Story, amount: int) -> None:
    done(story.world.ledger, debit(story, amount))


def test_a_payment_reversed_before_it_was_final_only_fails(story: Story) -> None:
    topup = story.opens()
    payment = story.world.desk.pay(ref_of(topup), state="seen")
    story.settles()
    story.world.desk.progress(payment.external_id, "reversed")
    assert story.settles()[-1] == Outcome("appended", "failed")
    assert money_of(story.world.ledger) == []


def test_a_rail_that_is_away_delays_and_loses_nothing(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))

    def away(_ref: str) -> list[Observation]:
        raise RailUnavailable(rail="sandbox", reason="time-out")

    with monkeypatch.context() as patch:
        patch.setattr(story.world.rail, "lookup", away)
        [waiting] = story.settles()
    assert (waiting.kind, waiting.detail) == (None, "rail-unavailable (rail=sandbox, reason=time-out)")
    story.world.clock.pass_s(2)
    assert story.settles() == [Outcome("appended", "exact")]


def test_an_answer_that_got_lost_is_unknown_and_never_failed(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    submit = story.world.ledger.submit

    def lost(request: Request, **more: float) -> None:
        submit(request, **more)
        raise OutcomeUnknown("no acknowledgement")

    with monkeypatch.context() as patch:
        patch.setattr(story.world.ledger, "submit", lost)
        [waiting] = story.settles()
    assert waiting.kind is None
    story.world.clock.pass_s(2)
    assert story.settles() == [Outcome("nothing-to-do")]
    assert story.posted == 1_000


def test_prices_may_change_and_what_was_quoted_stays(story: Story) -> None:
    topup = story.opens()
    story.world.terms.prices._books += (
        PriceBook(version="dear", valid_from=story.world.clock.now() + timedelta(seconds=1), list_price_micro=20_000),
    )
    story.world.clock.pass_s(60)
    story.world.desk.pay(ref_of(topup))
    story.settles()
    assert (story.posted, story.world.service.price_book().version) == (1_000, "dear")


def test_a_payment_in_many_small_parts_is_credited_when_its_window_closes(story: Story) -> None:
    topup = story.opens()
    for _ in range(2 * SETTLE_ATTEMPTS_MAX):
        story.world.desk.pay(ref_of(topup), 50)
    story.settles()
    assert (story.now(topup).received_minor, story.posted) == (50 * 2 * SETTLE_ATTEMPTS_MAX, 0)
    story.world.clock.pass_s(16 * 60)
    once = Question(rail="sandbox", ref=ref_of(topup), now=story.world.clock.now())
    assert story.world.driver.drive(settle_ref(once, story.world.terms)) == Outcome("appended", "window-closed")
    assert story.posted == 50 * 2 * SETTLE_ATTEMPTS_MAX
