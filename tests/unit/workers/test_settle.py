"""Reserving and settling a job on the ledger in memory: one hold, one end, whatever is asked how often."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from ledger.domain import commands
from ledger.domain.codec import encode_event
from ledger.domain.verdicts import Answer, Refused
from ledger.errors import ConnectionLost, NotDone, OutcomeUnknown
from ledger.ports import Companion, Request
from ledger.sansio import Sleep, Submit
from ledger.store.memory import MemoryLedger
from tests.support.ledger import CREDIT, ManualClock, grant, request
from tests.unit.workers.test_job import ACCEPTED, OUTPUT
from workers.generation import events
from workers.generation.asking import HoldOf, Now, Stream
from workers.generation.job import Job, fold
from workers.generation.reserve import FINAL_REFUSALS, Held, NotHeld, at_accept, by_worker, ensure_hold, hold_id_of
from workers.generation.settle import Broken, Delivered, Overdue, SettlementStuck, Withdrawn, settle

FIRST, SECOND = UUID(int=101), UUID(int=102)
DELIVERED = Delivered(attempt_id=FIRST, outputs=(OUTPUT,), seed=7, gpu_ms=1_200, cost_micro=300)


class Bench:
    """A ledger in memory, an account with ten credits, and a driver whose ``meddle`` comes before each effect."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.account_id, self.organisation_id = uuid4(), uuid4()
        command = commands.OpenAccount(account_id=self.account_id, organisation_id=self.organisation_id)
        self.ledger.submit(request(command))
        self.grant_id = grant(self.ledger, self.account_id, 10 * CREDIT)
        self.meddle: Callable[[Any], None] = lambda _effect: None

    def drive(self, core: Generator[Any, Any, Any]) -> Any:
        answer, error = None, None
        try:
            while True:
                effect = core.throw(error) if error else core.send(answer)
                answer, error = None, None
                try:
                    self.meddle(effect)
                    answer = self.answer(effect)
                except (NotDone, OutcomeUnknown, ConnectionLost) as raised:
                    error = raised
        except StopIteration as end:
            return end.value

    def answer(self, effect: Any) -> Any:
        match effect:
            case Submit(asked):
                return self.ledger.submit(asked)
            case Stream(stream_id):
                return self.ledger.stream(stream_id)
            case HoldOf(hold_id):
                return self.ledger.hold(hold_id)
            case Now():
                return self.clock.now()
            case Sleep(seconds):
                return self.clock.pass_s(seconds)
            case _:
                raise AssertionError(effect)

    def acceptance(self, **values: Any) -> events.JobAccepted:
        job_id = uuid4()
        price_ucr = values.get("price_ucr", CREDIT)
        ids = {"job_id": job_id, "account_id": self.account_id, "organisation_id": self.organisation_id}
        return replace(ACCEPTED, **ids, hold_id=hold_id_of(job_id, 1) if price_ucr else None, **values)

    def order(self, **values: Any) -> Job:
        accepted = self.acceptance(**values)
        want = at_accept(accepted, key=str(accepted.job_id), body={}, now=self.clock.now())
        assert isinstance(self.drive(ensure_hold(want)), Held)
        return self.job(accepted.job_id)

    def waiting(self, **values: Any) -> Job:
        """A job that was accepted without a hold, as batches and schedules are."""
        accepted = replace(self.acceptance(**values), hold_id=None)
        companion = Companion(accepted.job_id, 0, (encode_event(accepted),))
        self.ledger.submit(
            Request(key=str(accepted.job_id), operation="x", scope_id=self.account_id, on_accept=(companion,))
        )
        return self.job(accepted.job_id)

    def job(self, job_id: UUID) -> Job:
        found = fold(self.ledger.stream(job_id))
        assert found is not None
        return found

    def tags(self, job: Job) -> list[str]:
        return [item.tag.split(".")[1] for item in self.ledger.stream(job.job_id)]

    @property
    def sums(self) -> tuple[int, int]:
        """Posted and held."""
        balance = self.ledger.balance(self.account_id)
        assert balance is not None
        return balance.posted_ucr, balance.held_ucr

    def settled(self, job: Job, outcome: Any) -> str:
        return self.drive(settle(job.job_id, outcome)).result


