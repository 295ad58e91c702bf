"""Orders as the API takes them: priced, held and accepted in one append, once per key."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import redis
from msgspec.structs import replace

from ledger.domain import commands
from tests.support.jobs import Shop, WorkerUnderTest
from tests.support.ledger import CREDIT, request
from tests.support.nodes import StandIn
from workers.catalogue import Catalogue
from workers.errors import InvalidInputs, OrderRefused
from workers.generation.tools import JobParams
from workers.nodes.faults import Fault
from workers.progress import channel, decode_message
from workers.service import JobsParts, JobsService

Start = Callable[[], WorkerUnderTest]
ASKED = JobParams(prompt="a lighthouse", width=256, height=256, quality="draft")


@pytest.fixture
def nodes() -> list[StandIn]:
    """None: nothing runs but where a test starts it."""
    return []


def account(shop: Shop) -> tuple[int, int]:
    balance = shop.parts.ledger.balance(shop.account_id)
    assert balance is not None
    return balance.available_ucr, balance.held_ucr


def test_feature_M3_08_a_quote_prices_names_the_grants_and_holds_nothing(shop: Shop) -> None:
    quote = shop.service.quote(shop.organisation_id, shop.account_id, JobParams(prompt="x", images=3))
    assert (quote.price_ucr, quote.missing_ucr, quote.cancel_rule) == (3 * CREDIT, 0, "free")
    assert sum(line.amount_ucr for line in quote.lines) == quote.price_ucr
    assert [(burn.kind, burn.amount_ucr) for burn in quote.burns] == [("paid", 3 * CREDIT)]
    assert account(shop) == (100 * CREDIT, 0)
    assert shop.rows("SELECT 1 FROM job_inputs") == []


def test_invariant_22_the_same_key_orders_once_for_ever(shop: Shop) -> None:
    first = shop.service.generate(shop.organisation_id, shop.account_id, "key", ASKED)
    with ThreadPoolExecutor(6) as threads:
        again = list(
            threads.map(lambda _: shop.service.generate(shop.organisation_id, shop.account_id, "key", ASKED), range(12))
        )
    assert not first.replayed and all(order.replayed for order in again)
    assert {order.job.job_id for order in again} == {first.job.job_id}
    assert {(order.available_ucr, order.held_ucr) for order in again} == {(first.available_ucr, first.held_ucr)}
    assert account(shop) == (first.available_ucr, first.job.price_ucr)
    assert len(shop.rows("SELECT 1 FROM job_inputs")) == 1, "what a replay stored beside is dropped"
    shop.service.cancel(shop.organisation_id, first.job.job_id)
    shop.check_all([first.job.job_id])


@pytest.mark.parametrize(
    ("change", "field"), [({"prompt": "a cat"}, "prompt"), ({"seed": 4}, "seed"), ({"images": 2}, "images")]
)
def test_invariant_23_the_same_key_with_another_body_names_the_field(
    shop: Shop, change: dict[str, Any], field: str
) -> None:
    first = shop.service.generate(shop.organisation_id, shop.account_id, "key", ASKED)
    with pytest.raises(OrderRefused) as refused:
        shop.service.generate(shop.organisation_id, shop.account_id, "key", replace(ASKED, **change))
    assert (refused.value.code, refused.value.facts) == ("idempotency-key-conflict", {"field": field})
    assert account(shop)[1] == first.job.price_ucr
    assert len(shop.rows("SELECT 1 FROM job_inputs")) == 1


def test_invariant_11_an_order_that_cannot_be_held_leaves_nothing_and_says_what_is_missing(shop: Shop) -> None:
    poor = uuid4()
    shop.parts.ledger.submit(request(commands.OpenAccount(account_id=poor, organisation_id=shop.organisation_id)))
    for replayed in (False, True):
        with pytest.raises(OrderRefused) as refused:
            shop.service.generate(shop.organisation_id, poor, "key", ASKED)
        assert refused.value.code == "insufficient-credits"
        price_ucr = shop.service.quote(shop.organisation_id, poor, ASKED).price_ucr
        assert refused.value.facts == {"required_ucr": price_ucr, "available_ucr": 0, "held_ucr": 0}
        assert refused.value.replayed is replayed, "a refusal of a caller's key is kept"
    assert shop.rows("SELECT 1 FROM job_inputs") == []
    assert shop.rows("SELECT 1 FROM events WHERE topic LIKE 'workers.%%'") == []


def test_what_is_outside_the_bounds_is_refused_before_anything_is_stored(shop: Shop) -> None:
    with pytest.raises(InvalidInputs) as refused:
        shop.service.generate(shop.organisation_id, shop.account_id, "key", replace(ASKED, prompt="", seed=-1))
    assert {problem.pointer for problem in refused.value.problems} == {"/prompt", "/seed"}
    assert shop.rows("SELECT 1 FROM job_inputs") == []
    shop.service.generate(shop.organisation_id, shop.account_id, "key", ASKED)


def test_no_event_carries_a_prompt(shop: Shop) -> None:
    job_id = shop.order(prompt="a very private lighthouse", negative_prompt="publicity")
    stream = shop.parts.ledger.stream(job_id)
    assert all(b"lighthouse" not in item.state and b"publicity" not in item.state for item in stream)
    view = shop.get(job_id)
    assert (view.prompt, view.negative_prompt) == ("a very private lighthouse", "publicity")
    with shop.parts.pool.connection() as connection:
        connection.execute("DELETE FROM job_inputs WHERE job_id = %s", (job_id,))
    assert shop.get(job_id).prompt is None
    shop.service.cancel(shop.organisation_id, job_id)


def test_jobs_are_listed_newest_first_page_by_page(shop: Shop) -> None:
    jobs = [shop.order(seed=n) for n in range(5)]
    shop.service.cancel(shop.organisation_id, jobs[0])
    shop.wait_for(lambda: len(shop.rows("SELECT 1 FROM jobs WHERE state = 'cancelled'")) == 1)
    seen: list[Any] = []
    after = None
    while True:
        page = shop.service.list(shop.organisation_id, after=after, limit=2)
        seen += [view.job_id for view in page.jobs]
        after = page.next_after
        if after is None:
            break
    assert seen == jobs[::-1]
    listed = shop.service.list(shop.organisation_id, state="cancelled").jobs
    assert [view.job_id for view in listed] == jobs[:1]
    for job_id in jobs:
        shop.service.cancel(shop.organisation_id, job_id)


class TestWithNodes:
    """Orders that run."""

    @pytest.fixture
    def nodes(self, tmp_path: Any) -> Any:
        from tests.support.jobs import standins  # noqa: PLC0415  only here

        with standins(tmp_path, 1, "--step-ms", "10") as found:
            yield found

    def test_invariant_17_a_free_job_holds_and_charges_nothing(self, shop: Shop, start_worker: Start) -> None:
        tool = shop.parts.catalogue.offered()[0]
        free = replace(tool, price=replace(tool.price, base_ucr=0, area_ucr=0))
        shop.parts.catalogue = Catalogue(
            {(tool.name, tool.version): (free, shop.parts.catalogue.graph(tool))},
            (shop.parts.catalogue.canary, shop.parts.catalogue.canary_graph),
        )
        parts = shop.parts
        service = JobsService(
            JobsParts(
                around=parts.around(),
                catalogue=parts.catalogue,
                objects=parts.objects,
                progress=parts.progress,
                ids=parts.ids,
            )
        )
        ordered = service.generate(shop.organisation_id, shop.account_id, "key", ASKED)
        assert (ordered.job.price_ucr, ordered.available_ucr, ordered.held_ucr) == (0, 100 * CREDIT, 0)
        start_worker()
        view = shop.until(ordered.job.job_id)
        assert (view.state, view.charged_ucr) == ("succeeded", 0)
        assert shop.rows("SELECT 1 FROM holds") == []
        shop.check_all([view.job_id])

    def test_feature_M3_09_progress_and_previews_are_published_while_it_runs(
        self, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        start_worker()
        shop.ready_nodes(1)
        nodes[0].script(Fault.SLOW, seconds=0.1)
        with redis.Redis.from_url(shop.parts.site.redis_url) as client, client.pubsub() as listener:
            listener.psubscribe("job:*")
            shop.wait_for(lambda: listener.get_message(timeout=0.1))
            job_id = shop.order()
            shop.until(job_id, "running", "succeeded")
            shop.until(job_id)
            messages = []
            while message := listener.get_message(ignore_subscribe_messages=True, timeout=0.5):
                assert message["channel"].decode() == channel(job_id)
                messages.append(decode_message(message["data"]))
        kinds = {message.kind for message in messages}
        assert "progress" in kinds and "preview" in kinds
        fractions = [message.fraction for message in messages]
        assert fractions == sorted(fractions) and 0 < fractions[-1] <= 1
        latest = shop.parts.progress.latest(job_id)
        assert latest is not None
        assert not any("lighthouse" in json.dumps(message.mime) for message in messages)
        shop.check_all([job_id])

    def test_feature_M3_12_what_a_node_writes_into_a_picture_is_stripped(
        self, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        del nodes
        start_worker()
        job_id = shop.order(prompt="a very private lighthouse")
        view = shop.until(job_id)
        (output,) = view.outputs
        content = shop.fetch(output.url)
        assert b"lighthouse" not in content and b"tEXt" not in content
        assert len(content) == output.size_bytes
        shop.check_all([job_id])

    def test_a_job_of_several_pictures_gives_all_of_them(
        self, shop: Shop, nodes: list[StandIn], start_worker: Start
    ) -> None:
        del nodes
        start_worker()
        job_id = shop.order(images=3)
        view = shop.until(job_id)
        assert len({output.sha256 for output in view.outputs}) == 3
        shop.check_all([job_id])
