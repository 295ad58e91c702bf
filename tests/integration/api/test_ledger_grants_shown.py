"""A balance over HTTP says where its credits lie: free, held and frozen in its grants, now and then."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from tests.support.api import Site
from tests.support.ledger_http import Organisation, done, organisation

LIFETIME_S = 4
"""Long enough for a few requests on a slow machine."""


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits."""
    return organisation(site)


def at(ada: Organisation, **point: Any) -> dict[str, Any]:
    """Its account then."""
    answer = ada.service.http.get(f"/api/v1/ledger/accounts/{ada.account}/balance", params=point)
    assert answer.status_code == 200, answer.text
    return answer.json()


def parts(told: dict[str, Any], grant_id: str) -> tuple[str, str, str]:
    """What is free, held and frozen of a grant of an account all of whose credits lie in its grants."""
    for name, of_account in (("free", "available"), ("held", "held"), ("frozen", "frozen")):
        assert sum(Decimal(grant[name]) for grant in told["grants"]) == Decimal(told[of_account])
    (grant,) = [one for one in told["grants"] if one["grant_id"] == grant_id]
    return grant["free"], grant["held"], grant["frozen"]


def test_what_is_frozen_lies_in_a_grant_before_and_after_its_end(ada: Organisation) -> None:
    ending = ada.grant("10", expires_in_s=LIFETIME_S, priority=1)
    hold = ada.hold("4")
    frozen = done(ada.operator, f"/ledger/grants/{ending}/freeze", {"reason": "dispute"})
    assert parts(ada.balance(), ending) == ("0", "4", "6")
    done(ada.service, f"/ledger/holds/{hold}/release", {})
    while (told := ada.balance())["at"] <= told["grants"][0]["expires_at"]:
        time.sleep(0.05)
    assert parts(told, ending) == ("0", "0", "10")
    assert told["expiring_soon"]["credits"] == "0"
    assert parts(at(ada, as_of_position=frozen["log_position"] - 1), ending) == ("6", "4", "0")
    assert parts(at(ada, as_of_position=frozen["log_position"]), ending) == ("0", "4", "6")
    assert parts(at(ada, as_of=told["at"]), ending) == ("0", "0", "10")
    own = ada.service.http.get("/api/v1/balance")
    assert own.json()["grants"] == told["grants"], own.text
