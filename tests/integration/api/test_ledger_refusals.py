"""What a refusal says of a repeat is what a repeat finds: kept under its key for ever, or asked anew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Site
from tests.support.ledger_http import Organisation, ask, done, organisation, problem


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits, one of whose holds may be open."""
    found = organisation(site)
    policy = {"overdraft_limit": "0", "max_open_holds": 1}
    done(found.operator, f"/ledger/accounts/{found.account}/policy", policy, method="PUT")
    return found


HOLD: dict[str, Any] = {"amount": "1", "lease_s": 60}


def test_a_refusal_that_is_kept_does_not_ask_for_a_repeat(ada: Organisation) -> None:
    first = ada.hold()
    refused = ask(ada.service, "/ledger/holds", HOLD, key="k")
    assert problem(refused, 409, "too-many-holds")["transient"] is False
    assert "Retry-After" not in refused.headers
    done(ada.service, f"/ledger/holds/{first}/release", {})
    again = ask(ada.service, "/ledger/holds", HOLD, key="k")
    assert again.content == refused.content and again.headers["Idempotency-Replayed"] == "true"
    assert "Retry-After" not in again.headers
    done(ada.service, "/ledger/holds", HOLD, key="another")


def test_a_refusal_that_is_not_kept_asks_for_a_repeat(ada: Organisation) -> None:
    version = ada.balance()["account_version"]
    body = HOLD | {"expected_account_version": version + 1}
    refused = ask(ada.service, "/ledger/holds", body, key="k")
    assert problem(refused, 409, "version-conflict")["transient"] is True
    assert int(refused.headers["Retry-After"]) >= 1
    done(ada.operator, "/ledger/grants", {"amount": "1", "kind": "promo"})
    done(ada.service, "/ledger/holds", body, key="k")


def test_the_problems_of_a_batch_say_it_too(ada: Organisation) -> None:
    ada.hold()
    operations = [
        {"op": "hold", "idempotency_key": "a", **HOLD},
        {"op": "debit", "idempotency_key": "b", "amount": "1", "reason": "r", "expected_account_version": 99},
        {"op": "linked", "idempotency_key": "c", "operations": [{"op": "hold", **HOLD}]},
        {"op": "release-hold", "idempotency_key": "d", "hold_id": f"hold_{'0' * 32}"},
    ]
    results = ada.service.post("/ledger/batch", {"operations": operations}).json()["results"]
    assert [(one["problem"]["code"], one["problem"]["transient"]) for one in results] == [
        ("too-many-holds", False),
        ("version-conflict", True),
        ("too-many-holds", False),
        ("hold-unknown", False),
    ]
