"""Quotas: counted on Redis over all processes, in this one while Redis is away."""

from __future__ import annotations

import time
from typing import Any

import pytest

from api.ratelimit import Policies, Policy
from tallystick.settings import Settings
from tests.support.api import Site, serving


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow answer of Redis is waited for: where it is given up, each process counts for itself."""
    monkeypatch.setattr("api.ratelimit.LIMITER_TIMEOUT_S", 60.0)


def limit(site: Site, known: int, unknown: int, window_s: int = 60) -> None:
    """Set other quotas."""
    limiter: Any = site.services.limiter
    limiter.policies = Policies(known=Policy("burst", known, window_s), unknown=Policy("public", unknown, window_s))


def test_two_processes_count_together_and_say_when_to_come_back(settings: Settings) -> None:
    with serving(settings, limited=True) as one, serving(settings, limited=True) as two:
        limit(one, 5, 5)
        limit(two, 5, 5)
        ada = one.customer()
        here = [ada.get("/balance") for _ in range(3)]
        with two.stranger() as client:
            headers = {"Authorization": f"Bearer {ada.secret}"}
            there = [client.get("/api/v1/balance", headers=headers) for _ in range(3)]
    answers = [*here, *there]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert [answer.headers["RateLimit"].partition(";t=")[0] for answer in answers[:5]] == [
        f'"burst";r={left}' for left in (4, 3, 2, 1, 0)
    ]
    assert answers[0].headers["RateLimit-Policy"] == '"burst";q=5;w=60'
    refused = answers[-1]
    reset_s = int(refused.headers["RateLimit"].partition(";t=")[2])
    assert int(refused.headers["Retry-After"]) >= reset_s > 0
    assert refused.json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert refused.json()["violated-policies"] == ["burst"]


def test_a_quota_comes_back_when_its_window_ends(settings: Settings) -> None:
    with serving(settings, limited=True) as site:
        limit(site, 2, 2, window_s=3)
        ada = site.customer()
        # The third of a window is refused; where the machine stands still it may be the first of the next.
        assert 429 in (ada.get("/balance").status_code for _ in range(30))
        time.sleep(3.1)
        assert ada.get("/balance").status_code == 200


def test_guessing_keys_is_bounded_by_address(settings: Settings) -> None:
    with serving(settings, limited=True) as site, site.stranger() as client:
        limit(site, 5, 3)
        answers = [client.get("/api/v1/balance", headers={"Authorization": f"Bearer x{n}"}) for n in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert client.get("/healthz").status_code == 200


def test_operations_on_the_ledger_are_counted_batched_or_not(settings: Settings) -> None:
    with serving(settings, limited=True) as site:
        limiter: Any = site.services.limiter
        limiter.policies = Policies(ledger=Policy("ledger", 10, chunk=2))
        ada = site.customer()
        spent = [{"op": "debit", "idempotency_key": f"k{n}", "amount": "1", "reason": "r"} for n in range(8)]
        many = ada.post("/ledger/batch", {"operations": spent})
        alone = [ada.post("/ledger/debits", {"amount": "1", "reason": "r"}, key=f"s{n}") for n in range(4)]
        assert [answer.status_code for answer in (many, *alone)] == [200, 201, 201, 429, 429]
        assert ada.post("/ledger/batch", {"operations": spent}).status_code == 429
        assert ada.get("/balance").json()["posted"] == "90", "what was refused was not done"


def test_without_redis_the_api_serves_and_still_counts(settings: Settings) -> None:
    away = settings.with_values(redis_url="redis://127.0.0.1:1/0")
    with serving(away, limited=True) as site:
        limit(site, 3, 3)
        ada = site.customer()
        assert [ada.get("/balance").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
        with site.stranger() as client:
            assert client.get("/readyz").status_code == 200
