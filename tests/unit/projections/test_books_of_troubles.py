"""What disputes, refunds, debt, transfers and adjustments are in the books: figures as a bookkeeper writes them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.domain import commands
from ledger.store.memory import MemoryLedger
from payments.domain import events as payments
from projections.books.follower import booked_on
from projections.books.replay import replay
from tests.support.books import append, balances, book_all, buy, receipt_final
from tests.support.ledger import CREDIT, ManualClock, done, hold, open_account

Legs = dict[tuple[str, str], int]


class Desk:
    """One account on a ledger in memory; ``booked`` is what the last step moved, in credits and dollars."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.account_id = open_account(self.ledger, overdraft_limit_ucr=1_000 * CREDIT)
        self.seen = 0

    def buy(self, amount: int, dollars: float, tax: float = 0, **more: Any) -> tuple[UUID, UUID]:
        """Paid credits, with their receipt; list price is a cent."""
        return buy(
            self.ledger,
            self.account_id,
            amount_ucr=amount * CREDIT,
            cost_micro=micro(dollars),
            list_value_micro=amount * 10_000,
            receipt={"tax_micro": micro(tax)},
            **more,
        )

    def do(self, kind: type[Any], /, **facts: Any) -> None:
        """A command of the account."""
        done(self.ledger, kind(account_id=self.account_id, **facts))

    def spend(self, amount: int) -> UUID:
        """A debit; its id."""
        debit_id = uuid4()
        self.do(commands.DebitCredits, debit_id=debit_id, amount_ucr=amount * CREDIT, reason="fee")
        return debit_id

    def goes_back(self, grant_id: UUID, receipt_id: UUID, dollars: float, cause: Any) -> None:
        """The source takes the money back, and the credits go in the same append."""
        gone = payments.ReceiptReversed(
            receipt_id=receipt_id,
            generation=1,
            rail="sandbox",
            currency="USD",
            value_micro=micro(dollars),
            credits_kept_ucr=0,
            reversed_at=self.clock.now(),
            cause=cause,
        )
        command = commands.RevokeCredits(account_id=self.account_id, grant_id=grant_id, cause=cause)
        append(self.ledger, [(receipt_id, 1, gone)], command)

    def comes_back(self, receipt_id: UUID, amount: int, dollars: float, tax: float) -> None:
        """The same money as the receipt's second generation, with a grant of its own."""
        grant_id = uuid4()
        final = receipt_final(
            receipt_id=receipt_id,
            generation=2,
            case="restored",
            value_micro=micro(dollars) + micro(tax),
            net_micro=micro(dollars),
            tax_micro=micro(tax),
            account_id=self.account_id,
            grant_id=grant_id,
        )
        command = commands.GrantCredits(
            account_id=self.account_id,
            grant_id=grant_id,
            amount_ucr=amount * CREDIT,
            kind="paid",
            cost_micro=micro(dollars),
            receipt_id=receipt_id,
            generation=2,
        )
        append(self.ledger, [(receipt_id, 2, final)], command)

    @property
    def booked(self) -> dict[str, float]:
        """What was booked since this was asked last, by account; fiat and credits by their names."""
        all_booked = list(book_all(self.ledger.log(after=0, limit=10_000)))
        found = balances(entry for recorded, entry in all_booked if recorded.position > self.seen)
        self.seen = self.ledger.head()
        return {name: amount / 1_000_000 for (name, _), amount in found.items()}

    @property
    def sums(self) -> dict[str, float]:
        """All of the books so far."""
        self.seen = 0
        return self.booked


def fiat(sums: dict[str, float]) -> dict[str, float]:
    """Without the units, which tell what happened."""
    return {name: amount for name, amount in sums.items() if not name.startswith("Equity:")}


def micro(dollars: float) -> int:
    return round(dollars * 1_000_000)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_overdraft_is_sold_on_credit_at_the_last_list_price_and_repaid_by_paid_credits(desk: Desk) -> None:
    desk.buy(100, 1.2)
    assert desk.booked
    desk.spend(300)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 1.2,
        "Assets:Receivable:Customers": 2.0,
        "Income:Usage:Gross": -3.2,
        "Equity:Credits:Customer:Available": 100.0,
        "Equity:Credits:Customer:Debt": 200.0,
        "Equity:Credits:Consumed": -300.0,
    }
    desk.buy(1_000, 8)
    assert desk.booked == {
        "Assets:Clearing:Sandbox": 8.0,
        "Liabilities:Deferred:CreditPacks": -6.4,
        "Assets:Receivable:Customers": -2.0,
        "Income:Usage:Gross": 0.4,
        "Equity:Credits:Customer:Available": -800.0,
        "Equity:Credits:Issued:Paid": 1_000.0,
        "Equity:Credits:Customer:Debt": -200.0,
    }, "1.60 for a receivable of 2.00: the difference lowers usage"


