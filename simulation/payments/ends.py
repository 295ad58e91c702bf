"""What must hold of payments after every step, and at the end: what came in is what was credited, one to one."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from ledger.domain.codec import account_event
from ledger.domain.events import CreditsGranted, CreditsRevoked
from payments.domain import events, receipt
from payments.inbox import work_inbox
from payments.sweep import sweep_changes, sweep_charges
from simulation.payments.reading import money_of, payment_events, topups_of
from simulation.payments.stage import World

ROUNDS = 4


def receipts_are_final_once(world: World) -> None:
    """No receipt is final twice in a generation, and every one's legs add up."""
    seen = Counter((money.receipt_id, money.generation) for money in money_of(world.ledger))
    assert all(count == 1 for count in seen.values())
    for money in money_of(world.ledger):
        legs = money.net_micro + money.tax_micro + money.unapplied_micro + money.suspense_micro + money.fx_micro
        assert legs == money.value_micro
        assert min(money.net_micro, money.tax_micro, money.unapplied_micro, money.suspense_micro) >= 0


def grants_have_receipts(world: World, account_id: UUID) -> None:
    """Every grant of the account is named by one receipt event, once."""
    granted = [
        event
        for recorded in world.ledger.stream(account_id)
        if isinstance(event := account_event(recorded.state), CreditsGranted)
    ]
    named = [
        (event.grant_id, event.credits_ucr)
        for event in payment_events(world.ledger)
        if isinstance(event, events.ReceiptFinal | events.ReceiptApplied) and event.grant_id is not None
    ]
    assert sorted((event.grant_id, event.amount_ucr) for event in granted) == sorted(named)
    assert len({event.grant_id for event in granted}) == len(granted)


def the_customer_has_what_was_paid(world: World, account_id: UUID, spent_ucr: int) -> None:
    """So that no money that went back leaves credits to spend, and none that came back is lost."""
    finals = {money.receipt_id for money in money_of(world.ledger)}
    states = [receipt.fold(one, world.ledger.stream(one)) for one in finals]
    paid_ucr = sum(state.credits_ucr for state in states)
    assert all(state.credits_ucr == 0 for state in states if state.state == "reversed")
    balance = world.ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == paid_ucr - spent_ucr


def no_money_costs_twice(world: World, account_id: UUID) -> None:
    """The grants of a receipt cost no more than came in."""
    value = {money.receipt_id: money.value_micro for money in money_of(world.ledger)}
    cost: Counter[UUID] = Counter()
    receipts: dict[UUID, UUID] = {}
    for recorded in world.ledger.stream(account_id):
        event = account_event(recorded.state)
        if isinstance(event, CreditsGranted):
            assert event.receipt_id is not None
            cost[event.receipt_id] += event.cost_micro
            receipts[event.grant_id] = event.receipt_id
        if isinstance(event, CreditsRevoked) and event.ends:
            cost[receipts[event.grant_id]] = 0
    assert all(cost[receipt_id] <= value[receipt_id] for receipt_id in cost)


def settled(world: World) -> None:
    """Let everything settle, and compare the source with the log."""
    for _ in range(ROUNDS):
        world.clock.pass_s(1_000)
        world.driver.drive(sweep_changes("sandbox"))
        world.driver.drive(sweep_charges())
        while world.driver.drive(work_inbox(world.terms)):
            pass
    assert all(row["outcome"] is not None for row in world.tables.inbox)
    _source_and_log_agree(world)
    _whole_payments_brought_whole_quotes(world)


def _source_and_log_agree(world: World) -> None:
    final, reversed_, listed = set[str](), set[str](), set[str]()
    names: dict[object, str] = {}
    for event in payment_events(world.ledger):
        if isinstance(event, events.ReceiptFinal):
            names[event.receipt_id] = event.external_id
            final.add(event.external_id)
            reversed_.discard(event.external_id)
        elif isinstance(event, events.ReceiptReversed):
            final.remove(names[event.receipt_id])
            reversed_.add(names[event.receipt_id])
        elif isinstance(event, events.ReceiptListed):
            listed.add(event.external_id)
    movements = world.store.since(0, 10_000)
    there = {one.external_id for one in movements if one.state == "final"}
    assert there == final | (listed & there)
    assert reversed_ <= {one.external_id for one in movements if one.state == "reversed"}


def _whole_payments_brought_whole_quotes(world: World) -> None:
    for topup in topups_of(world.ledger):
        assert not topup.pending
        quoted = [part for part in topup.parts if part.case in ("partial", "exact")]
        if not any(part.case == "exact" for part in quoted) or any(p.reversed or p.returned for p in topup.parts):
            continue
        receipts = {part.receipt_id for part in quoted}
        booked = [
            event
            for event in payment_events(world.ledger)
            if isinstance(event, events.ReceiptFinal | events.ReceiptApplied) and event.receipt_id in receipts
        ]
        assert sum(part.credits_ucr for part in quoted) == topup.quote.credits_ucr
        assert sum(event.net_micro for event in booked) == topup.quote.cost_micro
        assert sum(event.tax_micro for event in booked) == topup.tax_micro
