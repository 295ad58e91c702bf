"""The ledger over HTTP, one thing at a time, as a client uses it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Site
from tests.support.ledger_http import Organisation, ask, done, organisation, problem


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits."""
    return organisation(site)


def test_a_hold_is_kept_longer_raised_and_debited_in_parts(ada: Organisation) -> None:
    held = done(ada.service, "/ledger/holds", {"amount": "5", "lease_s": 60, "cap": "8"})
    assert held["subject_id"].startswith("hold_") and held["account_id"] == ada.account
    assert (held["posted"], held["held"], held["frozen"], held["available"]) == ("100", "5", "0", "95")
    path = f"/ledger/holds/{held['subject_id']}"
    assert done(ada.service, f"{path}/renew", {"lease_s": 600})["account_version"] == held["account_version"] + 1
    assert done(ada.service, f"{path}/raise", {"amount": "2.5"})["held"] == "7.5"
    part = done(ada.service, f"{path}/commit", {"amount": "1.25", "final": False})
    assert (part["posted"], part["held"], part["available"]) == ("98.75", "6.25", "92.5")
    last = done(ada.service, f"{path}/commit", {"amount": "1"})
    assert (last["posted"], last["held"], last["available"]) == ("97.75", "0", "97.75")
    gone = problem(ask(ada.service, f"{path}/release", {}), 409, "hold-resolved")
    assert (gone["hold_id"], gone["state"]) == (held["subject_id"], "committed") and gone["resolved_at"]


def test_an_answer_has_all_of_one_read(ada: Organisation) -> None:
    told = done(ada.service, "/ledger/holds", {"amount": "5", "lease_s": 60})
    read = ada.balance()
    for name in ("account_id", "posted", "held", "frozen", "available", "account_version", "log_position"):
        assert told[name] == read[name], name
    assert told["recorded_at"] <= read["at"]


def test_a_released_hold_gives_everything_back(ada: Organisation) -> None:
    assert done(ada.service, f"/ledger/holds/{ada.hold()}/release", {"reason": "changed-mind"})["available"] == "100"


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "facts"),
    [
        ("commit", {"amount": "6"}, 409, "commit-above-hold", {"requested": "6", "remaining": "5"}),
        ("raise", {"amount": "1"}, 409, "raise-above-cap", {"amount": "6"}),
        ("renew", {"lease_s": 1}, 200, "", {}),
    ],
)
def test_a_hold_has_its_bounds(
    ada: Organisation, path: str, body: dict[str, object], status: int, code: str, facts: dict[str, str]
) -> None:
    answer = ask(ada.service, f"/ledger/holds/{ada.hold()}/{path}", body)
    assert answer.status_code == status, answer.text
    if code:
        assert facts.items() <= problem(answer, status, code).items()


def test_what_is_not_there_cannot_be_spent(ada: Organisation) -> None:
    for path, more in (("holds", {"lease_s": 60}), ("debits", {"reason": "r"})):
        found = problem(ask(ada.service, f"/ledger/{path}", {"amount": "100.5"} | more), 402, "insufficient-credits")
        assert (found["required"], found["available"], found["held"]) == ("100.5", "100", "0")
        assert found["top_up_url"]


def test_a_debit_is_undone_by_an_operator_in_parts(ada: Organisation) -> None:
    debit = ada.debit("10")
    assert ada.balance()["posted"] == "90"
    path = f"/ledger/debits/{debit}/reverse"
    part = done(ada.operator, path, {"reason": "complaint", "amount": "4"})
    assert part["subject_id"].startswith("undo_") and part["posted"] == "94"
    assert done(ada.operator, path, {"reason": "complaint"})["posted"] == "100"
    problem(ask(ada.operator, path, {"reason": "complaint", "amount": "1"}), 409, "reverse-above-debit")
    problem(ask(ada.operator, f"/ledger/debits/debit_{'0' * 32}/reverse", {"reason": "x"}), 404, "debit-unknown")


def test_what_a_hold_committed_is_undone_too(ada: Organisation) -> None:
    hold = ada.hold()
    done(ada.service, f"/ledger/holds/{hold}/commit", {"amount": "5"})
    assert done(ada.operator, f"/ledger/debits/{hold}/reverse", {"reason": "complaint"})["posted"] == "100"