def test_a_held_overdraft_becomes_debt_when_it_is_committed(desk: Desk) -> None:
    desk.buy(100, 1)
    hold_id = hold(desk.ledger, desk.account_id, 150 * CREDIT)
    assert desk.booked["Equity:Credits:Customer:Held"] == -150
    desk.do(commands.CommitHold, hold_id=hold_id, amount_ucr=120 * CREDIT)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 1.0,
        "Assets:Receivable:Customers": 0.2,
        "Income:Usage:Gross": -1.2,
        "Equity:Credits:Customer:Held": 150.0,
        "Equity:Credits:Consumed": -120.0,
        "Equity:Credits:Customer:Available": -50.0,
        "Equity:Credits:Customer:Debt": 20.0,
    }


def test_a_dispute_freezes_what_is_free_and_what_holds_give_back_until_it_is_won(desk: Desk) -> None:
    grant_id, _ = desk.buy(3_000, 30, 6)
    hold_id = hold(desk.ledger, desk.account_id, 200 * CREDIT)
    assert desk.booked
    desk.do(commands.FreezeGrant, grant_id=grant_id, reason="dispute")
    frozen = {"Equity:Credits:Customer:Available": 2_800.0, "Equity:Credits:Customer:Frozen": -2_800.0}
    assert desk.booked == frozen
    desk.do(commands.CommitHold, hold_id=hold_id, amount_ucr=150 * CREDIT)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 1.5,
        "Income:Usage:Gross": -1.5,
        "Equity:Credits:Customer:Held": 200.0,
        "Equity:Credits:Consumed": -150.0,
        "Equity:Credits:Customer:Frozen": -50.0,
    }
    desk.do(commands.UnfreezeGrant, grant_id=grant_id, reason="won")
    thawed = {"Equity:Credits:Customer:Frozen": 2_850.0, "Equity:Credits:Customer:Available": -2_850.0}
    assert desk.booked == thawed


def test_feature_M2_4_a_lost_dispute_takes_the_deferred_rest_and_the_tax_of_what_was_not_spent(desk: Desk) -> None:
    grant_id, _ = desk.buy(6_000, 60, 12)
    desk.spend(500)
    desk.do(commands.FreezeGrant, grant_id=grant_id, reason="dispute")
    assert desk.booked
    desk.do(commands.RevokeCredits, grant_id=grant_id, cause="dispute")
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 55.0,
        "Liabilities:Tax:Sales:USD": 11.0,
        "Assets:Receivable:Disputes": -66.0,
        "Equity:Credits:Customer:Frozen": 5_500.0,
        "Equity:Credits:Customer:Debt": 500.0,
        "Equity:Credits:Revoked": -6_000.0,
    }, "the rest of the 72.00, a loss of 6.00, is for the source's event"
    desk.buy(1_000, 10)
    assert desk.booked == {
        "Assets:Clearing:Sandbox": 10.0,
        "Liabilities:Deferred:CreditPacks": -5.0,
        "Income:Disputes:Recovered": -5.0,
        "Equity:Credits:Customer:Available": -500.0,
        "Equity:Credits:Issued:Paid": 1_000.0,
        "Equity:Credits:Customer:Debt": -500.0,
    }


@pytest.mark.parametrize(
    ("cause", "loss"),
    [
        ("reorganisation", "Expenses:Rail:Losses"),
        ("dispute", "Expenses:Disputes:Losses"),
        ("refund", "Expenses:Disputes:Losses"),
    ],
)
def test_feature_M2_4_money_that_went_back_takes_its_rest_and_loses_what_was_spent(
    desk: Desk, cause: str, loss: str
) -> None:
    grant_id, receipt_id = desk.buy(5_000, 50, 10)
    desk.spend(500)
    assert desk.booked
    desk.goes_back(grant_id, receipt_id, 60, cause)
    assert desk.booked == {
        "Assets:Clearing:Sandbox": -60.0,
        "Liabilities:Deferred:CreditPacks": 45.0,
        "Liabilities:Tax:Sales:USD": 9.0,
        loss: 6.0,
        "Equity:Credits:Customer:Available": 4_500.0,
        "Equity:Credits:Customer:Debt": 500.0,
        "Equity:Credits:Revoked": -5_000.0,
    }


