"""The queue on real PostgreSQL: who is next, on which node, and that nothing is claimed twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from ledger.domain.codec import encode_event
from ledger.drivers import catch_up
from ledger.ports import Companion, Request
from tallystick import wiring
from tests.support.jobs import Shop, Site
from tests.support.nodes import StandIn
from tests.unit.workers.test_job import ACCEPTED
from workers.attempt.statements import RENEW
from workers.attempt.work import Claim
from workers.driving import CoreDriver, Rows
from workers.limits import LEASE_S
from workers.queue import sweeps
from workers.queue.follower import JobsFollower
from workers.queue.turns import claim_one

NEEDS = "txt2img_sdxl/v1/sdxl"


@pytest.fixture
def nodes() -> list[StandIn]:
    """No node runs here: rows stand for them."""
    return []


@pytest.fixture
def shop(site: Site, redis_url: str) -> Generator[Shop]:
    """Without a follower of its own: the test says when the log is read."""
    del redis_url
    found = Shop(site)
    yield found
    found.parts.close()


class Queue:
    """Nodes as rows, jobs by their acceptance alone, claims by hand."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.around = shop.parts.around()

    def node(self, name: str, **values: Any) -> None:
        row = {"name": name, "url": "http://nowhere", "gpu_class": "standard", "state": "ready", "can": [NEEDS]}
        names = [*(row | values)]
        marks = ", ".join(f"%({key})s" for key in names)
        with self.shop.parts.pool.connection() as connection:
            connection.execute(f"INSERT INTO nodes ({', '.join(names)}) VALUES ({marks})".encode(), row | values)

    def job(self, organisation_id: UUID, **values: Any) -> UUID:
        job_id = uuid4()
        facts: dict[str, Any] = {"price_ucr": 0, "hold_id": None, **values}
        accepted = replace(ACCEPTED, job_id=job_id, organisation_id=organisation_id, **facts)
        companion = Companion(job_id, 0, (encode_event(accepted),))
        self.shop.parts.ledger.submit(
            Request(key=str(job_id), operation="generate", scope_id=organisation_id, on_accept=(companion,))
        )
        return job_id

    def follow(self) -> None:
        catch_up(self.shop.driver, [JobsFollower()])

    def claim(self, nodes: list[str] | None = None) -> Claim | None:
        known = nodes or [row["name"] for row in self.shop.rows("SELECT name FROM nodes")]
        return CoreDriver(self.around).drive(claim_one("standard", known, self.shop.parts.ids))

    def order_of_claims(self) -> list[UUID]:
        """Claim all there is on one node, each ended before the next."""
        order: list[UUID] = []
        while claim := self.claim():
            order.append(claim.job_id)
            with self.shop.parts.pool.connection() as connection:
                connection.execute(
                    "UPDATE attempts SET state = 'ended', ended_at = clock_timestamp() WHERE attempt_id = %s",
                    (claim.attempt_id,),
                )
                connection.execute("UPDATE nodes SET attempt_id = NULL")
        return order


@pytest.fixture
def queue(shop: Shop) -> Queue:
    return Queue(shop)


def test_feature_M3_11_the_dearer_priority_goes_first_then_who_came_first(queue: Queue) -> None:
    organisation = uuid4()
    usual, urgent, later = (queue.job(organisation, priority=priority) for priority in (0, 10, 0))
    queue.follow()
    queue.node("a")
    assert queue.order_of_claims() == [urgent, usual, later]


def test_a_burst_of_one_organisation_does_not_keep_another_waiting(queue: Queue) -> None:
    busy, modest = uuid4(), uuid4()
    burst = [queue.job(busy) for _ in range(5)]
    few = [queue.job(modest) for _ in range(2)]
    queue.follow()
    queue.node("a")
    assert queue.order_of_claims() == [burst[0], few[0], burst[1], few[1], *burst[2:]]


def test_an_organisation_that_was_idle_saves_up_no_turns(queue: Queue) -> None:
    busy, modest = uuid4(), uuid4()
    queue.node("a")
    for _ in range(3):
        queue.job(busy)
    queue.follow()
    assert len(queue.order_of_claims()) == 3
    burst = [queue.job(modest) for _ in range(3)]
    again = queue.job(busy)
    queue.follow()
    assert queue.order_of_claims() == [burst[0], again, *burst[1:]]


