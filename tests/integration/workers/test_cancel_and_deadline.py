"""Cancels and deadlines: they end a job wherever it is, and give its credits back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from ledger.domain import commands
from tests.support.jobs import Shop, Site, WorkerUnderTest
from tests.support.ledger import CREDIT, done
from tests.support.nodes import StandIn
from workers.errors import JobUnknown
from workers.generation.reserve import hold_id_of
from workers.nodes.faults import Fault

Start = Callable[[], WorkerUnderTest]


def test_feature_M3_09_a_waiting_job_is_cancelled_at_once(shop: Shop) -> None:
    job_id = shop.order()
    view = shop.service.cancel(shop.organisation_id, job_id)
    assert (view.state, view.charged_ucr, view.held_ucr) == ("cancelled", 0, 0)
    shop.check_all([job_id])


def test_feature_M3_09_a_running_job_is_cancelled_within_about_a_second(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.SLOW, seconds=0.5)
    job_id = shop.order()
    shop.until(job_id, "running")
    assert shop.service.cancel(shop.organisation_id, job_id).state in {"cancelling", "cancelled"}
    view = shop.until(job_id)
    assert view.state == "cancelled"
    shop.check_all([job_id])
    again = shop.order()
    assert shop.until(again).state == "succeeded", "the slot is free"


def test_invariant_47_a_job_that_completed_although_cancelled_is_the_customers(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.DEAF)
    job_id = shop.order(quality="high")
    shop.until(job_id, "running", "succeeded")  # it takes half a second: one look may come too late
    shop.service.cancel(shop.organisation_id, job_id)
    view = shop.until(job_id)
    assert view.state in {"succeeded", "cancelled"}
    shop.check_all([job_id])


def test_invariant_50_cancelling_a_job_on_a_dead_node_ends_it_cancelled(
    shop: Shop, nodes: list[StandIn], start_worker: Start, impatient: Callable[[], None]
) -> None:
    impatient()
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.HANG)
    job_id = shop.order()
    shop.until(job_id, "running")
    shop.service.cancel(shop.organisation_id, job_id)
    assert shop.until(job_id).state == "cancelled"
    shop.check_all([job_id])


def test_invariant_16_cancels_racing_the_end_leave_one_end(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    del nodes
    start_worker()
    shop.ready_nodes(1)
    jobs = [shop.order(seed=n) for n in range(6)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda job_id: shop.service.cancel(shop.organisation_id, job_id), jobs * 2))
    for job_id in jobs:
        shop.until(job_id)
    shop.check_all(jobs)


def test_cancelling_an_ended_job_changes_nothing(shop: Shop) -> None:
    job_id = shop.order()
    first = shop.service.cancel(shop.organisation_id, job_id)
    second = shop.service.cancel(shop.organisation_id, job_id)
    assert first == second
    assert shop.rows("SELECT 1 FROM cancel_requests") == []


@pytest.mark.parametrize("freeze", [False, True], ids=["no-credits", "frozen"])
def test_a_job_for_which_nothing_can_be_held_again_fails_uncharged_and_says_why(
    shop: Shop, nodes: list[StandIn], start_worker: Start, freeze: bool
) -> None:
    del nodes
    job_id = shop.order()
    hold_id = hold_id_of(job_id, 1)
    ledger, account_id = shop.parts.ledger, shop.account_id
    done(ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="operator"))
    if freeze:
        done(ledger, commands.FreezeAccount(account_id=account_id, reason="fraud-review"))
    else:
        debit = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=100 * CREDIT, reason="all")
        done(ledger, debit)
    start_worker()
    shop.ready_nodes(1)
    view = shop.until(job_id)
    code = "account-frozen" if freeze else "insufficient-credits"
    assert (view.state, view.error_code, view.charged_ucr) == ("failed", code, 0)
    shop.check(job_id)


def test_another_organisation_learns_nothing_of_a_job(shop: Shop) -> None:
    job_id, stranger = shop.order(), uuid4()
    for ask in (shop.service.get, shop.service.cancel, shop.service.outputs, shop.service.job_changes):
        with pytest.raises(JobUnknown):
            ask(stranger, job_id)
        with pytest.raises(JobUnknown):
            ask(shop.organisation_id, shop.account_id)  # a stream, but no job
    assert shop.service.list(stranger).jobs == ()
    shop.service.cancel(shop.organisation_id, job_id)


class TestShortDeadlines:
    """Jobs that have five seconds in all."""

    @pytest.fixture
    def site(self, site: Site) -> Site:
        site.times = {**(site.times or {}), "queue_limit_s": 3, "run_limit_s": 2}
        return site

    def test_invariant_49_a_job_that_nobody_runs_expires_with_its_hold(
        self, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        for node in nodes:
            node.stop()
        start_worker()
        job_id = shop.order()
        view = shop.until(job_id, limit_s=60)
        assert (view.state, view.charged_ucr) == ("expired", 0)
        hold = shop.rows("SELECT state, resolved_at - lease_until AS late FROM holds WHERE reference = %(j)s", j=job_id)
        assert hold[0]["state"] == "expired" and 0 <= hold[0]["late"].total_seconds() < 60
        shop.check_all([job_id])


class TestLateResults:
    """A deadline that passes while a node works."""

    @pytest.fixture
    def site(self, site: Site) -> Site:
        site.times = {**(site.times or {}), "queue_limit_s": 20, "run_limit_s": 3, "stall_s": 30.0}
        return site

    def test_invariant_50_an_attempt_over_its_time_is_ended_and_released(
        self, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        start_worker()
        shop.ready_nodes(1)
        nodes[0].script(Fault.SLOW, seconds=0.2)  # short steps: the node obeys at the next, and has two seconds to
        job_id = shop.order(quality="high")
        view = shop.until(job_id)
        assert (view.state, view.error_code) == ("failed", "time-limit")
        shop.check_all([job_id])
