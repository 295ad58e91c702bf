"""Rules of the books that hold for every history."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.account import decode_account
from ledger.domain.codec import RecordedEvent, account_event
from ledger.store.memory import MemoryLedger
from projections.books import chart
from projections.books.book import Book
from projections.books.deferred import Grant, leave
from projections.books.model import CREDIT
from projections.lines import movement
from tests.support.books import book_all
from tests.support.histories import History
from tests.support.ledger import ManualClock

HISTORIES = st.tuples(st.randoms(use_true_random=False), st.integers(1, 60))


def grant_of(total: int, granted: int, kind: str = "paid") -> Grant:
    return Grant(
        grant_id=uuid4(),
        account_id=uuid4(),
        kind=kind,  # pyright: ignore[reportArgumentType]  any kind
        granted_ucr=granted,
        cost_micro=total,
        list_value_micro=total,
        currency="USD",
        position=1,
    )


@given(st.integers(0, 10**15), st.integers(1, 10**15), st.data())
def test_invariant_35_however_a_grant_is_split_its_deferred_rest_ends_at_exactly_zero(
    total: int, granted: int, data: st.DataObject
) -> None:
    grant = grant_of(total, granted)
    left, taken = granted, 0
    for _ in range(20):
        part = data.draw(st.integers(1, left))
        deferred_micro, _ = leave(grant, part)
        assert deferred_micro >= 0
        taken += deferred_micro
        left -= part
        assert grant.deferred_micro == total - taken
        if not left:
            break
    if left:
        taken += leave(grant, left)[0]
    assert (grant.deferred_micro, taken) == (0, total)


@given(st.integers(1, 10**12), st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_invariant_03_the_remainder_does_not_depend_on_how_a_grant_was_split_before(
    total: int, parts: list[int]
) -> None:
    whole, split = grant_of(total, sum(parts) + 1), grant_of(total, sum(parts) + 1)
    assert leave(whole, sum(parts))[0] == sum(leave(split, part)[0] for part in parts)


def play(history: tuple[Random, int]) -> MemoryLedger:
    clock = ManualClock()
    ledger = MemoryLedger(clock)
    History(ledger, clock, history[0]).play(history[1])
    return ledger


@settings(max_examples=150)
@given(HISTORIES)
def test_invariant_01_02_04_every_entry_of_any_history_balances_and_has_sides_above_zero(
    history: tuple[Random, int],
) -> None:
    for _, entry in book_all(play(history).log(after=0, limit=100_000)):
        if entry is None:
            continue
        sums: defaultdict[str, int] = defaultdict(int)
        for leg in entry.legs:
            assert min(leg.debit, leg.credit) == 0 < max(leg.debit, leg.credit)
            sums[leg.commodity] += leg.debit - leg.credit
        assert set(sums.values()) == {0}


@settings(max_examples=150)
@given(HISTORIES)
def test_invariant_05_35_the_identities_hold_at_every_sequence_of_any_history(history: tuple[Random, int]) -> None:
    ledger = play(history)
    log = ledger.log(after=0, limit=100_000)
    replayed = MemoryReplay()
    book = Book("USD")
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for recorded, entry in book_all(log, book):
        for leg in entry.legs if entry else ():
            sums[leg.account, leg.commodity] += leg.amount
        deferred = {chart.DEFERRED_PACKS: 0, chart.DEFERRED_SUBSCRIPTIONS: 0}
        for grant in book.grants.values():
            if grant.kind in chart.DEFERRED:
                deferred[chart.DEFERRED[grant.kind]] += grant.deferred_micro
        assert {name: -sums[name, "USD"] for name in deferred} == deferred
        posted, held = replayed.take(recorded)
        assert -sums[chart.AVAILABLE, CREDIT] == posted - held
        assert -sums[chart.HELD, CREDIT] == held
    states = [decode_account(row.state) for row in ledger.database.accounts.values()]
    assert sum(state.posted_ucr for state in states) == replayed.posted_ucr
    open_holds = [hold for hold in ledger.database.holds.values() if hold.state == "open"]
    assert -sums[chart.HELD, CREDIT] == sum(hold.remaining_ucr for hold in open_holds)


class MemoryReplay:
    """Posted and held of all accounts, from the line model of statements: another path than the books'."""

    def __init__(self) -> None:
        self.posted_ucr = 0
        self.held_ucr = 0

    def take(self, recorded: RecordedEvent) -> tuple[int, int]:
        """Sums after an event."""
        if recorded.tag.startswith("ledger.") and (moved := movement(account_event(recorded.state))):
            self.posted_ucr += moved.amount_ucr
            self.held_ucr += moved.held_change_ucr
        return self.posted_ucr, self.held_ucr