@pytest.mark.parametrize("cause", ["reorganisation", "dispute", "refund"])
@pytest.mark.parametrize("held", [0, 300])
def test_a_reorganised_receipt_that_returns_leaves_the_books_as_if_nothing_had_been(
    desk: Desk, held: int, cause: str
) -> None:
    grant_id, receipt_id = desk.buy(5_000, 50, 10)
    desk.spend(500)
    hold_id = hold(desk.ledger, desk.account_id, held * CREDIT) if held else None
    before = desk.sums
    desk.goes_back(grant_id, receipt_id, 60, cause)
    desk.comes_back(receipt_id, 5_000, 50, 10)
    if hold_id is not None:
        desk.do(commands.ReleaseHold, hold_id=hold_id, reason="job-failed")
    after = desk.sums
    lost = after.pop("Expenses:Disputes:Losses", 0.0) + after.pop("Income:Disputes:Recovered", 0.0)
    assert lost == 0.0, "what a dispute lost was recovered"
    assert fiat(after) == fiat(before)
    balance = desk.ledger.balance(desk.account_id)
    assert balance is not None
    assert balance.available_ucr == 4_500 * CREDIT


@pytest.mark.parametrize(
    ("cause", "account"),
    [
        ("refund", "Liabilities:Refunds:Payable:USD"),
        ("downgrade", "Liabilities:CustomerBalance"),
        ("correction", "Income:Breakage"),
    ],
)
def test_what_revoked_credits_had_deferred_goes_where_the_cause_says(desk: Desk, cause: str, account: str) -> None:
    grant_id, _ = desk.buy(4_400, 40)
    assert desk.booked
    desk.do(commands.RevokeCredits, grant_id=grant_id, cause=cause, amount_ucr=1_100 * CREDIT)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 10.0,
        account: -10.0,
        "Equity:Credits:Customer:Available": 1_100.0,
        "Equity:Credits:Revoked": -1_100.0,
    }


def test_invariant_34_a_reversal_takes_exactly_the_revenue_back_of_every_kind(desk: Desk) -> None:
    desk.do(
        commands.GrantCredits,
        grant_id=uuid4(),
        amount_ucr=7 * CREDIT,
        kind="promo",
        priority=1,
        list_value_micro=70_001,
    )
    desk.buy(3, 0.1)
    before = desk.sums
    debit_id = desk.spend(12)
    assert desk.sums != before
    desk.do(commands.ReverseDebit, reversal_id=uuid4(), debit_id=debit_id, reason="bad-picture")
    assert desk.sums == before


def test_a_transfer_moves_what_is_deferred_and_nothing_stays_between(desk: Desk) -> None:
    to_account_id = uuid4()
    balance = desk.ledger.balance(desk.account_id)
    assert balance is not None
    done(
        desk.ledger,
        commands.OpenAccount(account_id=to_account_id, organisation_id=balance.organisation_id),
    )
    desk.buy(3, 0.1)
    desk.spend(1)
    before = desk.sums
    facts = {"to_account_id": to_account_id, "transfer_id": uuid4(), "amount_ucr": CREDIT, "reason": "team"}
    desk.do(commands.TransferCredits, **facts)
    assert desk.sums == before
    debit = commands.DebitCredits(account_id=to_account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="fee")
    desk.spend(1)
    done(desk.ledger, debit)
    assert desk.sums["Income:Usage:Gross"] == -0.1, "to the last micro, on both accounts"
    assert "Liabilities:Deferred:CreditPacks" not in desk.sums


def test_what_does_not_roll_over_is_breakage(desk: Desk) -> None:
    grant_id, _ = desk.buy(100, 1, lifetime_s=60)
    assert desk.booked
    desk.do(commands.ExtendGrant, grant_id=grant_id, lifetime_s=600, keep_ucr=60 * CREDIT)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 0.4,
        "Income:Breakage": -0.4,
        "Equity:Credits:Customer:Available": 40.0,
        "Equity:Credits:Expired": -40.0,
    }
    desk.do(commands.ExtendGrant, grant_id=grant_id, lifetime_s=900)
    assert desk.booked == {}, "a later end alone moves nothing"


