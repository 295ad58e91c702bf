"""Keys of the ledger over HTTP: one effect for ever, the same bytes for ever, and nothing of a dry run."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from api.ledger.kinds import KINDS
from tests.support.api import Customer, Site, serving
from tests.support.ledger_http import Organisation, ask, done, organisation, problem


class Case(NamedTuple):
    """How one kind is asked for, after what it needs was made: who, where, and what."""

    who: Callable[[Organisation], Customer]
    prepare: Callable[[Organisation], tuple[str, dict[str, Any]]]
    other: dict[str, Any]
    method: str = "POST"


def service(ada: Organisation) -> Customer:
    return ada.service


def operator(ada: Organisation) -> Customer:
    return ada.operator


def frozen(ada: Organisation) -> str:
    grant = ada.grant()
    done(ada.operator, f"/ledger/grants/{grant}/freeze", {"reason": "dispute"})
    return grant


def frozen_account(ada: Organisation) -> str:
    account = ada.open()
    done(ada.operator, f"/ledger/accounts/{account}/freeze", {"reason": "fraud"})
    return account


CASES = {
    "hold": Case(service, lambda _: ("holds", {"amount": "2", "lease_s": 60}), {"amount": "3"}),
    "renew-hold": Case(service, lambda ada: (f"holds/{ada.hold()}/renew", {"lease_s": 90}), {"lease_s": 91}),
    "raise-hold": Case(service, lambda ada: (f"holds/{ada.hold(cap='9')}/raise", {"amount": "1"}), {"amount": "2"}),
    "commit-hold": Case(service, lambda ada: (f"holds/{ada.hold()}/commit", {"amount": "1"}), {"final": False}),
    "release-hold": Case(service, lambda ada: (f"holds/{ada.hold()}/release", {}), {"reason": "other"}),
    "debit": Case(service, lambda _: ("debits", {"amount": "2", "reason": "r"}), {"reason": "s"}),
    "reverse-debit": Case(operator, lambda ada: (f"debits/{ada.debit()}/reverse", {"reason": "r"}), {"amount": "0.5"}),
    "transfer": Case(
        service,
        lambda ada: ("transfers", {"to_account_id": ada.open(), "amount": "2", "reason": "r"}),
        {"to_account_id": f"acc_{'0' * 32}"},
    ),
    "grant": Case(operator, lambda _: ("grants", {"amount": "2", "kind": "promo"}), {"kind": "goodwill"}),
    "extend-grant": Case(
        operator,
        lambda ada: (f"grants/{ada.grant(expires_in_s=60)}/extend", {"expires_in_s": 90}),
        {"expires_in_s": 91},
    ),
    "freeze-grant": Case(operator, lambda ada: (f"grants/{ada.grant()}/freeze", {"reason": "r"}), {"amount": "1"}),
    "unfreeze-grant": Case(operator, lambda ada: (f"grants/{frozen(ada)}/unfreeze", {"reason": "r"}), {"reason": "s"}),
    "revoke-grant": Case(operator, lambda ada: (f"grants/{ada.grant()}/revoke", {"cause": "refund"}), {"amount": "1"}),
    "open-account": Case(operator, lambda _: ("accounts", {}), {"max_open_holds": 5}),
    "set-policy": Case(
        operator,
        lambda ada: (f"accounts/{ada.open()}/policy", {"overdraft_limit": "1", "max_open_holds": 9}),
        {"max_open_holds": 8},
        "PUT",
    ),
    "freeze-account": Case(operator, lambda ada: (f"accounts/{ada.open()}/freeze", {"reason": "r"}), {"reason": "s"}),
    "unfreeze-account": Case(
        operator, lambda ada: (f"accounts/{frozen_account(ada)}/unfreeze", {"reason": "r"}), {"reason": "s"}
    ),
    "close-account": Case(operator, lambda ada: (f"accounts/{ada.open()}/close", {"reason": "r"}), {"reason": "s"}),
    "set-budget": Case(
        service,
        lambda _: (f"budgets/budget_{uuid4().hex}", {"subject": "key", "window": "day", "limit": "1"}),
        {"limit": "2"},
        "PUT",
    ),
}


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits."""
    return organisation(site)


def test_every_kind_has_its_case() -> None:
    assert set(CASES) == {kind.name for kind in KINDS}


@pytest.mark.parametrize("name", CASES)
def test_invariant_22_a_repeat_is_answered_with_the_same_bytes_and_does_nothing(name: str, ada: Organisation) -> None:
    case = CASES[name]
    path, body = case.prepare(ada)
    first = ask(case.who(ada), f"/ledger/{path}", body, key="k", method=case.method)
    assert first.status_code in {200, 201}, first.text
    head = ada.site.runtime.ledger.head()
    again = ask(case.who(ada), f"/ledger/{path}", body, key="k", method=case.method)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    assert ada.site.runtime.ledger.head() == head