def test_no_job_and_no_slot_is_claimed_twice_however_many_claim_at_once(queue: Queue) -> None:
    jobs = {queue.job(uuid4()) for _ in range(30)}
    queue.follow()
    for n in range(10):
        queue.node(f"node-{n}")
    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: queue.claim(), range(40)))
    taken = [claim for claim in claims if claim is not None]
    assert len({claim.job_id for claim in taken}) == len(taken) <= 10
    assert len({claim.node for claim in taken}) == len(taken)
    while claim := queue.claim():
        taken.append(claim)
    assert len(taken) == 10, "each free slot took one"
    assert {claim.job_id for claim in taken} <= jobs


def test_a_claim_takes_only_what_a_ready_node_that_it_knows_can_run(queue: Queue) -> None:
    queue.job(uuid4())
    queue.follow()
    queue.node("other-class", gpu_class="large")
    queue.node("unable", can=["txt2img_flux/v1/flux"])
    queue.node("out", state="out")
    queue.node("unproven", state="new")
    queue.node("stuck", state="quarantined")
    queue.node("of-another-worker")
    assert queue.claim(["other-class", "unable", "out", "unproven", "stuck"]) is None
    claim = queue.claim()
    assert claim is not None and claim.node == "of-another-worker"


def test_a_retry_goes_elsewhere_if_there_is_elsewhere(queue: Queue) -> None:
    job_id = queue.job(uuid4())
    queue.follow()
    queue.node("a")
    queue.node("b")
    with queue.shop.parts.pool.connection() as connection:
        connection.execute("UPDATE job_queue SET avoid = '{a}' WHERE job_id = %s", (job_id,))
    claim = queue.claim()
    assert claim is not None and claim.node == "b"


def test_a_model_that_a_node_has_loaded_is_preferred(queue: Queue) -> None:
    queue.job(uuid4())
    queue.follow()
    queue.node("a")
    queue.node("b", last_needs=NEEDS)
    claim = queue.claim()
    assert claim is not None and claim.node == "b"


def test_an_attempt_that_nobody_holds_is_taken_over_by_one(queue: Queue) -> None:
    queue.job(uuid4())
    queue.follow()
    queue.node("a")
    dead = queue.claim()
    assert dead is not None
    assert queue.claim() is None, "its lease lives"
    with queue.shop.parts.pool.connection() as connection:
        connection.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '1 second'")
    with ThreadPoolExecutor(8) as threads:
        claims = [claim for claim in threads.map(lambda _: queue.claim(), range(8)) if claim]
    (claim,) = claims
    assert claim.attempt_id == dead.attempt_id
    assert claim.token != dead.token


