"""Rules of the books that hold for every history."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import get_args
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.domain.account import Account, decode_account
from ledger.domain.codec import RecordedEvent, account_event, is_account_event, tag_of
from ledger.domain.events import AccountEvent, AccountOpened, CreditsTransferredOut
from ledger.domain.evolve import Rows, evolve_sums
from ledger.store.memory import MemoryLedger
from projections.books import chart
from projections.books.book import Book
from projections.books.deferred import Grant, leave
from projections.books.model import CREDIT
from projections.lines import Sums, line, opened
from tests.support.books import book_all
from tests.support.histories import History, random_ledger
from tests.support.ledger import ManualClock

HISTORIES = st.tuples(st.randoms(use_true_random=False), st.integers(1, 90))


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


class Replayed:
    """Accounts folded by the ledger's own rules, and statements by the line model: two paths beside the books'."""

    def __init__(self) -> None:
        self.accounts: dict[UUID, Account] = {}
        self.sums: dict[UUID, Sums] = {}
        self._rows = Rows()

    def take(self, recorded: RecordedEvent) -> None:
        """Fold an event; the statement must say what the account says at every version of it."""
        if not is_account_event(recorded.tag):
            return
        event = account_event(recorded.state)
        if isinstance(event, AccountOpened):
            self.accounts[event.account_id] = Account(account_id=event.account_id, organisation_id=UUID(int=0))
            self.sums[event.account_id] = opened(event, recorded)
        else:
            line(self.sums[recorded.stream_id], event, recorded)
        account, sums = self.accounts[recorded.stream_id], self.sums[recorded.stream_id]
        evolve_sums(account, self._rows, event)
        account.check()
        said = (account.version, account.posted_ucr, account.held_ucr, account.frozen_ucr, account.debt_ucr)
        assert said == (sums.account_version, sums.posted_ucr, sums.held_ucr, sums.frozen_ucr, sums.debt_ucr)

    def total(self, name: str) -> int:
        """One sum over all accounts."""
        return sum(getattr(account, name) for account in self.accounts.values())


@settings(max_examples=200)
@given(HISTORIES)
def test_invariant_01_05_09_32_35_the_identities_hold_at_every_sequence_of_any_history(
    history: tuple[Random, int],
) -> None:
    ledger = play(history)
    replayed, book = Replayed(), Book("USD")
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for recorded, entry in book_all(ledger.log(after=0, limit=100_000), book):
        for leg in entry.legs if entry else ():
            sums[leg.account, leg.commodity] += leg.amount
        deferred = {chart.DEFERRED_PACKS: 0, chart.DEFERRED_SUBSCRIPTIONS: 0}
        for grant in book.grants.values():
            if grant.kind in chart.DEFERRED:
                deferred[chart.DEFERRED[grant.kind]] += grant.deferred_micro
        assert {name: -sums[name, "USD"] for name in deferred} == deferred
        owed_micro = sum(tab.owed_micro for tab in book.tabs.values())
        assert sums[chart.RECEIVABLE_CUSTOMERS, "USD"] == owed_micro
        replayed.take(recorded)
        debt_ucr = replayed.total("debt_ucr")
        assert -sums[chart.AVAILABLE, CREDIT] == replayed.total("available_ucr") + debt_ucr
        assert -sums[chart.HELD, CREDIT] == replayed.total("held_ucr")
        assert -sums[chart.FROZEN, CREDIT] == replayed.total("frozen_ucr")
        assert sums[chart.DEBT, CREDIT] == debt_ucr
        if recorded.tag != tag_of(CreditsTransferredOut):
            assert (sums[chart.MOVING, CREDIT], sums[chart.TRANSFERS, "USD"]) == (0, 0)
    states = [decode_account(row.state) for row in ledger.database.accounts.values()]
    assert sum(state.posted_ucr for state in states) == replayed.total("posted_ucr")
    open_holds = [hold for hold in ledger.database.holds.values() if hold.state == "open"]
    assert -sums[chart.HELD, CREDIT] == sum(hold.remaining_ucr for hold in open_holds)


@settings(max_examples=100)
@given(HISTORIES)
def test_invariant_32_35_each_grant_of_any_history_has_gone_in_the_books_what_it_lost_in_the_ledger(
    history: tuple[Random, int],
) -> None:
    ledger = play(history)
    book = Book("USD")
    for _ in book_all(ledger.log(after=0, limit=100_000), book):
        pass
    live = [grant for row in ledger.database.accounts.values() for grant in decode_account(row.state).grants]
    gone = {grant.grant_id: grant.gone_ucr for grant in live}
    assert {grant_id: book.grants[grant_id].gone_ucr for grant_id in gone} == gone
    assert all(
        book.grants[grant_id].gone_ucr == book.grants[grant_id].granted_ucr for grant_id in {*book.grants} - {*gone}
    )


def test_every_event_of_the_catalogue_occurs_in_random_histories() -> None:
    """What a property says of any history, it says of every command."""
    tags = {event.tag for seed in range(40) for event in random_ledger(seed, 150).log(after=0, limit=100_000)}
    assert {tag_of(kind) for kind in get_args(AccountEvent)} <= tags
