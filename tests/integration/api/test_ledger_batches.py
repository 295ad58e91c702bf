"""A thousand things at once: each has its verdict, and what is linked is done together or not at all."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.support.api import Customer, Site
from tests.support.ledger_http import Organisation, another_key, ask, done, organisation, problem


@pytest.fixture
def ada(site: Site) -> Organisation:
    """An organisation with a hundred credits."""
    return organisation(site)


def op(name: str, **fields: Any) -> dict[str, Any]:
    """One operation."""
    return {"op": name, "idempotency_key": uuid4().hex} | fields


def debit(amount: str = "1", **more: Any) -> dict[str, Any]:
    """A debit."""
    return op("debit", amount=amount, reason="r", **more)


def linked(*operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A group."""
    parts = [{name: value for name, value in one.items() if name != "idempotency_key"} for one in operations]
    return op("linked", operations=parts, **more)


def batch(who: Customer, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    """Outcomes of a batch."""
    answer = who.post("/ledger/batch", {"operations": list(operations)})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_each_operation_has_an_outcome_of_its_own_in_order(ada: Organisation) -> None:
    hold, spent = ada.hold(), ada.hold()
    done(ada.service, f"/ledger/holds/{spent}/release", {})
    results = batch(
        ada.service,
        debit("10"),
        debit("1000"),
        op("commit-hold", hold_id=hold, amount="5"),
        op("commit-hold", hold_id=spent, amount="5"),
        op("hold", amount="1", lease_s=60),
        op("release-hold", hold_id=f"hold_{'0' * 32}"),
        op("hold", amount="1", lease_s=60, account_id=f"acc_{'0' * 32}"),
    )
    assert [one["status"] for one in results] == [201, 402, 200, 409, 201, 404, 404]
    codes = [one.get("problem", {}).get("code") for one in results]
    assert codes == [None, "insufficient-credits", None, "hold-resolved", None, "hold-unknown", "account-unknown"]
    assert [one["result"]["posted"] for one in results if "result" in one] == ["90", "85", "85"]
    assert results[4]["result"]["available"] == ada.balance()["available"] == "84"
    assert results[1]["problem"]["required"] == "1000" and results[1]["problem"]["top_up_url"]


def test_a_thousand_are_done_and_a_thousand_and_one_are_refused(ada: Organisation) -> None:
    results = batch(ada.service, *(debit("0.01") for _ in range(1000)))
    assert {one["status"] for one in results} == {201} and len(results) == 1000
    assert ada.balance()["posted"] == results[-1]["result"]["posted"] == "90"
    positions = [one["result"]["log_position"] for one in results]
    assert positions == sorted(set(positions))
    head = ada.site.runtime.ledger.head()
    many = ada.service.post("/ledger/batch", {"operations": [debit("0.01") for _ in range(1001)]})
    problem(many, 422, "invalid-request")
    problem(ada.service.post("/ledger/batch", {"operations": []}), 422, "invalid-request")
    assert ada.site.runtime.ledger.head() == head


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (debit("x"), "/operations/1/amount"),
        (debit("0"), "/operations/1/amount"),
        (debit("1", colour="red"), "/operations/1/colour"),
        ({"op": "debit", "amount": "1", "reason": "r"}, "/operations/1/idempotency_key"),
        (op("mint", amount="1"), "/operations/1/op"),
        (op("hold", amount="1", lease_s=60, cap="0"), "/operations/1/cap"),
        (linked(debit(), debit("0")), "/operations/1/operations/1/amount"),
        (linked(debit(dry_run=True)), "/operations/1/operations/0/dry_run"),
        (linked(), "/operations/1/operations"),
        (linked(*(debit() for _ in range(33))), "/operations/1/operations"),
        (linked(linked(debit())), "/operations/1/operations/0/op"),
        (debit(budgets=[f"budget_{'1' * 32}"] * 2), "/operations/1/budgets"),
        (linked(debit(), debit(budgets=[f"budget_{'1' * 32}"] * 2)), "/operations/1/operations/1/budgets"),
        (debit("1\n"), "/operations/1/amount"),
        (debit("1", idempotency_key="k\n"), "/operations/1/idempotency_key"),
        (debit("1", idempotency_key="k" * 255 + "\n"), "/operations/1/idempotency_key"),
        (debit("1", account_id=f"acc_{'0' * 32}\n"), "/operations/1/account_id"),
        (debit("1", budgets=[f"budget_{'0' * 32}\n"]), "/operations/1/budgets/0"),
        (op("release-hold", hold_id=f"hold_{'0' * 32}\n"), "/operations/1/hold_id"),
        (op("release-hold", hold_id=f"hold_{'0' * 32}", reason="r\n"), "/operations/1/reason"),
        (op("transfer", to_account_id=f"acc_{'0' * 32}\n", amount="1", reason="r"), "/operations/1/to_account_id"),
        (linked(op("release-hold", hold_id=f"hold_{'0' * 32}\n")), "/operations/1/operations/0/hold_id"),
    ],
)
def test_one_that_is_malformed_refuses_all_before_anything_is_done(
    ada: Organisation, wrong: dict[str, Any], pointer: str
) -> None:
    head = ada.site.runtime.ledger.head()
    answer = ada.service.post("/ledger/batch", {"operations": [debit(), wrong, debit()]})
    found = problem(answer, 422, "invalid-request")
    assert [error["pointer"] for error in found["errors"]] == [pointer]
    assert ada.site.runtime.ledger.head() == head