def test_an_attempt_whose_worker_stands_still_while_it_renews_its_lease_is_taken_over(
    queue: Queue, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.job(uuid4())
    queue.follow()
    queue.node("a")
    dead = queue.claim()
    assert dead is not None
    with queue.shop.parts.pool.connection() as connection:
        connection.execute("UPDATE attempts SET lease_until = clock_timestamp() - interval '1 second'")
    monkeypatch.setitem(wiring._CONNECTION_LIMITS, "idle_in_transaction_session_timeout", "3s")
    with wiring.open_pool(site.database_url, 1) as pool:
        frozen = Rows(pool)
        frozen.run(RENEW, {"attempt_ids": [dead.attempt_id], "tokens": [dead.token], "lease_s": LEASE_S})
        claim, deadline = None, time.monotonic() + 60
        while claim is None and time.monotonic() < deadline:
            claim = queue.claim()
            time.sleep(0.05)
        frozen.give_back()
    assert claim is not None, "it is passed over for as long as that worker stands still"
    assert claim.attempt_id == dead.attempt_id and claim.token != dead.token


def test_a_job_without_time_to_run_is_not_begun(queue: Queue) -> None:
    queue.job(uuid4(), queue_limit_s=1, run_limit_s=5)
    queue.follow()
    queue.node("a")
    assert queue.claim() is None


def test_invariant_09_read_models_equal_a_replay(queue: Queue) -> None:
    shop = queue.shop
    done = shop.order()
    for _ in range(3):
        queue.job(uuid4())
    queue.follow()
    shop.service.cancel(shop.organisation_id, done)
    queue.follow()
    tables = ("jobs", "job_queue")
    before = [shop.rows(f"SELECT to_jsonb(t) AS row FROM {table} AS t ORDER BY t.job_id") for table in tables]
    with shop.parts.pool.connection() as connection:
        connection.execute("DELETE FROM jobs")
        connection.execute("DELETE FROM job_queue")
        connection.execute("UPDATE followers SET position = 0 WHERE name = 'jobs'")
    queue.follow()
    assert [shop.rows(f"SELECT to_jsonb(t) AS row FROM {table} AS t ORDER BY t.job_id") for table in tables] == before
    assert len(before[0]) == 4 and len(before[1]) == 3


def test_feature_M5_05_the_backlog_is_told_by_class_in_gpu_seconds(queue: Queue) -> None:
    from workers.queue.statements import BACKLOG  # noqa: PLC0415  read where the metric is made

    for _ in range(3):
        queue.job(uuid4(), expected_ms=7_000)
    queue.follow()
    queue.node("a")
    assert queue.claim() is not None
    (row,) = queue.shop.rows(BACKLOG.sql)
    assert (row["gpu_class"], float(row["backlog_gpu_seconds"])) == ("standard", 21.0)
    assert (row["waiting"], row["running"]) == (2, 1)
    assert 0 <= row["oldest_wait_s"] < 60


# --- sweeps


class Ears:
    """Hears the hints of a core."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def __call__(self, topic: str, payload: str) -> None:
        self.heard.append((topic, payload))


def sweeping(queue: Queue, core: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    ears = Ears()
    from dataclasses import replace as changed  # noqa: PLC0415  the other replace is of structs

    return CoreDriver(changed(queue.around, wake=ears)).drive(core()), ears.heard


def test_a_lost_hint_is_sent_again_for_each_free_slot_with_a_job(queue: Queue) -> None:
    for _ in range(3):
        queue.job(uuid4())
    queue.follow()
    assert sweeping(queue, sweeps.send_wakes) == (0, []), "no slot"
    queue.node("a")
    queue.node("b")
    assert sweeping(queue, sweeps.send_wakes) == (2, [("slots", "standard")] * 2)


def test_invariant_15_inputs_that_no_event_names_are_swept_after_an_hour(queue: Queue) -> None:
    shop = queue.shop
    job_id = shop.order()
    with shop.parts.pool.connection() as connection:
        connection.execute(
            "INSERT INTO job_inputs (job_id, organisation_id, prompt, negative_prompt, mac_key)"
            " VALUES (%s, %s, 'a', '', '')",
            (uuid4(), shop.organisation_id),
        )
        connection.execute("UPDATE job_inputs SET created_at = created_at - interval '59 minutes'")
    assert sweeping(queue, sweeps.sweep_inputs)[0] == 0
    with shop.parts.pool.connection() as connection:
        connection.execute("UPDATE job_inputs SET created_at = created_at - interval '2 minutes'")
    # the follower has not seen the order yet: the log has the last word
    assert sweeping(queue, sweeps.sweep_inputs)[0] == 1
    assert [row["job_id"] for row in shop.rows("SELECT job_id FROM job_inputs")] == [job_id]


def test_a_cancel_whose_canceller_died_is_carried_out_by_the_sweep(queue: Queue) -> None:
    shop = queue.shop
    job_id = shop.order()
    queue.follow()
    with shop.parts.pool.connection() as connection:
        connection.execute(
            "INSERT INTO cancel_requests (job_id, organisation_id) VALUES (%s, %s)", (job_id, shop.organisation_id)
        )
    assert shop.get(job_id).state == "cancelling"
    queue.node("a")
    assert queue.claim() is None, "nobody begins what is to be ended"
    assert sweeping(queue, sweeps.end_cancelled)[0] == 1
    assert shop.get(job_id).state == "cancelled"
    shop.check_all([job_id])