@pytest.fixture
def bench() -> Bench:
    return Bench()


# --- one end


@pytest.mark.parametrize(
    ("outcome", "result", "end", "posted"),
    [
        (DELIVERED, "given", "job-succeeded", 9 * CREDIT),
        (Broken(attempt_id=FIRST, code="failed", again=False), "ended", "job-failed", 10 * CREDIT),
        (Withdrawn(attempt_id=None), "ended", "job-cancelled", 10 * CREDIT),
        (Withdrawn(attempt_id=FIRST, charge_ucr=250_000), "ended", "job-cancelled", 10 * CREDIT - 250_000),
        (Withdrawn(attempt_id=FIRST, charge_ucr=99 * CREDIT), "ended", "job-cancelled", 9 * CREDIT),
    ],
)
def test_invariant_48_an_outcome_settles_once_however_often_it_is_told(
    bench: Bench, outcome: Any, result: str, end: str, posted: int
) -> None:
    job = bench.order()
    assert bench.sums == (10 * CREDIT, CREDIT)
    assert [bench.settled(job, outcome) for _ in range(3)] == [result] * 3
    assert bench.sums == (posted, 0)
    assert bench.tags(job) == ["job-accepted", end]


def test_invariant_50_overdue_waits_for_the_holds_end_and_then_ends_both(bench: Bench) -> None:
    job = bench.order(queue_limit_s=60, run_limit_s=30)
    assert bench.settled(job, Overdue()) == "not-due"
    bench.clock.pass_s(90.001)
    assert bench.settled(job, Overdue()) == "ended"
    assert (bench.sums, bench.tags(job)) == ((10 * CREDIT, 0), ["job-accepted", "job-expired"])


def test_a_broken_attempt_puts_the_job_back_once_with_its_hold(bench: Bench) -> None:
    job = bench.order()
    again = Broken(attempt_id=FIRST, code="lost", again=True, gpu_ms=50)
    assert [bench.settled(job, again) for _ in range(2)] == ["requeued"] * 2
    assert (bench.sums, bench.tags(job)) == ((10 * CREDIT, CREDIT), ["job-accepted", "job-requeued"])
    assert bench.settled(job, replace(DELIVERED, attempt_id=SECOND)) == "given"
    assert bench.sums == (9 * CREDIT, 0)


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Withdrawn(attempt_id=None), "late"),
        (Broken(attempt_id=SECOND, code="failed", again=False), "late"),
        (replace(DELIVERED, attempt_id=SECOND), "duplicate"),
    ],
)
def test_invariant_48_a_late_result_is_our_cost_recorded_once_and_never_charged(
    bench: Bench, first: Any, reason: str
) -> None:
    job = bench.order()
    bench.settled(job, first)
    before = bench.sums
    assert [bench.settled(job, DELIVERED) for _ in range(3)] == ["late"] * 3
    assert bench.sums == before
    last = events.job_event(bench.ledger.stream(job.job_id)[-1].state)
    assert last == events.JobCostRecorded(attempt_id=FIRST, reason=reason, gpu_ms=1_200, cost_micro=300)  # type: ignore[arg-type]
    assert bench.tags(job).count("job-cost-recorded") == 1


def test_invariant_47_a_result_whose_hold_is_gone_is_not_given_and_not_charged(bench: Bench) -> None:
    job = bench.order()
    assert job.hold_id is not None
    release = commands.ReleaseHold(account_id=bench.account_id, hold_id=job.hold_id, reason="by hand")
    bench.ledger.submit(request(release))
    assert bench.settled(job, DELIVERED) == "late"
    assert (bench.sums, bench.tags(job)[:2]) == ((10 * CREDIT, 0), ["job-accepted", "job-failed"])


def test_a_free_job_settles_without_a_command(bench: Bench) -> None:
    job = bench.order(price_ucr=0)
    assert job.hold_id is None
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (10 * CREDIT, 0)