def test_a_grant_is_frozen_thawed_extended_and_taken_back(ada: Organisation) -> None:
    grant = ada.grant("10", expires_in_s=3600)
    path = f"/ledger/grants/{grant}"
    frozen = done(ada.operator, f"{path}/freeze", {"reason": "dispute", "amount": "4"})
    assert (frozen["posted"], frozen["frozen"], frozen["available"]) == ("110", "4", "106")
    problem(ask(ada.operator, f"{path}/freeze", {"reason": "dispute"}), 409, "grant-frozen")
    assert done(ada.operator, f"{path}/unfreeze", {"reason": "won"})["available"] == "110"
    problem(ask(ada.operator, f"{path}/unfreeze", {"reason": "won"}), 409, "grant-not-frozen")
    assert done(ada.operator, f"{path}/extend", {"expires_in_s": 7200, "keep": "6"})["posted"] == "106"
    problem(ask(ada.operator, f"{path}/extend", {"expires_in_s": 60}), 409, "extension-not-later")
    assert done(ada.operator, f"{path}/revoke", {"cause": "refund", "amount": "2"})["posted"] == "104"
    problem(ask(ada.operator, f"{path}/revoke", {"cause": "refund", "amount": "50"}), 409, "revoke-above-grant")
    problem(ask(ada.operator, f"/ledger/grants/grant_{'0' * 32}/freeze", {"reason": "x"}), 404, "grant-unknown")


def test_a_grant_may_be_meant_for_a_day_in_the_past_but_never_for_one_to_come(ada: Organisation) -> None:
    past, future = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (-3, 3))
    ada.grant(effective_at=past)
    body = {"amount": "1", "kind": "goodwill", "effective_at": future}
    problem(ask(ada.operator, "/ledger/grants", body), 422, "effective-in-future")


def test_credits_are_moved_between_accounts_of_an_organisation(ada: Organisation) -> None:
    other = ada.open()
    moved = done(ada.service, "/ledger/transfers", {"to_account_id": other, "amount": "30", "reason": "team"})
    assert (moved["account_id"], moved["posted"]) == (ada.account, "70")
    assert ada.balance(other)["posted"] == "30"
    assert done(ada.service, "/ledger/debits", {"account_id": other, "amount": "1", "reason": "r"})["posted"] == "29"
    held = done(ada.service, "/ledger/holds", {"account_id": other, "amount": "2", "lease_s": 60})
    assert (held["account_id"], held["held"]) == (other, "2")
    assert done(ada.service, f"/ledger/holds/{held['subject_id']}/commit", {"amount": "2"})["posted"] == "27"
    wrong = {"account_id": ada.account, "amount": "1"}
    problem(ask(ada.service, f"/ledger/holds/{held['subject_id']}/commit", wrong), 404, "hold-unknown")


def test_an_account_is_frozen_thawed_and_closed(ada: Organisation) -> None:
    other = ada.open()
    path = f"/ledger/accounts/{other}"
    assert done(ada.operator, f"{path}/freeze", {"reason": "fraud"})["account_id"] == other
    spending = {"account_id": other, "amount": "1", "reason": "r"}
    assert problem(ask(ada.service, "/ledger/debits", spending), 403, "account-frozen")["account_id"] == other
    done(ada.operator, f"{path}/unfreeze", {"reason": "cleared"})
    problem(ask(ada.service, "/ledger/debits", spending), 402, "insufficient-credits")
    done(ada.service, "/ledger/transfers", {"to_account_id": other, "amount": "1", "reason": "r"})
    problem(ask(ada.operator, f"{path}/close", {"reason": "done"}), 409, "account-not-empty")
    done(ada.service, "/ledger/debits", spending)
    done(ada.operator, f"{path}/close", {"reason": "done"})
    problem(ask(ada.service, "/ledger/debits", spending), 409, "account-closed")


def test_an_account_may_be_allowed_to_go_below_zero(ada: Organisation) -> None:
    other = ada.open(overdraft_limit="5")
    spent = done(ada.service, "/ledger/debits", {"account_id": other, "amount": "4", "reason": "r"})
    assert (spent["posted"], spent["available"]) == ("-4", "-4")
    body = {"overdraft_limit": "0", "max_open_holds": 1}
    done(ada.operator, f"/ledger/accounts/{other}/policy", body, method="PUT")
    again = ask(ada.service, "/ledger/debits", {"account_id": other, "amount": "1", "reason": "r"})
    problem(again, 402, "insufficient-credits")


