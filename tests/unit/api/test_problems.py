"""Problems: one table for everything that can go wrong."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import psycopg
import pytest
from litestar.exceptions import HTTPException
from psycopg_pool import PoolTimeout

import customers.errors
import payments.errors
import workers.errors
from api.errors import ApiError
from api.ledger.answers import refused as refusal_of
from api.problem_types import PROBLEM_TYPES
from api.problems import Problems, find, refusal
from ledger.domain.verdicts import refused
from ledger.errors import LedgerError, NotDone, OutcomeUnknown, Refusal
from payments.errors import LedgerRefused, PaymentsError, RailUnavailable
from workers.errors import InvalidInputs, OrderRefused, Problem


def kinds_of(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    """All kinds of a refusal that the program knows, wherever they are defined."""
    for one in kind.__subclasses__():
        if not one.__module__.startswith("tests."):
            yield one
        yield from kinds_of(one)


PROBLEMS = Problems(cast("Any", SimpleNamespace()), public_url="http://here", top_up_url="http://here/")
REFUSALS = sorted(set(kinds_of(Refusal)), key=lambda kind: kind.code)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
def test_every_verdict_of_the_ledger_has_an_answer(kind: type[Refusal]) -> None:
    found = find(OrderRefused(kind.code, {}, try_again=kind.transient, replayed=False))
    answer = PROBLEM_TYPES[kind.code]
    assert found.code == kind.code
    assert answer.again == kind.transient, "what is told of a repeat is what the ledger does with one"


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.code)
def test_every_verdict_says_whether_the_same_may_succeed_later(kind: type[Refusal]) -> None:
    verdict = refused(kind(), datetime(2026, 1, 1, tzinfo=UTC), None)
    told = PROBLEMS.respond(refusal_of(verdict, replayed=False), "urn:verdict:0")
    assert msgspec.json.decode(told.content)["transient"] is kind.transient
    assert ("Retry-After" in told.headers) is kind.transient


def test_a_code_that_this_release_does_not_know_keeps_what_was_said_of_a_repeat() -> None:
    for transient in (True, False):
        found = find(OrderRefused("unheard-of", {}, try_again=transient, replayed=False))
        assert PROBLEMS.document(found, "urn:verdict:0")["transient"] is transient


def test_every_error_of_the_http_side_has_a_type_of_its_own() -> None:
    kinds = ApiError.__subclasses__()
    assert len(kinds) >= 12
    assert all(kind.code in PROBLEM_TYPES for kind in kinds)


@pytest.mark.parametrize("module", [customers.errors, payments.errors, workers.errors])
def test_no_refusal_that_customers_can_cause_is_a_fault_of_ours(module: object) -> None:
    source = inspect.getsource(importlib.import_module(module.__name__))  # type: ignore[attr-defined]
    for code in re.findall(r'^    code(?:: \w+)? = "([a-z-]+)"', source, re.MULTILINE):
        assert refusal(code, {}).code != "internal-error"


def test_a_fault_that_nobody_foresaw_tells_nothing() -> None:
    found = find(RuntimeError("password=hunter2"))
    assert (found.code, found.detail, found.members) == ("internal-error", "", {})


def test_missing_credits_are_told_as_decimals() -> None:
    facts = {"required_ucr": 12_500_000, "available_ucr": 1, "held_ucr": 0}
    found = find(OrderRefused("insufficient-credits", facts, try_again=False, replayed=True))
    assert found.members == {"required": "12.5", "available": "0.000001", "held": "0", "limit_source": "balance"}
    assert found.headers == {"Idempotency-Replayed": "true"}


def test_a_conflict_of_keys_points_to_the_field() -> None:
    found = find(OrderRefused("idempotency-key-conflict", {"field": "seed"}, try_again=False, replayed=False))
    assert [fault.pointer for fault in found.members["errors"]] == ["/seed"]
    assert PROBLEM_TYPES[found.code].status == 422


def test_all_inputs_at_fault_are_listed() -> None:
    found = find(InvalidInputs((Problem("/prompt", "expected some text"), Problem("/seed", "expected 0 to 9"))))
    assert [fault.pointer for fault in found.members["errors"]] == ["/prompt", "/seed"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotDone("full"), "not-done"),
        (OutcomeUnknown("late"), "outcome-unknown"),
        (LedgerError("what"), "outcome-unknown"),
        (psycopg.OperationalError("gone"), "not-ready"),
        (PoolTimeout("none free"), "not-ready"),
        (RailUnavailable(rail="x", reason="y"), "rail-unavailable"),
        (LedgerRefused(ledger_code="stream-conflict"), "stream-conflict"),
        (HTTPException(status_code=405, headers={"allow": "GET"}), "method-not-allowed"),
        (HTTPException(status_code=418), "bad-request"),
        (HTTPException(status_code=507), "internal-error"),
        (PaymentsError(), "refused"),
    ],
)
def test_what_is_not_known_is_never_said_to_have_failed(error: Exception, code: str) -> None:
    assert find(error).code == code


def test_codes_are_words_and_every_status_is_an_error() -> None:
    for problem in PROBLEM_TYPES.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", problem.code)
        assert 400 <= problem.status < 600
        assert problem.title and problem.advice.endswith((".", "`."))
