"""Workers that die, servers that restart, a Redis that forgets: no job is lost, none is paid twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from tallystick.embedded.postgres import OWNER_ROLE, SERVING_ROLE, SUPERUSER, WRITER_ROLE, create_database
from tallystick.embedded.redis import EmbeddedRedis
from tests.support.jobs import Shop, Site, WorkerUnderTest
from tests.support.nodes import StandIn
from tests.support.servers import MIGRATED, Database, postgres_with_template
from workers.nodes.faults import Fault

Start = Callable[[], WorkerUnderTest]
two_nodes = pytest.mark.parametrize("nodes", [2], indirect=True)


def running(shop: Shop, node: StandIn, *, step_s: float = 0.3) -> Any:
    """A job that runs slowly enough for something to happen to it."""
    node.script(Fault.SLOW, seconds=step_s)
    job_id = shop.order()
    shop.until(job_id, "running")
    return job_id


def test_invariant_48_a_job_whose_worker_was_killed_is_attached_to_not_run_again(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    worker = start_worker()
    shop.ready_nodes(1)
    job_id = running(shop, nodes[0])
    worker.kill()
    start_worker()
    assert shop.until(job_id).state == "succeeded"
    shop.check_all([job_id])
    (attempt,) = shop.attempts(job_id)
    assert nodes[0].accepted().count(str(attempt["attempt_id"])) == 1


def test_invariant_47_a_picture_stored_by_a_worker_that_died_is_committed_on_recovery(
    shop: Shop, site: Site, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies between the last store and the commit: who takes over commits, without a node."""
    monkeypatch.setenv("TALLYSTICK_TEST_DIE_AT", "attempt-stored")
    worker = start_worker()
    shop.ready_nodes(1)
    job_id = shop.order()
    shop.wait_for(lambda: worker.process.poll() is not None, limit_s=30)
    (attempt,) = shop.attempts(job_id)
    assert attempt["state"] == "stored" and list(Path(site.pictures).rglob("*.png"))
    assert shop.get(job_id).charged_ucr == 0
    monkeypatch.delenv("TALLYSTICK_TEST_DIE_AT")
    start_worker()
    assert shop.until(job_id).state == "succeeded"
    shop.check_all([job_id])
    assert len(shop.attempts(job_id)) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "attempt-submitting",
        "attempt-node-ended",
        "attempt-close",
        *(pytest.param(step, marks=pytest.mark.long) for step in ("attempt-claim", "attempt-submitted", "output-save")),
    ],
)
def test_invariant_50_a_worker_that_dies_after_any_step_leaves_a_job_that_ends(
    shop: Shop, start_worker: Start, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.setenv("TALLYSTICK_TEST_DIE_AT", statement)
    worker = start_worker()
    shop.ready_nodes(1)
    job_id = shop.order()
    shop.wait_for(lambda: worker.process.poll() is not None, limit_s=30)
    monkeypatch.delenv("TALLYSTICK_TEST_DIE_AT")
    start_worker()
    assert shop.until(job_id).state == "succeeded"
    shop.check_all([job_id])


def test_invariant_48_a_worker_that_was_frozen_longer_than_its_lease_does_nothing_more(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    frozen = start_worker()
    shop.ready_nodes(1)
    job_id = running(shop, nodes[0])
    os.kill(frozen.process.pid, signal.SIGSTOP)
    start_worker()
    assert shop.until(job_id).state == "succeeded"
    os.kill(frozen.process.pid, signal.SIGCONT)
    time.sleep(2)
    shop.check_all([job_id])
    (attempt,) = shop.attempts(job_id)
    assert nodes[0].accepted().count(str(attempt["attempt_id"])) == 1


@two_nodes
def test_feature_M5_01_two_workers_share_nodes_and_jobs(shop: Shop, nodes: list[StandIn], start_worker: Start) -> None:
    start_worker()
    start_worker()
    shop.ready_nodes(2)
    jobs = [shop.order(seed=n) for n in range(12)]
    for job_id in jobs:
        assert shop.until(job_id).state == "succeeded"
    shop.check_all(jobs)
    attempts = [attempt for job_id in jobs for attempt in shop.attempts(job_id)]
    assert len(attempts) == 12
    assert {attempt["node"] for attempt in attempts} == {row["name"] for row in shop.rows("SELECT name FROM nodes")}
    posted = [attempt_id for node in nodes for attempt_id in node.accepted()]
    assert all(posted.count(str(attempt["attempt_id"])) == 1 for attempt in attempts)


def test_feature_M5_01_jobs_run_on_although_redis_is_emptied(
    shop: Shop, redis_server: EmbeddedRedis, start_worker: Start
) -> None:
    start_worker()
    shop.ready_nodes(1)
    jobs = [shop.order(seed=n) for n in range(4)]
    with redis.Redis.from_url(redis_server.url) as client:
        for _ in range(10):
            client.flushall()
            time.sleep(0.1)
    for job_id in jobs:
        assert shop.until(job_id).state == "succeeded"
    shop.check_all(jobs)


def test_feature_M5_01_jobs_run_on_while_redis_is_away(shop: Shop, site: Site, start_worker: Start) -> None:
    site.redis_url = "redis://127.0.0.1:1/0"
    start_worker()
    shop.ready_nodes(1)
    job_id = shop.order()
    assert shop.until(job_id).state == "succeeded"
    shop.check_all([job_id])


def test_sigterm_lets_the_job_in_hand_end_and_claims_no_other(
    shop: Shop, nodes: list[StandIn], start_worker: Start
) -> None:
    worker = start_worker()
    shop.ready_nodes(1)
    job_id = running(shop, nodes[0], step_s=0.4)
    waiting = shop.order()
    assert worker.stop() == 0
    assert shop.get(job_id).state == "succeeded"
    assert shop.attempts(waiting) == []
    shop.service.cancel(shop.organisation_id, waiting)
    shop.check_all([job_id, waiting])


class TestPostgresRestarts:
    """With a server of its own, because it is killed."""

    @pytest.fixture
    def database(self) -> Any:
        with postgres_with_template() as server:
            self.server = server
            with psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True) as connection:
                create_database(connection, "restarted", template=MIGRATED)
            urls = [server.url(role, "restarted") for role in (OWNER_ROLE, SERVING_ROLE, WRITER_ROLE, SUPERUSER)]
            yield Database("restarted", *urls)

    def test_invariant_48_a_job_outlives_a_restart_of_the_database(
        self, database: Database, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        del database
        start_worker()
        shop.ready_nodes(1)
        job_id = running(shop, nodes[0])
        self.server.stop()
        self.server.start()
        shop.wait_for(lambda: _answers(shop))
        assert shop.until(job_id).state == "succeeded"
        shop.check_all([job_id])


def _answers(shop: Shop) -> bool:
    try:
        return shop.rows("SELECT 1") != []
    except Exception:  # noqa: BLE001  whatever a restarting server says
        return False
