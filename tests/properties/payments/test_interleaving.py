"""Several settlers on the same top-up, one step at a time in every order: who loses the race reads again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain.verdicts import Answer, Refused
from ledger.ports import Request
from ledger.sansio import Submit
from payments.domain.settle import Question, settle, settle_ref
from payments.domain.settlement import Outcome
from payments.drivers import ask
from payments.effects import PaymentCore, ReadStream
from payments.errors import SettlementPostponed
from payments.limits import RECEIVED_MINOR_MAX, SETTLE_ATTEMPTS_MAX
from tests.support.payments import START, Story, money_of, ref_of

Submitting = Callable[[Request], Answer]


def answered(story: Story, effect: Any, submit: Submitting | None = None) -> Any:
    """Answer one effect at once."""
    if isinstance(effect, ReadStream):
        return story.world.ledger.stream(effect.stream_id)
    if isinstance(effect, Submit):
        return (submit or story.world.ledger.submit)(effect.request)
    return ask(story.world.driver.rails, effect)


def run(story: Story, core: PaymentCore[Outcome], submit: Submitting | None = None) -> Outcome:
    """One core to its end."""
    try:
        told = None
        while True:
            told = answered(story, core.send(told), submit)
    except StopIteration as end:
        return end.value


def run_together(story: Story, cores: list[PaymentCore[Outcome]], turns: list[int]) -> list[Outcome]:
    """All cores to their ends, one effect at a time in the order of ``turns``, over and over."""
    told: dict[int, Any] = dict.fromkeys(range(len(cores)))
    ended: dict[int, Outcome] = {}
    turn = 0
    while len(ended) < len(cores):
        waiting = [number for number in told if number not in ended]
        number = waiting[(turns[turn % len(turns)] + turn // len(turns)) % len(waiting)]
        turn += 1
        try:
            told[number] = answered(story, cores[number].send(told[number]))
        except StopIteration as end:
            ended[number] = end.value
    return [ended[number] for number in range(len(cores))]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=40), st.sampled_from([(1_000,), (400, 600), (1_000, 1_000)]))
def test_invariant_25_settlers_in_any_interleaving_credit_each_payment_once(
    turns: list[int], payments: tuple[int, ...]
) -> None:
    story = Story()
    topup = story.opens()
    for amount_minor in payments:
        story.world.desk.pay(ref_of(topup), amount_minor)
    asked = Question(rail="sandbox", ref=ref_of(topup), now=START)
    outcomes = run_together(story, [settle_ref(asked, story.world.terms) for _ in range(3)], turns)
    assert len(money_of(story.world.ledger)) == len(payments)
    assert story.posted == sum(payments)
    assert 1 <= [outcome.kind for outcome in outcomes].count("appended") <= len(payments) + 1


def test_a_settler_that_always_loses_gives_up_for_now_and_writes_nothing() -> None:
    story = Story()
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    conflict = Refused(code="stream-conflict", facts={}, transient=True, recorded_at=START)
    lost: list[Request] = []

    def loses(request: Request) -> Answer:
        lost.append(request)
        return Answer(conflict)

    asked = Question(rail="sandbox", ref=ref_of(topup), now=START)
    with pytest.raises(SettlementPostponed) as refusal:
        run(story, settle_ref(asked, story.world.terms), loses)
    assert refusal.value.facts == {"reason": "contended"}
    assert (len(lost), money_of(story.world.ledger)) == (SETTLE_ATTEMPTS_MAX, [])


@pytest.mark.parametrize("code", ["clock-skew", "version-conflict"])
def test_a_refusal_that_may_pass_is_asked_again_and_never_parks_money(code: str) -> None:
    story = Story()
    topup = story.opens()
    story.world.desk.pay(ref_of(topup))
    refused = Refused(code=code, facts={}, transient=True, recorded_at=START)
    asked = Question(rail="sandbox", ref=ref_of(topup), now=START)
    with pytest.raises(SettlementPostponed, match=code):
        run(story, settle_ref(asked, story.world.terms), lambda _request: Answer(refused))
    assert run(story, settle_ref(asked, story.world.terms)) == Outcome("appended", "exact")


def test_a_partial_payment_whose_grant_is_refused_stays_in_unapplied_for_somebody_to_see() -> None:
    story = Story()
    story.account_id = UUID(int=77)
    topup = story.opens()
    story.world.desk.pay(ref_of(topup), 400)
    assert story.settles() == [Outcome("appended", "partial")]
    story.world.clock.pass_s(16 * 60)
    assert story.sweeps()[-1] == Outcome("needs-human", "account-unknown")
    [money] = money_of(story.world.ledger)
    assert (money.unapplied_micro, story.now(topup).credited_ucr) == (4_000_000, 0)


@pytest.mark.parametrize("amount_minor", [0, -1, RECEIVED_MINOR_MAX + 1])
def test_an_amount_that_cannot_be_is_shown_to_somebody_and_not_booked(amount_minor: int) -> None:
    story = Story()
    payment = story.world.desk.pay(ref_of(story.opens()))
    odd = msgspec.structs.replace(payment.observed(), amount_minor=amount_minor)
    assert run(story, settle(odd, story.world.terms)) == Outcome("needs-human", "amount-out-of-range")
    assert money_of(story.world.ledger) == []


def test_money_that_goes_out_is_never_settled() -> None:
    story = Story()
    payment = story.world.desk.pay(ref_of(story.opens()))
    out = msgspec.structs.replace(payment.observed(), direction="out")
    assert run(story, settle(out, story.world.terms)) == Outcome("nothing-to-do")


def test_a_receipt_that_comes_back_with_another_value_waits_in_suspense() -> None:
    story = Story()
    payment = story.world.desk.pay(ref_of(story.opens()))
    story.settles()
    story.world.desk.progress(payment.external_id, "reversed")
    story.settles()
    back = msgspec.structs.replace(payment.observed(), amount_minor=900)
    assert run(story, settle(back, story.world.terms)) == Outcome("needs-human", "restored")
    last = money_of(story.world.ledger)[-1]
    assert (last.generation, last.suspense_micro, last.net_micro, story.posted) == (2, 9_000_000, 0, 0)