def test_a_budget_bounds_what_names_it(ada: Organisation) -> None:
    budget = f"budget_{uuid4().hex}"
    naming = {"amount": "3", "reason": "r", "budgets": [budget]}
    problem(ask(ada.service, "/ledger/debits", naming), 404, "budget-unknown")
    body = {"subject": "project", "window": "day", "limit": "5"}
    told = done(ada.service, f"/ledger/budgets/{budget}", body, method="PUT")
    assert told["subject_id"] == budget and told["log_position"]
    done(ada.service, "/ledger/debits", naming)
    over = problem(ask(ada.service, "/ledger/debits", naming), 402, "budget-exceeded")
    assert (over["budget_id"], over["limit"], over["used"], over["required"]) == (budget, "5", "3", "3")
    assert over["resets_at"].endswith("00:00:00Z")
    done(ada.service, f"/ledger/budgets/{budget}", {"subject": "project", "window": "day"}, method="PUT")
    done(ada.service, "/ledger/debits", naming)


def test_a_hold_of_a_job_is_the_jobs(ada: Organisation) -> None:
    job = ada.service.order()
    (hold,) = ada.service.get("/holds").json()["data"]
    for path, body in (("commit", {"amount": "0.000001"}), ("release", {}), ("renew", {"lease_s": 9})):
        found = problem(ask(ada.service, f"/ledger/holds/{hold['hold_id']}/{path}", body), 409, "hold-of-job")
        assert found["job_id"] == job
    assert ada.service.get("/holds").json()["data"] == [hold]


@pytest.mark.parametrize("amount", ["0", "-1", "1.0000001", "1e3", "", "01", "1" + "0" * 12, 5, 5.5, None, True])
def test_an_amount_that_is_none_is_refused_at_its_place(ada: Organisation, amount: object) -> None:
    for who, path, more in [
        (ada.service, "/ledger/holds", {"lease_s": 60}),
        (ada.service, "/ledger/debits", {"reason": "r"}),
        (ada.operator, "/ledger/grants", {"kind": "promo"}),
    ]:
        found = problem(ask(who, path, {"amount": amount} | more), 422, "invalid-request")
        assert [error["pointer"] for error in found["errors"]] == ["/amount"]


def test_no_sentence_gets_into_an_event(ada: Organisation) -> None:
    for reason in ("Ada Lovelace asked for it", "ada@example.com", "", "x" * 65):
        problem(ask(ada.service, "/ledger/debits", {"amount": "1", "reason": reason}), 422, "invalid-request")


def test_only_the_account_as_it_was_read_is_changed(ada: Organisation) -> None:
    version = ada.balance()["account_version"]
    body = {"amount": "1", "reason": "r", "expected_account_version": version}
    done(ada.service, "/ledger/debits", body)
    late = ask(ada.service, "/ledger/debits", body)
    found = problem(late, 409, "version-conflict")
    assert (found["expected_version"], found["account_version"]) == (version, version + 1)
    assert late.headers["Retry-After"]


def test_paid_credits_are_not_given_by_hand(ada: Organisation) -> None:
    for kind in ("paid", "subscription"):
        problem(ask(ada.operator, "/ledger/grants", {"amount": "1", "kind": kind}), 422, "invalid-request")


def test_statement_and_holds_of_any_account_are_read(ada: Organisation, site: Site) -> None:
    other = ada.open()
    done(ada.operator, "/ledger/grants", {"account_id": other, "amount": "5", "kind": "promo"})
    hold = done(ada.service, "/ledger/holds", {"account_id": other, "amount": "2", "lease_s": 60})["subject_id"]
    site.follow()
    assert [one["hold_id"] for one in ada.service.get(f"/ledger/accounts/{other}/holds").json()["data"]] == [hold]
    lines = ada.service.get(f"/ledger/accounts/{other}/statement").json()["data"]
    assert [line["kind"] for line in lines] == ["hold", "grant"]
    assert ada.service.get("/holds").json()["data"] == []


def test_invariant_29_an_account_is_shown_as_it_was(ada: Organisation, site: Site) -> None:
    path = f"/ledger/accounts/{ada.account}"
    hold = ada.hold("5")
    held = ada.balance()
    done(ada.service, f"/ledger/holds/{hold}/commit", {"amount": "5"})
    done(ada.service, "/ledger/debits", {"amount": "10", "reason": "r"})
    for query in (f"as_of_position={held['log_position']}", f"as_of={held['at'].replace('+', '%2B')}"):
        then = ada.service.get(f"{path}/balance?{query}").json()
        told = ("posted", "held", "available", "open_holds", "account_version")
        assert [then[name] for name in told] == [held[name] for name in told], query
        assert [one["hold_id"] for one in ada.service.get(f"{path}/holds?{query}").json()["data"]] == [hold]
    assert ada.service.get(f"{path}/holds").json()["data"] == []
    later = organisation(site)
    before = later.service.get(f"/ledger/accounts/{later.account}/balance?as_of_position={held['log_position']}")
    problem(before, 404, "account-unknown")