def test_an_unknown_job_is_told(bench: Bench) -> None:
    assert bench.drive(settle(uuid4(), DELIVERED)).result == "unknown-job"


# --- what may come between


@pytest.mark.parametrize("error", [NotDone("queue full"), OutcomeUnknown("deadline"), ConnectionLost("gone")])
def test_invariant_14_a_ledger_that_stumbles_is_asked_again(bench: Bench, error: Exception) -> None:
    job = bench.order()
    errors = [error] * 3

    def stumble(effect: Any) -> None:
        if errors and isinstance(effect, Stream if isinstance(error, ConnectionLost) else Submit):
            raise errors.pop()

    bench.meddle = stumble
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (9 * CREDIT, 0)


def test_invariant_14_a_lost_acknowledgement_commits_once(bench: Bench) -> None:
    job = bench.order()
    lost = [True]

    def lose(effect: Any) -> None:
        if isinstance(effect, Submit) and lost:
            lost.pop()
            bench.ledger.submit(effect.request)
            raise OutcomeUnknown("the acknowledgement")

    bench.meddle = lose
    assert bench.settled(job, DELIVERED) == "given"
    assert (bench.sums, bench.tags(job)) == ((9 * CREDIT, 0), ["job-accepted", "job-succeeded"])


def test_invariant_19_an_end_that_comes_between_wins(bench: Bench) -> None:
    job = bench.order()
    cancelled = [True]

    def cancel(effect: Any) -> None:
        if isinstance(effect, Submit) and cancelled:
            cancelled.pop()
            bench.settled(job, Withdrawn(attempt_id=None))

    bench.meddle = cancel
    assert bench.settled(job, DELIVERED) == "late"
    assert bench.tags(job) == ["job-accepted", "job-cancelled", "job-cost-recorded"]
    assert bench.sums == (10 * CREDIT, 0)


def test_a_ledger_that_never_answers_leaves_the_job_to_the_next_worker(bench: Bench) -> None:
    job = bench.order()

    def never(effect: Any) -> None:
        if isinstance(effect, Submit):
            raise NotDone("queue full")

    bench.meddle = never
    with pytest.raises(SettlementStuck):
        bench.settled(job, DELIVERED)
    bench.meddle = lambda _effect: None
    assert bench.settled(job, DELIVERED) == "given"


# --- reserving


def test_invariant_24_a_worker_finds_the_hold_that_the_order_took(bench: Bench) -> None:
    job = bench.order()
    for _ in range(2):
        held = bench.drive(ensure_hold(by_worker(job)))
        assert isinstance(held, Held) and (held.hold_id, held.answer) == (job.hold_id, None)
    assert bench.sums == (10 * CREDIT, CREDIT)


def test_a_job_accepted_without_a_hold_gets_one_once(bench: Bench) -> None:
    job = bench.waiting()
    for _ in range(3):
        held = bench.drive(ensure_hold(by_worker(job)))
        assert isinstance(held, Held) and held.hold_id == hold_id_of(job.job_id, 1)
    assert (bench.sums, bench.tags(job)) == ((10 * CREDIT, CREDIT), ["job-accepted", "job-held"])
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (9 * CREDIT, 0)


def test_a_hold_that_lapsed_is_taken_again_under_the_next_number(bench: Bench) -> None:
    job = bench.order()
    assert job.hold_id is not None
    release = commands.ReleaseHold(account_id=bench.account_id, hold_id=job.hold_id, reason="by hand")
    bench.ledger.submit(request(release))
    held = bench.drive(ensure_hold(by_worker(job)))
    assert isinstance(held, Held) and held.hold_id == hold_id_of(job.job_id, 2)
    assert bench.job(job.job_id).holds == 2
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (9 * CREDIT, 0)


def test_invariant_49_no_second_hold_beside_one_whose_lease_has_ended(bench: Bench) -> None:
    job = bench.order(queue_limit_s=60, run_limit_s=30)
    bench.clock.pass_s(91)
    held = bench.drive(ensure_hold(by_worker(job)))
    assert isinstance(held, Held) and held.lease_until < bench.clock.now()
    assert bench.sums == (10 * CREDIT, CREDIT)


