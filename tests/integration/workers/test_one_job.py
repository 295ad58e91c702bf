"""A job from order to picture, with real servers, a stand-in node and a worker process."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.jobs import Shop, WorkerUnderTest

Start = Callable[[], WorkerUnderTest]


def test_feature_M5_01_a_job_is_accepted_held_painted_stored_and_committed(shop: Shop, start_worker: Start) -> None:
    job_id = shop.order()
    view = shop.get(job_id)
    assert (view.state, view.held_ucr) in {("accepted", view.price_ucr), ("queued", view.price_ucr)}
    start_worker()
    view = shop.until(job_id)
    assert view.state == "succeeded", view
    shop.check_all([job_id])
    changes = shop.service.job_changes(shop.organisation_id, job_id)
    assert [change.state for change in changes.changes] == ["accepted", "running", "succeeded"]
    assert changes.ended


def test_feature_M3_01_every_model_and_quality_on_offer_runs(shop: Shop, start_worker: Start) -> None:
    start_worker()
    tool = shop.parts.catalogue.offered()[0]
    jobs = [shop.order(model=model, quality=quality) for model in tool.models for quality in tool.qualities]
    assert len({shop.get(job_id).price_ucr for job_id in jobs}) == len(jobs)
    for job_id in jobs:
        assert shop.until(job_id).state == "succeeded"
    shop.check_all(jobs)
