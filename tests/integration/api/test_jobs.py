"""Jobs over HTTP: price, order, look, cancel. Nobody paints here: a job ends when it is cancelled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.support.api import PROMPT, Site


def test_a_quote_prices_and_holds_nothing(site: Site) -> None:
    ada = site.customer()
    quote = ada.post("/quotes", PROMPT).json()
    assert float(quote["price"]) == sum(float(line["amount"]) for line in quote["lines"])
    assert [burn["amount"] for burn in quote["burns"]] == [quote["price"]]
    assert (quote["available"], quote["missing"]) == ("100", "0")
    assert ada.get("/balance").json()["held"] == "0"


def test_an_ordered_job_is_held_for_and_released_when_cancelled(site: Site) -> None:
    ada = site.customer()
    price = ada.post("/quotes", PROMPT).json()["price"]
    answer = ada.post("/generate", PROMPT, key="k")
    job = answer.json()
    assert (answer.status_code, answer.headers["Retry-After"]) == (202, "1")
    assert (answer.headers["Credits-Held"], answer.headers["Credits-Charged"]) == (price, "0")
    assert answer.headers["Credits-Remaining"] == ada.get("/balance").json()["available"]
    assert answer.headers["Location"] == job["urls"]["self"] == f"/api/v1/jobs/{job['job_id']}"
    (hold,) = ada.get("/holds").json()["data"]
    assert (hold["job_id"], hold["amount"]) == (job["job_id"], price)
    assert ada.http.get(job["urls"]["self"]).json()["prompt"] == PROMPT["prompt"]
    cancelled = ada.http.post(job["urls"]["cancel"])
    assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["held"]) == (200, "cancelled", "0")
    assert ada.http.post(job["urls"]["cancel"]).json()["state"] == "cancelled"
    assert ada.get("/balance").json()["available"] == "100"


def test_the_same_key_orders_one_job_whoever_is_first(site: Site) -> None:
    ada = site.customer()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ada.post("/generate", PROMPT, key="k"), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(ada.get("/holds").json()["data"]) == 1


def test_the_same_key_with_another_body_names_the_field(site: Site) -> None:
    ada = site.customer()
    ada.post("/generate", PROMPT, key="k")
    for changes, pointer in (({"seed": 8}, "/seed"), ({"prompt": "a cat"}, "/prompt"), ({"width": 512}, "/width")):
        refused = ada.post("/generate", PROMPT | changes, key="k")
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-conflict")
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    assert len(ada.get("/holds").json()["data"]) == 1


def test_missing_credits_are_said_and_the_answer_stays_what_it_was(site: Site) -> None:
    ada = site.customer(amount=0)
    price = ada.post("/quotes", PROMPT).json()["price"]
    for replayed in (False, True):
        refused = ada.post("/generate", PROMPT, key="k")
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (402, "insufficient-credits")
        assert (problem["required"], problem["available"], problem["held"]) == (price, "0", "0")
        assert problem["limit_source"] == "balance" and problem["top_up_url"].startswith(site.url)
        assert ("Idempotency-Replayed" in refused.headers) is replayed


def test_an_answer_may_wait_for_the_jobs_end(site: Site) -> None:
    ada = site.customer()

    def cancel() -> None:
        while not (held := ada.get("/holds").json()["data"]):
            time.sleep(0.05)
        time.sleep(0.3)
        ada.post(f"/jobs/{held[0]['job_id']}/cancel")

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    answer = ada.post("/generate", PROMPT, key="k", Prefer="wait=30")
    cancelling.join(30)
    assert not cancelling.is_alive()
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.headers["Preference-Applied"] == "wait=30" and "Retry-After" not in answer.headers


def test_a_wait_that_is_too_short_ends_with_the_job_as_it_is(site: Site) -> None:
    ada, start = site.customer(), time.monotonic()
    answer = ada.post("/generate", PROMPT, key="k", Prefer="wait=1")
    assert time.monotonic() - start > 0.9
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (202, "wait=1")
    ended = ada.post(f"/jobs/{answer.json()['job_id']}/cancel").json()
    again = ada.post("/generate", PROMPT, key="k", Prefer="wait=1")
    assert (again.status_code, again.json()["state"]) == (200, ended["state"])


def test_a_list_is_read_page_by_page_and_by_state(site: Site) -> None:
    ada = site.customer()
    ids = [ada.order(seed=n) for n in range(5)]
    ada.post(f"/jobs/{ids[2]}/cancel")
    site.follow()
    found: list[str] = []
    after = ""
    while True:
        page = ada.get(f"/jobs?limit=2{after}").json()
        found += [job["job_id"] for job in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next_cursor']}"
    assert found == ids[::-1]
    assert [job["job_id"] for job in ada.get("/jobs?state=cancelled").json()["data"]] == [ids[2]]


def test_open_holds_are_listed_newest_first_and_said_to_be_more(site: Site) -> None:
    ada = site.customer()
    ids = [ada.order(seed=n) for n in range(3)]
    page = ada.get("/holds?limit=2").json()
    assert ([hold["job_id"] for hold in page["data"]], page["has_more"]) == (ids[:0:-1], True)
    assert ada.get("/holds?limit=3").json()["has_more"] is False


def test_a_signed_link_shows_its_picture_and_nothing_else(site: Site) -> None:
    store, clock = site.runtime.objects, site.runtime.clock
    key = f"jobs/{uuid4()}/{uuid4()}/0.png"
    store.put(key, b"not really a picture", mime="image/png")
    from datetime import timedelta  # noqa: PLC0415

    link = store.link(key, until=clock.now() + timedelta(seconds=60), file_name="größe.png")
    with site.stranger() as anybody:
        shown = anybody.get(link)
        assert (shown.status_code, shown.content) == (200, b"not really a picture")
        assert shown.headers["Content-Type"] == "image/png"
        assert shown.headers["Content-Disposition"] == "inline; filename*=UTF-8''gr%C3%B6%C3%9Fe.png"
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        ended = store.link(key, until=clock.now() - timedelta(seconds=1), file_name="a.png")
        for bad in (
            ended,
            link.replace("/0.png", "/1.png"),
            link.replace("signature=", "signature=0"),
            link.replace("until=", "until=9"),
            link.split("?", maxsplit=1)[0],
            link.replace("jobs/", "%2e%2e/jobs/"),
            f"{site.url}/outputs/",
        ):
            refused = anybody.get(bad)
            assert (refused.status_code, refused.headers["Content-Type"]) == (404, "application/problem+json"), bad