def test_a_hold_is_renewed_where_the_deadline_moved_behind_it(bench: Bench) -> None:
    job = bench.order(queue_limit_s=60, run_limit_s=30)
    later = replace(job, accepted_at=bench.clock.now().replace(hour=1))
    held = bench.drive(ensure_hold(by_worker(later)))
    assert isinstance(held, Held) and held.lease_until == later.deadline_at
    hold = bench.ledger.hold(hold_id_of(job.job_id, 1))
    assert hold is not None and timedelta(0) <= hold.lease_until - later.deadline_at < timedelta(milliseconds=1)
    assert bench.sums == (10 * CREDIT, CREDIT)


def test_a_job_that_cannot_be_held_is_refused_with_the_figures(bench: Bench) -> None:
    job = bench.waiting(price_ucr=11 * CREDIT)
    refused = bench.drive(ensure_hold(by_worker(job)))
    assert isinstance(refused, NotHeld)
    assert refused.refused.code == "insufficient-credits"
    assert refused.refused.facts["available_ucr"] == 10 * CREDIT
    grant(bench.ledger, bench.account_id, CREDIT)
    assert isinstance(bench.drive(ensure_hold(by_worker(job))), Held), "our own refusals are not kept"


def test_a_frozen_account_holds_nothing_new_until_it_may_spend_again(bench: Bench) -> None:
    job = bench.waiting(price_ucr=CREDIT)
    bench.ledger.submit(request(commands.FreezeAccount(account_id=bench.account_id, reason="fraud-review")))
    held = bench.drive(ensure_hold(by_worker(job)))
    assert isinstance(held, NotHeld)
    assert held.refused.code == "account-frozen"
    bench.ledger.submit(request(commands.UnfreezeAccount(account_id=bench.account_id, reason="cleared")))
    assert isinstance(bench.drive(ensure_hold(by_worker(job))), Held)


def test_what_was_held_before_an_account_was_frozen_is_still_settled(bench: Bench) -> None:
    job = bench.order()
    bench.ledger.submit(request(commands.FreezeAccount(account_id=bench.account_id, reason="fraud-review")))
    assert isinstance(bench.drive(ensure_hold(by_worker(job))), Held)
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (9 * CREDIT, 0)


def test_feature_M2_4_a_picture_delivered_after_its_credits_were_disputed_is_owed(bench: Bench) -> None:
    job = bench.order()
    bench.ledger.submit(
        request(commands.RevokeCredits(account_id=bench.account_id, grant_id=bench.grant_id, cause="dispute"))
    )
    assert bench.settled(job, DELIVERED) == "given"
    assert bench.sums == (-CREDIT, 0)


@pytest.mark.parametrize("code", ["upgrade-needed", "too-many-holds", "clock-skew", "stream-conflict", "hold-resolved"])
def test_a_job_waits_on_refusals_that_pass_by_themselves(code: str) -> None:
    assert code not in FINAL_REFUSALS


def test_a_refusal_of_a_callers_key_is_kept(bench: Bench) -> None:
    accepted = bench.acceptance(price_ucr=11 * CREDIT)
    want = at_accept(accepted, key="key", body={}, now=bench.clock.now())
    assert isinstance(bench.drive(ensure_hold(want)), NotHeld)
    grant(bench.ledger, bench.account_id, CREDIT)
    again = bench.drive(ensure_hold(want))
    assert isinstance(again, NotHeld) and again.answer.replayed
    assert isinstance(Answer(again.refused).verdict, Refused)


def test_hold_ids_are_of_their_job_and_number_alone() -> None:
    job_id = uuid4()
    ids = [hold_id_of(job_id, n) for n in range(1, 50)]
    assert len(set(ids)) == len(ids) and ids == [hold_id_of(job_id, n) for n in range(1, 50)]
    assert all(found.version == 7 for found in ids)