def test_invariant_22_a_batch_sent_again_is_answered_again(ada: Organisation) -> None:
    operations = [debit("60"), debit("60"), op("hold", amount="1", lease_s=60), linked(debit(), debit())]
    first = batch(ada.service, *operations)
    ada.grant("100")
    head = ada.site.runtime.ledger.head()
    again = batch(ada.service, *operations)
    assert [one["status"] for one in first] == [201, 402, 201, 200]
    assert [one | {"replayed": False} for one in again] == first
    assert all(one["replayed"] for one in again)
    assert ada.site.runtime.ledger.head() == head


def test_a_key_names_the_same_thing_alone_and_in_a_batch(ada: Organisation) -> None:
    alone = ask(ada.service, "/ledger/debits", {"amount": "1.50", "reason": "r"}, key="k").json()
    (same, other) = batch(ada.service, debit("1.5", idempotency_key="k"), debit("2", idempotency_key="k"))
    assert same["replayed"] and same["result"] == alone
    assert other["problem"]["code"] == "idempotency-key-conflict"
    assert other["problem"]["errors"][0]["pointer"] == "/amount"


def test_equal_keys_within_a_batch_have_one_effect(ada: Organisation) -> None:
    one = debit("1")
    first, second = batch(ada.service, one, one)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert first["result"] == second["result"] and ada.balance()["posted"] == "99"


def test_each_operation_needs_its_own_scope(ada: Organisation, site: Site) -> None:
    grant = op("grant", amount="1000000", kind="promo")
    mixed = batch(ada.service, debit(), grant, linked(debit(), grant))
    assert [one["status"] for one in mixed] == [201, 403, 403]
    assert [one["problem"]["scope"] for one in mixed[1:]] == ["ledger:grants", "ledger:grants"]
    assert mixed[2]["problem"]["linked_index"] == 1
    assert ada.balance()["posted"] == "99"
    both = another_key(site, ada.service, "ledger:write", "ledger:grants")
    assert [one["status"] for one in batch(both, debit(), grant)] == [201, 201]


def test_invariant_12_linked_operations_are_done_together(ada: Organisation) -> None:
    other, hold = ada.open(), ada.hold()
    (told,) = batch(
        ada.service,
        linked(
            op("commit-hold", hold_id=hold, amount="5"),
            op("transfer", to_account_id=other, amount="20", reason="r"),
            op("debit", account_id=other, amount="1", reason="r"),
        ),
    )
    assert told["status"] == 200
    first, moved, spent = told["result"]["subject_ids"]
    assert first == hold and moved.startswith("move_") and spent.startswith("debit_")
    assert (ada.balance()["posted"], ada.balance(other)["posted"]) == ("75", "19")
    assert told["result"]["account_id"] == ada.account and told["result"]["posted"] == "75"
    assert done(ada.operator, f"/ledger/debits/{spent}/reverse", {"reason": "r", "account_id": other})["posted"] == "20"


def test_invariant_12_or_none_of_them_is_and_the_first_error_is_named(ada: Organisation) -> None:
    hold, before = ada.hold(), ada.balance()
    commit = op("commit-hold", hold_id=hold, amount="5")
    (told, after) = batch(ada.service, linked(commit, debit("1000"), debit("2000")), commit)
    assert (told["status"], told["problem"]["code"]) == (402, "insufficient-credits")
    assert (told["problem"]["linked_index"], told["problem"]["required"]) == (1, "1000")
    assert after["status"] == 200
    assert after["result"]["account_version"] == before["account_version"] + 1


def test_invariant_23_a_group_with_another_body_is_told_which_field_differs(ada: Organisation) -> None:
    group = linked(debit("1"), debit("2"))
    batch(ada.service, group)
    group["operations"][1]["amount"] = "3"
    (told,) = batch(ada.service, group)
    assert told["problem"]["code"] == "idempotency-key-conflict"
    assert told["problem"]["errors"][0]["pointer"] == "/operations/1/amount"


def test_invariant_13_a_dry_run_of_a_group_writes_nothing(ada: Organisation) -> None:
    head = ada.site.runtime.ledger.head()
    (told,) = batch(ada.service, linked(debit("1"), debit("2"), dry_run=True))
    assert told["status"] == 200 and told["result"]["posted"] == "97"
    assert ada.site.runtime.ledger.head() == head


def test_a_group_may_ask_for_the_version_that_was_read(ada: Organisation) -> None:
    version = ada.balance()["account_version"]
    late, good = (linked(debit(), expected_account_version=number) for number in (version - 1, version))
    assert [one["status"] for one in batch(ada.service, late, good)] == [409, 200]


@pytest.mark.parametrize("date", ["1999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
def test_a_date_that_the_ledger_takes_from_nobody_is_told_at_its_place(ada: Organisation, date: str) -> None:
    who = another_key(ada.site, ada.service, "ledger:write", "ledger:grants")
    wrong = op("grant", amount="1", kind="promo", effective_at=date)
    for one, pointer in ((wrong, "/operations/1"), (linked(debit(), wrong), "/operations/1/operations/1")):
        answer = who.post("/ledger/batch", {"operations": [debit(), one, wrong]})
        found = problem(answer, 422, "invalid-request")
        assert [error["pointer"] for error in found["errors"]] == [f"{pointer}/effective_at"]
