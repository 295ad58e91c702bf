"""Rules of the books that the worked story does not tell."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args
from uuid import uuid4

import msgspec
import pytest
from msgspec import NODEFAULT

from ledger.domain import events
from ledger.domain.codec import NewEvent, RecordedEvent, encode_event, is_account_event
from payments.domain import events as payments
from projections.appends import Funding
from projections.books import chart
from projections.books.book import Book, decoded, needs
from projections.books.deferred import Grant
from projections.books.follower import booked_on
from projections.books.model import Entry, Leg, Legs, render
from projections.books.receipts import receipt_entry
from projections.books.rules import granted
from projections.errors import Unbookable
from projections.lines import Sums, line, movement
from projections.statement import StatementFollower
from tests.support.books import balances, receipt_applied, receipt_final
from workers.generation.events import JobCostRecorded, JobStarted

AT = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)


def recorded(event: Any, position: int = 1, version: int = 1) -> RecordedEvent:
    new = event if isinstance(event, NewEvent) else encode_event(event)
    return RecordedEvent(position, uuid4(), version, new.tag, new.state, AT, AT, None, b"")


def without_fields(tag: str) -> NewEvent:
    """An event that says nothing but its tag, in the form of its stream."""
    state = msgspec.msgpack.encode([tag]) if is_account_event(tag) else msgspec.json.encode({"type": tag})
    return NewEvent(tag, state)


def grant_event(**facts: Any) -> events.CreditsGranted:
    plain: dict[str, Any] = {"grant_id": uuid4(), "amount_ucr": 1_000, "kind": "paid", "priority": 1, "cost_micro": 70}
    return events.CreditsGranted(**plain | facts)


def reversed_(final: payments.ReceiptFinal, **facts: Any) -> payments.ReceiptReversed:
    plain: dict[str, Any] = {
        "receipt_id": final.receipt_id,
        "generation": 1,
        "rail": final.rail,
        "currency": "USD",
        "value_micro": final.value_micro,
        "credits_kept_ucr": 0,
        "reversed_at": AT,
    }
    return payments.ReceiptReversed(**plain | facts)


def test_credits_sold_without_a_receipt_are_owed_by_unapplied() -> None:
    entry, grant = granted(grant_event(), uuid4(), 1, None)
    sums = balances([entry])
    assert sums[chart.UNAPPLIED, "USD"] == 70
    assert sums[chart.DEFERRED_PACKS, "USD"] == -70 == -grant.deferred_micro


@pytest.mark.parametrize("kind", ["promo", "goodwill", "referral"])
def test_credits_that_nobody_paid_for_defer_nothing_even_with_a_cost(kind: str) -> None:
    entry, grant = granted(grant_event(kind=kind), uuid4(), 1, None)
    assert {leg.commodity for leg in entry.legs} == {"CREDIT"}
    assert grant.deferred_micro == 0


@pytest.mark.parametrize("facts", [{"net_micro": 69, "value_micro": 69}, {"currency": "EUR"}])
def test_a_receipt_that_does_not_pay_its_grant_is_unbookable(facts: dict[str, Any]) -> None:
    money = receipt_final(**{"net_micro": 70, "value_micro": 70} | facts)
    with pytest.raises(Unbookable, match="cost basis"):
        granted(grant_event(), uuid4(), 1, Funding(2, money))


def test_a_receipt_whose_parts_do_not_add_up_is_unbookable() -> None:
    with pytest.raises(Unbookable, match="parts"):
        receipt_entry(receipt_final(value_micro=10, suspense_micro=9), 1, {}, {})


def test_a_receipt_that_came_apart_from_its_grant_clears_what_unapplied_owes() -> None:
    event = grant_event()
    money = receipt_final(value_micro=84, net_micro=70, tax_micro=14, grant_id=event.grant_id)
    first, grant = granted(event, uuid4(), 1, None)
    second = receipt_entry(money, 9, {}, {grant.grant_id: grant})
    assert second is not None
    sums = balances([first, second])
    assert (chart.UNAPPLIED, "USD") not in sums
    assert sums[chart.tax_sales("USD"), "USD"] == -14


def test_a_reversal_takes_what_still_waits_and_loses_what_was_credited_until_the_money_is_back() -> None:
    final = receipt_final(value_micro=100, net_micro=60, tax_micro=10, unapplied_micro=30, grant_id=uuid4())
    book = Book("USD")
    sums = balances([receipt_entry(final, 1, book.receipts, {}), receipt_entry(reversed_(final), 2, book.receipts, {})])
    assert sums[chart.RAIL_LOSSES, "USD"] == 70
    assert sums[chart.UNAPPLIED, "USD"] == -60, "the net waits for its grant"
    assert ("Assets:Clearing:Sandbox", "USD") not in sums
    back = receipt_final(
        receipt_id=final.receipt_id,
        generation=2,
        case="restored",
        value_micro=100,
        net_micro=60,
        tax_micro=10,
        unapplied_micro=30,
    )
    restored = balances([receipt_entry(back, 3, book.receipts, {})])
    assert restored == {
        ("Assets:Clearing:Sandbox", "USD"): 100,
        (chart.RAIL_LOSSES, "USD"): -70,
        (chart.UNAPPLIED, "USD"): -30,
    }


def test_a_receipt_that_came_back_with_another_value_waits_and_the_loss_stays() -> None:
    final = receipt_final(value_micro=100, net_micro=100, grant_id=uuid4())
    back = receipt_final(case="restored", value_micro=90, suspense_micro=90)
    book = Book("USD")
    receipt_entry(final, 1, book.receipts, {})
    receipt_entry(reversed_(final), 2, book.receipts, {})
    assert balances([receipt_entry(back, 3, book.receipts, {})]) == {
        ("Assets:Clearing:Sandbox", "USD"): 90,
        (chart.suspense("sandbox"), "USD"): -90,
    }


def test_a_reversal_of_another_amount_or_of_nothing_is_unbookable() -> None:
    final = receipt_final(value_micro=100, suspense_micro=100)
    book = Book("USD")
    with pytest.raises(Unbookable, match="never booked"):
        receipt_entry(reversed_(final), 2, book.receipts, {})
    receipt_entry(final, 1, book.receipts, {})
    with pytest.raises(Unbookable, match="brought 100"):
        receipt_entry(reversed_(final, value_micro=99), 2, book.receipts, {})


def test_more_than_waits_cannot_be_applied() -> None:
    final = receipt_final(value_micro=100, unapplied_micro=100)
    book = Book("USD")
    receipt_entry(final, 1, book.receipts, {})
    applied = receipt_applied(receipt_id=final.receipt_id, net_micro=101, account_id=uuid4(), grant_id=uuid4())
    with pytest.raises(Unbookable, match="than waits"):
        receipt_entry(applied, 2, book.receipts, {})


def test_nothing_waits_in_a_receipt_that_was_reversed() -> None:
    final = receipt_final(value_micro=100, unapplied_micro=100)
    book = Book("USD")
    receipt_entry(final, 1, book.receipts, {})
    receipt_entry(reversed_(final), 2, book.receipts, {})
    applied = receipt_applied(receipt_id=final.receipt_id, net_micro=1, account_id=uuid4(), grant_id=uuid4())
    with pytest.raises(Unbookable, match="than waits"):
        receipt_entry(applied, 3, book.receipts, {})


def test_a_fee_is_booked_gross_at_its_share_of_the_value() -> None:
    entry = receipt_entry(
        receipt_final(value_micro=1_000_000, suspense_micro=1_000_000, amount_minor=100, fee_minor=3), 1, {}, {}
    )
    assert entry is not None
    assert Leg("Assets:Clearing:Sandbox", "USD", debit=1_000_000) in entry.legs
    assert Leg("Assets:Clearing:Sandbox", "USD", credit=30_000) in entry.legs
    assert Leg("Expenses:Processing:Sandbox", "USD", debit=30_000) in entry.legs


@pytest.mark.parametrize(("rail", "asset"), [("carrier-pigeon", "USD"), ("liquid", "SHELLS")])
def test_a_rail_or_asset_without_an_account_is_unbookable(rail: str, asset: str) -> None:
    with pytest.raises(Unbookable, match=asset if rail == "liquid" else rail):
        receipt_entry(receipt_final(rail=rail, asset=asset, value_micro=1, suspense_micro=1), 1, {}, {})


def test_a_use_of_a_grant_that_was_never_booked_and_a_grant_booked_twice_are_unbookable() -> None:
    book = Book("USD")
    grant = grant_event()
    debit = events.CreditsDebited(
        debit_id=uuid4(), amount_ucr=1, slices=(events.Slice(grant.grant_id, 1),), reason="fee"
    )
    for event, said in ((debit, "never booked"), (grant, ""), (grant, "booked before")):
        item = decoded(recorded(event))
        assert item is not None
        if said:
            with pytest.raises(Unbookable, match=said):
                book.entry(item, {})
        else:
            book.entry(item, {})


def test_only_events_that_books_must_know_are_read_and_an_unknown_one_of_these_is_unbookable() -> None:
    job = JobStarted(attempt_id=uuid4(), n=1)
    assert decoded(recorded(job)) is None
    assert decoded(recorded(NewEvent("customers.anything.v9", b"{}"))) is None
    for tag in ("ledger.credits-conjured.v1", "payments.receipt-final.v2"):
        with pytest.raises(Unbookable, match=tag):
            decoded(recorded(without_fields(tag)))


@pytest.mark.parametrize(
    "event",
    [
        events.BudgetSet(budget_id=uuid4(), organisation_id=uuid4(), subject="key", window="day", limit_ucr=1),
        events.VerdictsSealed(count=1, sha256="00"),
        events.LogForked(kept=1, size=2, root="00", operator_id=uuid4(), reason="fire"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_the_ledger_notes_beside_accounts_is_passed_over(event: Any) -> None:
    assert decoded(recorded(event)) is None
    assert list(StatementFollower().fold([recorded(event)])) == []


def test_every_event_of_payments_and_of_the_ledger_is_known_to_the_books() -> None:
    kinds = (*get_args(events.AccountEvent), *get_args(payments.PaymentEvent))
    assert len(kinds) > 20
    for kind in kinds:
        tag = kind.__struct_config__.tag
        if all(field.default is not NODEFAULT for field in msgspec.structs.fields(kind)):
            item = decoded(recorded(without_fields(tag)))
            assert item is not None
            assert type(item.event) is kind
        else:
            with pytest.raises(Unbookable, match=r"missing required field|at least length"):
                decoded(recorded(without_fields(tag)))


def test_what_a_batch_must_know_is_what_its_events_name() -> None:
    grant_id, final = uuid4(), receipt_final(value_micro=1, suspense_micro=1)
    expired = events.CreditsExpired(grant_id=grant_id, amount_ucr=1)
    items = [item for event in (expired, final, reversed_(final)) if (item := decoded(recorded(event)))]
    assert needs(items) == ({grant_id}, {final.receipt_id}, set(), set())


def test_unbilled_node_time_is_a_cost_and_free_time_is_no_entry() -> None:
    for cost, legs in ((350, 2), (0, 0)):
        item = decoded(recorded(JobCostRecorded(attempt_id=uuid4(), reason="late", gpu_ms=1, cost_micro=cost)))
        assert item is not None
        entry = Book("USD").entry(item, {})
        assert len(entry.legs if entry else ()) == legs


def test_invariant_04_a_leg_has_one_side_and_an_entry_balances() -> None:
    for sides in ((0, 0), (1, 1), (-1, 0)):
        with pytest.raises(AssertionError):
            Leg("Assets:A", "USD", *sides)
    legs = Legs()
    legs.debit("Assets:A", "USD", 2)
    legs.debit("Assets:A", "USD", 3)
    legs.credit("Income:B", "CREDIT", 5)
    assert legs.done()[0] == Leg("Assets:A", "USD", debit=5)
    with pytest.raises(AssertionError, match="balance"):
        Entry(kind="wrong", legs=legs.done())


@pytest.mark.parametrize(
    ("amount", "commodity", "text"),
    [
        (-727_272, "USD", "-0.727272"),
        (120_000_000, "USD", "120.00"),
        (0, "EUR", "0.00"),
        (-10_000_000_000, "CREDIT", "-10000"),
        (412_345_000, "CREDIT", "412.345"),
        (1, "CREDIT", "0.000001"),
        (27_412_000, "SAT", "27412.000"),
        (-46, "LBTC", "-0.00000046"),
        (10**18 + 1, "USD", "1000000000000.000001"),
    ],
)
def test_amounts_are_written_exactly(amount: int, commodity: str, text: str) -> None:
    assert render(amount, commodity) == text


def test_the_books_day_is_the_effective_day_in_utc() -> None:
    assert str(booked_on(datetime.fromisoformat("2026-04-01T01:30:00+02:00"))) == "2026-03-31"


def test_a_grant_never_gives_more_than_it_has() -> None:
    grant = Grant(
        grant_id=uuid4(),
        account_id=uuid4(),
        kind="paid",
        granted_ucr=10,
        cost_micro=7,
        list_value_micro=0,
        currency="USD",
        position=1,
    )
    item = decoded(recorded(events.CreditsExpired(grant_id=grant.grant_id, amount_ucr=11)))
    assert item is not None
    with pytest.raises(AssertionError, match="11 of 10"):
        Book("USD", [grant]).entry(item, {})


def test_a_commit_moves_posted_once_and_held_by_all_that_is_let_go() -> None:
    parts = (events.Slice(uuid4(), 580),)
    commit = events.HoldCommitted(
        hold_id=uuid4(), amount_ucr=580, slices=parts, final=True, returned=(events.Slice(uuid4(), 20),)
    )
    moved = movement(commit)
    assert moved is not None
    assert (moved.kind, moved.amount_ucr, moved.held_change_ucr) == ("commit", -580, -600)
    assert movement(events.HoldRenewed(hold_id=uuid4(), lease_until=AT)) is None


def test_a_gap_in_an_account_s_versions_is_never_written_over() -> None:
    sums = Sums(account_id=uuid4(), organisation_id=uuid4(), account_version=3, position=9)
    with pytest.raises(AssertionError, match="version 5 after 3"):
        line(sums, grant_event(), recorded(grant_event(), version=5))
