"""Nodes that fail, hang, die and lie: whatever they do, a job ends once, paid with its picture or not at all."""

from __future__ import annotations

import signal
from collections.abc import Callable
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from tests.support.jobs import Shop, WorkerUnderTest
from tests.support.nodes import StandIn
from workers.nodes.faults import Fault

Start = Callable[[], WorkerUnderTest]
two_nodes = pytest.mark.parametrize("nodes", [2], indirect=True)


def first(nodes: list[StandIn]) -> StandIn:
    """The node that a claim takes when all are alike."""
    return min(nodes, key=lambda node: urlsplit(node.url).netloc)


def run(shop: Shop, nodes: list[StandIn], start: Start, fault: Fault, *, seconds: float = 0) -> UUID:
    """Run one job whose first attempt meets a fault."""
    start()
    shop.ready_nodes(len(nodes))
    first(nodes).script(fault, seconds=seconds)
    job_id = shop.order()
    shop.until(job_id)
    return job_id


@two_nodes
@pytest.mark.parametrize(
    ("fault", "verdict"),
    [
        (Fault.EXCEPTION, "failed"),
        (Fault.PARTIAL, "failed"),
        (Fault.CUDA_ERROR, "poisoned"),
        (Fault.HANG, "stuck"),
        (Fault.ZOMBIE, "stuck"),
        (Fault.KILLED, "lost"),
        (Fault.FORGOTTEN, "lost"),
        (Fault.REFUSED_500, "lost"),
        (Fault.BLOCKED, "outputs_missing"),
        (Fault.FEWER, "outputs_missing"),
        (Fault.LOST_FILE, "outputs_missing"),
        (Fault.EMPTY_FILE, "outputs_missing"),
        (Fault.CORRUPT, "outputs_missing"),
        (Fault.BLACK, "suspect_black"),
        (Fault.CONSTANT, "suspect_black"),
    ],
)
def test_invariant_47_and_48_another_attempt_makes_good_what_a_node_did(
    shop: Shop, nodes: list[StandIn], start_worker: Start, impatient: Callable[[], None], fault: Fault, verdict: str
) -> None:
    if verdict == "stuck":
        impatient()
    job_id = run(shop, nodes, start_worker, fault)
    view = shop.get(job_id)
    assert view.state == "succeeded", (view, shop.attempts(job_id))
    shop.check_all([job_id])
    attempts = shop.attempts(job_id)
    assert [attempt["verdict"] for attempt in attempts] == [verdict, "success"]
    assert len({attempt["attempt_id"] for attempt in attempts}) == 2
    changes = shop.service.job_changes(shop.organisation_id, job_id).changes
    assert [change.state for change in changes][-1] == "succeeded"


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.QUEUED_500, Fault.LATE_ANSWER, Fault.SLOW])
def test_invariant_48_what_only_looks_bad_is_run_once_and_paid_once(
    shop: Shop, nodes: list[StandIn], start_worker: Start, fault: Fault
) -> None:
    job_id = run(shop, nodes, start_worker, fault, seconds=0.2)
    assert shop.get(job_id).state == "succeeded"
    shop.check_all([job_id])
    (attempt,) = shop.attempts(job_id)
    assert nodes[0].accepted().count(str(attempt["attempt_id"])) == 1


def test_invariant_47_out_of_memory_without_a_larger_class_is_released(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    job_id = run(shop, nodes, start_worker, Fault.OOM)
    view = shop.get(job_id)
    assert (view.state, view.error_code, view.charged_ucr) == ("failed", "out-of-memory", 0)
    shop.check_all([job_id])
    again = shop.order()
    assert shop.until(again).state == "succeeded", "the node is usable again"
    shop.check_all([job_id, again])


def test_invariant_50_a_job_that_fails_twice_ends_failed_and_released(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.EXCEPTION)
    nodes[0].script(Fault.EXCEPTION)
    job_id = shop.order()
    view = shop.until(job_id)
    assert (view.state, view.error_code) == ("failed", "failed")
    shop.check_all([job_id])


def test_invariant_50_a_node_that_comes_back_serves_what_waited_for_it(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.SLOW, seconds=1.0)
    job_id = shop.order()
    shop.until(job_id, "running")
    port, data = nodes[0].port, nodes[0].data
    nodes[0].stop(signal.SIGKILL)
    shop.wait_for(lambda: shop.attempts(job_id)[0]["state"] == "ended", limit_s=30)
    nodes[0] = StandIn(data, "--step-ms", "10", port=port)
    view = shop.until(job_id)
    assert view.state == "succeeded"
    shop.check_all([job_id])
    assert [attempt["verdict"] for attempt in shop.attempts(job_id)] == ["lost", "success"]


def test_a_poisoned_node_serves_again_once_it_has_restarted(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    nodes[0].script(Fault.CUDA_ERROR)
    job_id = shop.order()
    shop.wait_for(lambda: shop.rows("SELECT 1 FROM nodes WHERE state = 'quarantined' AND reason = 'restart'"))
    port, data = nodes[0].port, nodes[0].data
    nodes[0].stop(signal.SIGKILL)
    nodes[0] = StandIn(data, "--step-ms", "10", port=port)
    with shop.parts.pool.connection() as connection:
        connection.execute("UPDATE nodes SET check_at = '-infinity'")  # rather than wait half a minute
    assert shop.until(job_id).state == "succeeded"
    shop.check_all([job_id])


def test_a_job_that_no_node_can_run_says_so_and_is_not_claimed(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    del nodes
    start_worker()
    shop.ready_nodes(1)
    with shop.parts.pool.connection() as connection:
        connection.execute("UPDATE nodes SET can = '{}'")
    job_id = shop.order()
    view = shop.until(job_id, "queued")
    assert view.queue is not None and not view.queue.possible
    shop.service.cancel(shop.organisation_id, job_id)
    assert shop.until(job_id).state == "cancelled"
    shop.check_all([job_id])