def test_invariant_29_what_is_posted_by_the_dates_that_were_meant(ada: Organisation) -> None:
    meant = datetime.now(UTC) - timedelta(days=3)
    ada.grant("7", effective_at=meant.isoformat())
    path = f"/ledger/accounts/{ada.account}/balance"
    for days, posted in ((-4, "0"), (-2, "7"), (1, "107")):
        at = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = ada.service.get(f"{path}?effective_at={at}").json()
        assert (told["account_id"], told["posted"]) == (ada.account, posted), days
        assert told["log_position"] <= ada.balance()["log_position"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("as_of_position=x", "as_of_position"),
        ("as_of_position=-1", "as_of_position"),
        ("as_of_position=999999999999", "as_of_position"),
        ("as_of=2026-01-01", "as_of"),
        ("as_of=2026-01-01T00:00:00", "as_of"),
        ("as_of=9999-01-01T00:00:00Z", "as_of"),
        ("effective_at=yesterday", "effective_at"),
        ("effective_at=0001-01-01T00:00:00%2B00:01", "effective_at"),
        ("effective_at=9999-12-31T23:59:59-23:59", "effective_at"),
        ("as_of=0001-01-01T00:00:00%2B23:59", "as_of"),
        ("as_of=9999-12-31T23:59:59-00:01", "as_of"),
        ("as_of_position=1&as_of=2026-01-01T00:00:00Z", "as_of"),
    ],
)
def test_a_point_that_is_none_or_lies_ahead_names_its_parameter(ada: Organisation, query: str, parameter: str) -> None:
    found = problem(ada.service.get(f"/ledger/accounts/{ada.account}/balance?{query}"), 422, "invalid-request")
    assert [error["parameter"] for error in found["errors"]] == [parameter]


@pytest.mark.parametrize("date", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59"])
def test_a_date_that_is_none_in_utc_is_refused_at_its_place(ada: Organisation, date: str) -> None:
    head = ada.site.runtime.ledger.head()
    for path, body in (
        ("grants", {"amount": "1", "kind": "promo"}),
        (f"debits/debit_{'0' * 32}/reverse", {"reason": "r"}),
        ("adjustments", {"amount": "1", "cause": "correction"}),
    ):
        found = problem(ask(ada.operator, f"/ledger/{path}", body | {"effective_at": date}), 422, "invalid-request")
        assert [error["pointer"] for error in found["errors"]] == ["/effective_at"]
        assert "9999 in UTC" in found["detail"]
    assert ada.site.runtime.ledger.head() == head


def test_a_date_counts_by_the_moment_that_it_names_whatever_its_offset(ada: Organisation) -> None:
    ada.grant("7", effective_at="2020-01-01T01:30:00+02:00")
    for second, posted in (("29:59Z", "0"), ("30:00Z", "7")):
        told = ada.service.get(f"/ledger/accounts/{ada.account}/balance?effective_at=2019-12-31T23:{second}").json()
        assert (told["posted"], told["effective_at"]) == (posted, f"2019-12-31T23:{second}")


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("debits", {"amount": "1\n", "reason": "r"}, "/amount"),
        ("debits", {"amount": "1", "reason": "r\n"}, "/reason"),
        ("debits", {"amount": "1", "reason": "r", "account_id": f"acc_{'0' * 32}\n"}, "/account_id"),
        ("holds", {"amount": "1", "lease_s": 60, "budgets": [f"budget_{'0' * 32}\n"]}, "/budgets/0"),
        ("transfers", {"amount": "1", "reason": "r", "to_account_id": f"acc_{'0' * 32}\n"}, "/to_account_id"),
        ("adjustments", {"amount": "1\n", "cause": "correction"}, "/amount"),
        ("adjustments", {"amount": "1", "cause": "correction", "account_id": f"acc_{'0' * 32}\n"}, "/account_id"),
    ],
)
def test_a_line_end_is_part_of_no_value(ada: Organisation, path: str, body: dict[str, Any], pointer: str) -> None:
    head = ada.site.runtime.ledger.head()
    who = ada.operator if path == "adjustments" else ada.service
    found = problem(ask(who, f"/ledger/{path}", body), 422, "invalid-request")
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert "Z" not in found["detail"], "the pattern is told as the document writes it"
    assert ada.site.runtime.ledger.head() == head
