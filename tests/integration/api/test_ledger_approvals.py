"""Approvals that race: one adjusts the balance, and all others are told that the proposal has ended."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import uuid4

import httpx
import pytest

from api.ledger import adjustments
from tests.support.api import Site
from tests.support.ledger_http import Organisation, ask, done, organisation, problem

RACING = 8
AMOUNTS = {"5": "105", "-60": "40"}
"""What is adjusted by, and what is posted then; no account of a hundred could give sixty twice."""


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits."""
    return organisation(site)


def proposed(ada: Organisation, amount: str) -> str:
    """Where a new proposal is approved."""
    asked = done(ada.operator, "/ledger/adjustments", {"amount": amount, "cause": "correction"})
    return f"/ledger/adjustments/{asked['subject_id']}/approve"


@pytest.mark.parametrize("amount", AMOUNTS)
def test_losers_of_a_race_are_told_that_the_proposal_has_ended(ada: Organisation, amount: str) -> None:
    start = Barrier(RACING)

    def approve(_: int) -> httpx.Response:
        start.wait()
        return ask(ada.approver, path, None)

    with ThreadPoolExecutor(RACING) as threads:
        for round_ in range(3):
            path = proposed(ada, amount if round_ == 0 else "1")
            answers = list(threads.map(approve, range(RACING)))
            told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
            assert told == {(200, None): 1, (409, "proposal-ended"): RACING - 1}
    assert ada.balance()["posted"] == str(int(AMOUNTS[amount]) + 2)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_whoever_read_the_proposal_before_it_was_approved_is_told_that_it_has_ended(
    ada: Organisation, amount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = proposed(ada, amount), uuid4().hex
    done(ada.approver, path, None)
    head = ada.site.runtime.ledger.head()
    monkeypatch.setattr(adjustments, "has_ended", lambda *_: False)
    told = problem(ask(ada.approver, path, None, key=key), 409, "proposal-ended")
    assert told["transient"] is False
    assert ada.site.runtime.ledger.head() == head, "nothing is kept under the key"
    other = proposed(ada, "1")
    done(ada.approver, other, None, key=key)
    assert ada.balance()["posted"] == str(int(AMOUNTS[amount]) + 1)
