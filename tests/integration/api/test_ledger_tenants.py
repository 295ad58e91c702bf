"""Whose the ledger is: a key touches accounts of its own organisation, whatever it names; and two approve together."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from api.ledger import adjustments
from customers.errors import InvalidField
from ledger.errors import EffectiveInFuture
from tests.support.api import Site
from tests.support.ledger_http import APPROVES, OPERATES, Organisation, another_key, ask, done, organisation, problem

NOBODYS = {"hold": f"hold_{'0' * 32}", "grant": f"grant_{'0' * 32}", "debit": f"debit_{'0' * 32}"}
NO_ACCOUNT = f"acc_{'0' * 32}"


@pytest.fixture
def ada(site: Site) -> Organisation:
    """Whose credits they are."""
    return organisation(site)


@pytest.fixture
def eve(site: Site) -> Organisation:
    """Who would like to have them."""
    return organisation(site)


def test_another_organisations_accounts_are_as_unknown_as_none(ada: Organisation, eve: Organisation) -> None:
    head = ada.site.runtime.ledger.head()
    spending: list[tuple[str, dict[str, Any]]] = [
        ("holds", {"amount": "1", "lease_s": 60}),
        ("debits", {"amount": "1", "reason": "r"}),
        ("transfers", {"amount": "1", "reason": "r", "to_account_id": eve.account}),
        ("grants", {"amount": "1", "kind": "promo"}),
        ("adjustments", {"amount": "1", "cause": "correction"}),
    ]
    for path, body in spending:
        who = eve.service if path in {"holds", "debits", "transfers"} else eve.operator
        theirs = ask(who, f"/ledger/{path}", body | {"account_id": ada.account})
        nobodys = ask(who, f"/ledger/{path}", body | {"account_id": NO_ACCOUNT})
        problem(theirs, 404, "account-unknown")
        assert {**theirs.json(), "instance": ""} == {**nobodys.json(), "instance": ""}
    stolen = {"amount": "1", "reason": "r", "to_account_id": ada.account}
    problem(ask(eve.service, "/ledger/transfers", stolen), 404, "account-unknown")
    for path in ("freeze", "unfreeze", "close"):
        problem(ask(eve.operator, f"/ledger/accounts/{ada.account}/{path}", {"reason": "r"}), 404, "account-unknown")
    policy = {"overdraft_limit": "5", "max_open_holds": 5}
    put = ask(eve.operator, f"/ledger/accounts/{ada.account}/policy", policy, method="PUT")
    problem(put, 404, "account-unknown")
    for path in ("balance", "holds", "statement"):
        problem(eve.service.get(f"/ledger/accounts/{ada.account}/{path}"), 404, "account-unknown")
    assert ada.site.runtime.ledger.head() == head


def test_another_organisations_holds_are_as_unknown_as_none(ada: Organisation, eve: Organisation) -> None:
    hold, head = ada.hold(), ada.site.runtime.ledger.head()
    for path, body in (
        ("commit", {"amount": "1"}),
        ("release", {}),
        ("renew", {"lease_s": 9}),
        ("raise", {"amount": "1"}),
    ):
        theirs = ask(eve.service, f"/ledger/holds/{hold}/{path}", body)
        nobodys = ask(eve.service, f"/ledger/holds/{NOBODYS['hold']}/{path}", body)
        problem(theirs, 404, "hold-unknown")
        assert {**theirs.json(), "instance": ""} == {**nobodys.json(), "instance": ""}
    assert ada.site.runtime.ledger.head() == head


def test_another_organisations_grants_and_debits_are_unknown(ada: Organisation, eve: Organisation) -> None:
    grant, debit = ada.grant(), ada.debit()
    before = ada.balance()
    for path, body in (
        ("extend", {"expires_in_s": 9}),
        ("freeze", {"reason": "r"}),
        ("unfreeze", {"reason": "r"}),
        ("revoke", {"cause": "refund"}),
    ):
        problem(ask(eve.operator, f"/ledger/grants/{grant}/{path}", body), 404, "grant-unknown")
    problem(ask(eve.operator, f"/ledger/debits/{debit}/reverse", {"reason": "r"}), 404, "debit-unknown")
    with_account = {"reason": "r", "account_id": ada.account}
    problem(ask(eve.operator, f"/ledger/debits/{debit}/reverse", with_account), 404, "account-unknown")
    assert ada.balance()["account_version"] == before["account_version"]


def test_another_organisations_budget_can_neither_be_set_nor_named(ada: Organisation, eve: Organisation) -> None:
    budget = f"budget_{uuid4().hex}"
    body = {"subject": "project", "window": "once", "limit": "1"}
    done(ada.service, f"/ledger/budgets/{budget}", body, method="PUT")
    taken = ask(eve.service, f"/ledger/budgets/{budget}", body | {"limit": "0.5"}, method="PUT")
    problem(taken, 404, "budget-unknown")
    naming = {"amount": "1", "reason": "r", "budgets": [budget]}
    problem(ask(eve.service, "/ledger/debits", naming), 404, "budget-unknown")
    done(ada.service, "/ledger/debits", naming)


def test_in_a_batch_too(ada: Organisation, eve: Organisation) -> None:
    hold = ada.hold()
    operations = [
        {"op": "commit-hold", "idempotency_key": "a", "hold_id": hold, "amount": "1"},
        {"op": "debit", "idempotency_key": "b", "account_id": ada.account, "amount": "1", "reason": "r"},
        {"op": "linked", "idempotency_key": "c", "operations": [{"op": "release-hold", "hold_id": hold}]},
    ]
    results = eve.service.post("/ledger/batch", {"operations": operations}).json()["results"]
    assert [one["problem"]["code"] for one in results] == ["hold-unknown", "account-unknown", "hold-unknown"]
    assert ada.balance()["held"] == "5"


def test_the_same_key_of_two_organisations_names_two_things(ada: Organisation, eve: Organisation) -> None:
    body = {"amount": "1", "reason": "r"}
    first, second = (ask(who.service, "/ledger/debits", body, key="k") for who in (ada, eve))
    assert first.json()["subject_id"] != second.json()["subject_id"]
    assert "Idempotency-Replayed" not in second.headers


def test_two_operators_adjust_a_balance(ada: Organisation) -> None:
    body = {"amount": "-2.5", "cause": "correction", "reason": "counted-twice"}
    proposed = done(ada.operator, "/ledger/adjustments", body)
    assert proposed["subject_id"].startswith("adj_") and ada.balance()["posted"] == "100"
    path = f"/ledger/adjustments/{proposed['subject_id']}/approve"
    problem(ask(ada.operator, path, None), 403, "scope-missing")
    first = ask(ada.approver, path, None, key="k")
    assert (first.status_code, first.json()["posted"]) == (200, "97.5"), first.text
    again = ask(ada.approver, path, None, key="k")
    assert again.content == first.content and again.headers["Idempotency-Replayed"] == "true"
    problem(ask(ada.approver, path, None), 409, "proposal-ended")
    assert ada.balance()["posted"] == "97.5"


def test_a_proposal_is_repeated_and_compared_as_everything_is(ada: Organisation) -> None:
    body = {"amount": "3", "cause": "compensation"}
    first, again = (ask(ada.operator, "/ledger/adjustments", body, key="k") for _ in range(2))
    assert (first.status_code, again.content) == (202, first.content)
    other = ask(ada.operator, "/ledger/adjustments", body | {"amount": "4"}, key="k")
    assert problem(other, 422, "idempotency-key-conflict")["errors"][0]["pointer"] == "/amount"
    head = ada.site.runtime.ledger.head()
    done(ada.operator, "/ledger/adjustments", body | {"dry_run": True})
    assert ada.site.runtime.ledger.head() == head


def test_what_cannot_be_taken_is_refused_to_the_one_who_approves(ada: Organisation) -> None:
    asked = done(ada.operator, "/ledger/adjustments", {"amount": "-1000", "cause": "write-off"})["subject_id"]
    answer = ask(ada.approver, f"/ledger/adjustments/{asked}/approve", None)
    problem(answer, 402, "insufficient-credits")
    assert ada.balance()["posted"] == "100"


def test_invariant_22_an_approval_is_answered_again_when_its_proposal_has_ended(
    ada: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, taken, left = (
        f"/ledger/adjustments/{done(ada.operator, '/ledger/adjustments', body)['subject_id']}/approve"
        for body in ({"amount": amount, "cause": "correction"} for amount in ("-1000", "-1", "-2"))
    )
    answers = {path: ask(ada.approver, path, None, key=path) for path in (refused, taken)}
    assert [answer.status_code for answer in answers.values()] == [402, 200]
    monkeypatch.setattr(adjustments, "PROPOSAL_LIFE_S", -1)
    head = ada.site.runtime.ledger.head()
    for path, first in answers.items():
        again = ask(ada.approver, path, None, key=path)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["Idempotency-Replayed"] == "true"
        problem(ask(ada.approver, path, None, key="another"), 409, "proposal-ended")
    problem(ask(ada.approver, left, None, key=taken), 422, "idempotency-key-conflict")
    problem(ask(ada.approver, left, None, key="k"), 409, "proposal-ended")
    assert ada.site.runtime.ledger.head() == head
    monkeypatch.undo()
    answer = ask(ada.approver, left, None, key="k")
    assert (answer.status_code, answer.json()["posted"]) == (200, "97"), "what had ended was not kept as a verdict"


def test_what_is_approved_already_is_ended_whatever_the_account_has_left(ada: Organisation) -> None:
    asked = done(ada.operator, "/ledger/adjustments", {"amount": "-60", "cause": "correction"})["subject_id"]
    path = f"/ledger/adjustments/{asked}/approve"
    done(ada.approver, path, None)
    problem(ask(ada.approver, path, None), 409, "proposal-ended")


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("1999-12-31T23:59:59Z", "invalid-request"),
        ("0001-01-01T00:00:00Z", "invalid-request"),
        ("9000-01-01T00:00:00Z", "effective-in-future"),
    ],
)
def test_a_date_that_no_approval_would_accept_is_refused_to_the_one_who_proposes(
    ada: Organisation, date: str, code: str
) -> None:
    body = {"amount": "1", "cause": "correction"}
    head = ada.site.runtime.ledger.head()
    for more in ({}, {"dry_run": True}):
        found = problem(
            ask(ada.operator, "/ledger/adjustments", body | {"effective_at": date} | more, key="k"), 422, code
        )
        assert code != "invalid-request" or [error["pointer"] for error in found["errors"]] == ["/effective_at"]
    assert ada.site.runtime.ledger.head() == head
    done(ada.operator, "/ledger/adjustments", body, key="k")
    conflict = ask(ada.operator, "/ledger/adjustments", body | {"effective_at": date}, key="k")
    found = problem(conflict, 422, "idempotency-key-conflict")
    assert [error["pointer"] for error in found["errors"]] == ["/effective_at"]


def test_invariant_22_a_proposal_is_answered_again_whatever_the_clock_says_of_its_date(
    ada: Organisation, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"amount": "1", "cause": "correction", "effective_at": "2020-01-01T00:00:00Z"}
    first = ask(ada.operator, "/ledger/adjustments", body, key="k")
    monkeypatch.setattr(adjustments, "_untimely", lambda *_: EffectiveInFuture(effective_at="2020-01-01T00:00:00Z"))
    again = ask(ada.operator, "/ledger/adjustments", body, key="k")
    assert (again.status_code, again.content) == (202, first.content)
    problem(ask(ada.operator, "/ledger/adjustments", body), 422, "effective-in-future")


def test_nobody_approves_for_another_organisation_or_what_was_not_proposed(
    ada: Organisation, eve: Organisation
) -> None:
    asked = done(eve.operator, "/ledger/adjustments", {"amount": "1000", "cause": "correction"})["subject_id"]
    for unknown in (asked, f"adj_{'0' * 32}", ada.account.replace("acc_", "adj_")):
        problem(ask(ada.approver, f"/ledger/adjustments/{unknown}/approve", None), 404, "proposal-unknown")


def test_whoever_proposes_can_make_no_key_that_approves(ada: Organisation, site: Site) -> None:
    maker = another_key(site, ada.service, "keys:write", *OPERATES)
    problem(maker.post("/keys", {"name": "me", "scopes": [APPROVES]}), 403, "scope-missing")
    with pytest.raises(InvalidField):
        another_key(site, ada.service, APPROVES, "ledger:adjust")


def test_a_customers_own_keys_make_no_credits(ada: Organisation) -> None:
    problem(ask(ada.service, "/ledger/grants", {"amount": "1", "kind": "promo"}), 403, "scope-missing")
    problem(ada.service.post("/keys", {"name": "me", "scopes": ["ledger:grants"]}), 403, "scope-missing")
