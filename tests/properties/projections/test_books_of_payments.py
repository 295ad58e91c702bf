"""Books over the state machine of payments: whatever money does, the books say what payments say."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from payments.domain import receipt
from payments.domain.events import ReceiptFinal
from projections.books import chart
from projections.books.book import Book
from tests.properties.payments.test_settlement_machine import Settlement
from tests.support.books import balances, book_all
from tests.support.payments import money_of


class BookedSettlement(Settlement):
    """The same machine, booked after every step."""

    @invariant()
    def the_books_say_what_payments_say(self) -> None:
        ledger = self.world.ledger
        book = Book("USD")
        sums = balances(entry for _, entry in book_all(ledger.log(after=0, limit=100_000), book))
        finals: dict[object, ReceiptFinal] = {money.receipt_id: money for money in money_of(ledger)}
        states = [receipt.fold(one.receipt_id, ledger.stream(one.receipt_id)) for one in finals.values()]
        there = [state for state in states if state.state == "final"]
        assert sums.get(("Assets:Clearing:Sandbox", "USD"), 0) == sum(state.value_micro for state in there) - sums.get(
            ("Expenses:Processing:Sandbox", "USD"), 0
        )
        assert -sums.get((chart.UNAPPLIED, "USD"), 0) == sum(state.unapplied_micro for state in there)
        assert -sums.get((chart.suspense("sandbox"), "USD"), 0) == sum(state.suspense_micro for state in there)
        deferred_micro = sum(grant.deferred_micro for grant in book.grants.values())
        assert -sums.get((chart.DEFERRED_PACKS, "USD"), 0) == deferred_micro
        assert -sums.get((chart.tax_sales("USD"), "USD"), 0) == sum(one.tax_micro for one in book.receipts.values())
        if not self.spent_ucr:
            there_micro = sum(state.net_micro for state in there)
            taxes_micro = sum(state.tax_micro for state in there)
            assert deferred_micro == there_micro, "what stayed paid and is not used"
            assert -sums.get((chart.tax_sales("USD"), "USD"), 0) == taxes_micro
            assert sums.get((chart.RAIL_LOSSES, "USD"), 0) == 0, "a reversal takes back what it had brought"

    def teardown(self) -> None:
        """What payments promise at the end is theirs to prove."""


def test_invariant_35_the_books_agree_with_payments_after_every_step_of_any_payment() -> None:
    run_state_machine_as_test(BookedSettlement, settings=settings(max_examples=60, stateful_step_count=25))