@pytest.mark.parametrize(
    ("cause", "amount", "money", "units"),
    [
        ("dormant", -50, "Liabilities:Escheat", "Equity:Credits:Escheated"),
        ("correction", -50, "Income:Breakage", "Equity:Credits:Revoked"),
        ("compensation", 50, None, "Equity:Credits:Issued:Goodwill"),
    ],
)
def test_an_adjustment_is_booked_by_its_cause_on_the_day_it_is_meant_for(
    desk: Desk, cause: str, amount: int, money: str | None, units: str
) -> None:
    desk.buy(100, 1)
    assert desk.booked
    desk.do(
        commands.AdjustBalance,
        adjustment_id=uuid4(),
        amount_ucr=amount * CREDIT,
        cause=cause,
        operator_id=uuid4(),
        approver_id=uuid4(),
        effective_at=desk.clock.now() - timedelta(days=31),
    )
    expected = {"Equity:Credits:Customer:Available": float(-amount), units: float(amount)}
    if money is not None:
        expected |= {"Liabilities:Deferred:CreditPacks": 0.5, money: -0.5}
    assert desk.booked == expected
    assert str(booked_on(desk.ledger.log(after=desk.ledger.head() - 1, limit=1)[0].effective_at)) == "2025-12-01"


def test_a_late_commit_takes_what_is_free_and_is_revenue_as_any_other(desk: Desk) -> None:
    desk.buy(100, 1)
    hold_id = hold(desk.ledger, desk.account_id, 30 * CREDIT, lease_s=10)
    desk.clock.pass_s(20)
    desk.do(commands.ExpireHold, hold_id=hold_id)
    assert desk.booked
    desk.do(commands.CommitHold, hold_id=hold_id, amount_ucr=30 * CREDIT, late=True)
    assert desk.booked == {
        "Liabilities:Deferred:CreditPacks": 0.3,
        "Income:Usage:Gross": -0.3,
        "Equity:Credits:Customer:Available": 30.0,
        "Equity:Credits:Consumed": -30.0,
    }


@pytest.mark.parametrize("cause", ["dispute", "reorganisation"])
def test_what_was_held_when_the_money_went_makes_good_a_part_of_the_loss(desk: Desk, cause: str) -> None:
    grant_id, receipt_id = desk.buy(5_000, 50, 10)
    hold_id = hold(desk.ledger, desk.account_id, 300 * CREDIT)
    desk.goes_back(grant_id, receipt_id, 60, cause)
    loss = "Expenses:Rail:Losses" if cause == "reorganisation" else "Expenses:Disputes:Losses"
    assert desk.sums[loss] == 3.6
    desk.do(commands.ReleaseHold, hold_id=hold_id, reason="job-failed")
    assert fiat(desk.sums) == {}


def test_an_export_is_replayed_in_the_order_of_the_log_whatever_day_an_entry_is_booked_on(tmp_path: Path) -> None:
    entries = {
        "2025-12.beancount": [("2025-12-20", 3, "gone", "g -4.000000", "-0.04")],
        "2026-01.beancount": [
            ("2026-01-05", 1, "issued", "g 10.000000 0.10 paid", "-0.10"),
            ("2026-01-06", 2, "gone", "g 4.000000", "0.04"),
        ],
    }
    for name, found in entries.items():
        text = "".join(
            f'{day} * "x"\n  event: "{event}"\n  {fact}: "{value}"\n  Liabilities:Deferred:CreditPacks {usd} USD\n\n'
            for day, event, fact, value, usd in found
        )
        (tmp_path / name).write_text(text)
    assert replay(sorted(tmp_path.iterdir())) == []


def test_what_an_account_is_told_about_its_life_is_no_entry(desk: Desk) -> None:
    assert desk.booked == {}
    desk.do(commands.SetPolicy, overdraft_limit_ucr=5)
    desk.do(commands.FreezeAccount, reason="fraud-review")
    desk.do(commands.UnfreezeAccount, reason="cleared")
    desk.do(commands.CloseAccount, reason="asked")
    assert desk.booked == {}