@pytest.mark.parametrize("name", CASES)
def test_invariant_23_a_key_with_another_body_is_told_which_field_differs(name: str, ada: Organisation) -> None:
    case = CASES[name]
    path, body = case.prepare(ada)
    ask(case.who(ada), f"/ledger/{path}", body, key="k", method=case.method)
    (field,) = case.other
    other = case.other | ({"to_account_id": ada.open()} if field == "to_account_id" else {})
    head = ada.site.runtime.ledger.head()
    conflict = ask(case.who(ada), f"/ledger/{path}", body | other, key="k", method=case.method)
    found = problem(conflict, 422, "idempotency-key-conflict")
    assert [error["pointer"] for error in found["errors"]] == [f"/{field}"]
    assert ada.site.runtime.ledger.head() == head


@pytest.mark.parametrize("name", CASES)
def test_invariant_13_a_dry_run_writes_nothing_and_leaves_its_key_free(name: str, ada: Organisation) -> None:
    case = CASES[name]
    path, body = case.prepare(ada)
    head = ada.site.runtime.ledger.head()
    dry = ask(case.who(ada), f"/ledger/{path}", body | {"dry_run": True}, key="k", method=case.method)
    assert dry.status_code in {200, 201}, dry.text
    assert ada.site.runtime.ledger.head() == head
    wet = ask(case.who(ada), f"/ledger/{path}", body, key="k", method=case.method)
    assert wet.status_code == dry.status_code and "Idempotency-Replayed" not in wet.headers
    assert ada.site.runtime.ledger.head() > head


def test_invariant_22_a_refusal_is_repeated_too_whatever_has_changed_since(ada: Organisation) -> None:
    body = {"amount": "150", "reason": "r"}
    first = ask(ada.service, "/ledger/debits", body, key="k")
    problem(first, 402, "insufficient-credits")
    ada.grant("100")
    again = ask(ada.service, "/ledger/debits", body, key="k")
    assert (again.status_code, again.content) == (402, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    done(ada.service, "/ledger/debits", body, key="another")


def test_invariant_22_the_bytes_are_the_same_from_another_process(ada: Organisation) -> None:
    body = {"amount": "2.50", "lease_s": 60}
    first = ask(ada.service, "/ledger/holds", body, key="k")
    with serving(ada.site.runtime.settings) as other:
        headers = {"Authorization": f"Bearer {ada.service.secret}", "Idempotency-Key": "k"}
        with other.stranger() as client:
            again = client.post("/api/v1/ledger/holds", json={"amount": "2.5", "lease_s": 60}, headers=headers)
            assert (again.status_code, again.content) == (first.status_code, first.content)
            path = f"/api/v1/ledger/holds/{first.json()['subject_id']}/commit"
            spent = client.post(path, json={"amount": "1"}, headers=headers)
            assert spent.json()["posted"] == "99", "another process finds whose hold it is"


def test_invariant_23_a_hold_that_is_another_one_is_a_field_too(ada: Organisation) -> None:
    one, two = ada.hold(), ada.hold()
    done(ada.service, f"/ledger/holds/{one}/commit", {"amount": "1"}, key="k")
    found = problem(ask(ada.service, f"/ledger/holds/{two}/commit", {"amount": "1"}, key="k"), 422, CONFLICT)
    assert [error["pointer"] for error in found["errors"]] == ["/hold_id"]


CONFLICT = "idempotency-key-conflict"


def test_the_same_key_means_something_else_for_another_kind_and_account(ada: Organisation) -> None:
    other = ada.open(overdraft_limit="10")
    bodies = [
        ("holds", {"amount": "1", "lease_s": 60}),
        ("debits", {"amount": "1", "reason": "r"}),
        ("debits", {"account_id": other, "amount": "1", "reason": "r"}),
    ]
    answers = [ask(ada.service, f"/ledger/{path}", body, key="k") for path, body in bodies]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert not any("Idempotency-Replayed" in answer.headers for answer in answers)


def test_invariant_24_equal_calls_at_once_have_one_effect(ada: Organisation) -> None:
    def debit(_: int) -> bytes:
        return ask(ada.service, "/ledger/debits", {"amount": "1", "reason": "r"}, key="k").content

    with ThreadPoolExecutor(16) as threads:
        answers = set(threads.map(debit, range(48)))
    assert len(answers) == 1
    assert ada.balance()["posted"] == "99"


def test_a_key_is_needed_and_what_is_transient_is_not_kept_under_it(ada: Organisation) -> None:
    without = ada.service.http.post("/api/v1/ledger/debits", json={"amount": "1", "reason": "r"})
    problem(without, 400, "idempotency-key-missing")
    body = {"amount": "1", "reason": "r", "expected_account_version": 99}
    problem(ask(ada.service, "/ledger/debits", body, key="k"), 409, "version-conflict")
    done(ada.service, "/ledger/debits", {"amount": "1", "reason": "r"}, key="k")
