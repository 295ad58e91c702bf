"""Money in, over HTTP, on the sandbox rail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from payments.sandbox.desk import SandboxDesk
from tests.support.api import Site


def desk(site: Site) -> SandboxDesk:
    assert site.runtime.desk is not None
    return site.runtime.desk


def test_a_top_up_is_ordered_paid_and_credited(site: Site) -> None:
    ada = site.customer(amount=0)
    answer = ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key="first")
    opened = answer.json()
    assert (answer.status_code, opened["state"], opened["missing_minor"]) == (201, "awaiting", 1000)
    assert answer.headers["Location"] == f"/api/v1/topups/{opened['topup_id']}"
    assert opened["charge"]["url"].startswith(f"{site.url}/sandbox/")
    desk(site).pay(opened["charge"]["ref"])
    site.runtime.settler.settle_everything()
    paid = ada.http.get(answer.headers["Location"]).json()
    assert (paid["state"], paid["credited"], paid["missing_minor"], paid["charge"]) == ("credited", "1000", 0, None)
    assert ada.get("/balance").json()["available"] == "1000"
    site.follow()
    (line,) = ada.get("/statement").json()["data"]
    assert (line["kind"], line["amount"], line["topup_id"]) == ("grant", "1000", opened["topup_id"])
    assert [one["state"] for one in ada.get("/topups").json()["data"]] == ["credited"]


def test_the_same_key_opens_one_top_up_and_says_that_it_did(site: Site) -> None:
    ada, body = site.customer(amount=0), {"rail": "sandbox", "credits": "1234.5"}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ada.post("/topups", body, key='"k 1"'), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["topup_id"] for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    site.follow()
    assert len(ada.get("/topups").json()["data"]) == 1


def test_the_same_key_with_another_body_names_the_field(site: Site) -> None:
    ada = site.customer(amount=0)
    ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key="k")
    for body, pointer in (
        ({"rail": "sandbox", "pack": "studio"}, "/pack"),
        ({"rail": "sandbox", "credits": "1000"}, "/credits"),
        ({"rail": "sandbox", "amount_minor": 1000}, "/amount_minor"),
    ):
        refused = ada.post("/topups", body, key="k")
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency-key-conflict")
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]


def test_open_quotes_are_counted(site: Site) -> None:
    ada = site.customer(amount=0)
    answers = [ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key=str(n)) for n in range(6)]
    assert [answer.status_code for answer in answers] == [201] * 5 + [409]
    assert answers[-1].json()["code"] == "too-many-open-topups"
    assert answers[-1].headers["Retry-After"]


def test_a_list_is_read_page_by_page(site: Site) -> None:
    ada = site.customer(amount=0)
    ids = [ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key=str(n)).json()["topup_id"] for n in range(5)]
    site.follow()
    found: list[str] = []
    path = "/topups?limit=2"
    while True:
        answer = ada.get(path)
        page = answer.json()
        found += [topup["topup_id"] for topup in page["data"]]
        if not page["has_more"]:
            assert page["next_cursor"] is None and "Link" not in answer.headers
            break
        assert answer.headers["Link"] == f'</api/v1/topups?limit=2&after={page["next_cursor"]}>; rel="next"'
        path = f"/topups?limit=2&after={page['next_cursor']}"
    assert found == ids[::-1]


def test_prices_name_packs_and_rails(site: Site) -> None:
    prices = site.customer(amount=0).get("/prices").json()
    assert (prices["currency"], prices["credit_price"], prices["rails"]) == ("USD", "0.01", ["sandbox"])
    assert [pack["pack"] for pack in prices["packs"]] == ["starter", "studio", "factory"]
