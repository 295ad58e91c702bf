"""Budgets: windows in UTC, what counts against them, what comes back, and in which window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from uuid import UUID, uuid5

import pytest

from ledger import errors
from ledger.domain import events
from ledger.domain.budgets import (
    ALWAYS,
    WINDOWS,
    Budget,
    Budgets,
    budget_of,
    may_set,
    moved_ucr,
    window_end,
    window_start,
)
from ledger.domain.commands import SetBudget
from ledger.domain.events import BudgetUse, BudgetWindow, Slice
from tests.support.domain import D1, D2, G1, H1, NOON, OURS, THEIRS, Life, after

B1, B2, B3 = (UUID(int=0xB10 + n, version=4) for n in range(3))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


CASES: list[tuple[BudgetWindow, str, str, str | None]] = [
    ("once", "2026-05-06T07:08:09.1", "1970-01-01", None),
    ("day", "2026-05-06T00:00:00", "2026-05-06", "2026-05-07"),
    ("day", "2026-05-06T23:59:59.999999", "2026-05-06", "2026-05-07"),
    ("week", "2026-05-04T00:00:00", "2026-05-04", "2026-05-11"),
    ("week", "2026-05-10T23:59:59.999999", "2026-05-04", "2026-05-11"),
    ("week", "2026-01-01T00:00:00", "2025-12-29", "2026-01-05"),
    ("month", "2026-02-01T00:00:00", "2026-02-01", "2026-03-01"),
    ("month", "2024-02-29T12:30:30", "2024-02-01", "2024-03-01"),
    ("month", "2026-01-31T23:59:59.999999", "2026-01-01", "2026-02-01"),
    ("month", "2026-12-31T01:01:01", "2026-12-01", "2027-01-01"),
]


@pytest.mark.parametrize(("window", "at", "start", "end"), CASES)
def test_a_moment_lies_in_one_window(window: BudgetWindow, at: str, start: str, end: str | None) -> None:
    found = window_start(window, utc(at))
    assert found == utc(start)
    assert window_end(window, found) == (None if end is None else utc(end))


@pytest.mark.parametrize("window", WINDOWS)
def test_windows_are_utc_wherever_the_moment_was_written(window: BudgetWindow) -> None:
    tokyo = datetime(2026, 3, 1, 8, 30, tzinfo=timezone(timedelta(hours=9)))
    start = window_start(window, tokyo)
    assert start == window_start(window, tokyo.astimezone(UTC)) and start.tzinfo is UTC
    assert start <= tokyo and start == window_start(window, start)
    end = window_end(window, start)
    if end is not None:
        assert window_start(window, end) == end and window_start(window, end - timedelta(microseconds=1)) == start
    assert window_start("once", tokyo) == ALWAYS


def test_a_window_that_nobody_knows_is_a_bug() -> None:
    for unknown in (window_start, window_end):
        with pytest.raises(AssertionError):
            unknown(cast("BudgetWindow", "year"), NOON)


def test_an_amount_up_to_the_limit_and_not_one_more() -> None:
    life = Life()
    use = life.budget(B1, 10, "day")
    assert use == BudgetUse(B1, utc("2026-01-01"))
    life.budgets.used_ucr[use] = 4
    assert life.budgets.take(OURS, [B1], 6, NOON) == (use,)
    with pytest.raises(errors.BudgetExceeded) as refusal:
        life.budgets.take(OURS, [B1], 7, NOON)
    assert refusal.value.facts == {
        "budget_id": str(B1),
        "limit_ucr": 10,
        "used_ucr": 4,
        "required_ucr": 7,
        "resets_at": "2026-01-02T00:00:00Z",
    }
    assert life.budgets.take(OURS, [B1], 10, NOON + timedelta(days=1)) == (BudgetUse(B1, utc("2026-01-02")),)
    assert life.budgets.used_ucr == {use: 4} and life.budgets.changed == {}


def test_a_budget_without_a_limit_only_counts() -> None:
    life = Life()
    use = life.budget(B1, None)
    life.budgets.used_ucr[use] = 10**18
    assert life.budgets.take(OURS, [B1], 10**15, NOON) == (use,)
    life.budget(B2, 0)
    with pytest.raises(errors.BudgetExceeded) as refusal:
        life.budgets.take(OURS, [B1, B2], 1, NOON)
    assert refusal.value.facts["budget_id"] == str(B2) and refusal.value.facts["resets_at"] is None


def test_every_budget_named_counts_and_is_asked_in_the_order_given() -> None:
    life = Life()
    one, two = life.budget(B1, 5), life.budget(B2, 3, "week")
    assert life.budgets.take(OURS, [B2, B1], 3, NOON) == (two, one)
    assert life.budgets.take(OURS, [], 10**9, NOON) == ()
    for named, first in (([B1, B2], B1), ([B2, B1], B2)):
        with pytest.raises(errors.BudgetExceeded) as refusal:
            life.budgets.take(OURS, named, 6, NOON)
        assert refusal.value.facts["budget_id"] == str(first)


def test_a_budget_of_nobody_or_of_another_organisation_is_unknown() -> None:
    life = Life()
    life.budget(B1, 5)
    for organisation_id, budget_id in ((THEIRS, B1), (OURS, B2)):
        with pytest.raises(errors.BudgetUnknown) as refusal:
            life.budgets.take(organisation_id, [budget_id], 1, NOON)
        assert refusal.value.facts == {"budget_id": str(budget_id)}


def test_used_rises_as_credits_are_taken_and_falls_as_they_return() -> None:
    life = Life()
    use = life.budget(B1, 10)

    def used() -> int:
        return life.budgets.used_ucr[use]

    life.grant(G1, 100)
    life.hold(H1, 4, cap_ucr=6, budgets=(B1,))
    assert used() == 4 and life.budgets.changed == {use: None}
    life.debit(D1, 5, budgets=(B1,))
    life.reverse(D1, 2)
    assert used() == 7
    life.commit(H1, 1, final=False)
    assert used() == 7
    life.commit(H1, 1)
    assert used() == 5
    life.reverse(H1, 1)
    life.reverse(D1)
    assert used() == 1
    life.debit(D2, 9, budgets=(B1,))
    assert used() == 10
    assert life.budgets.changed == {use: None}


def test_what_comes_back_falls_in_the_window_it_was_taken_in() -> None:
    life = Life()
    today = life.budget(B1, 10, "day")
    life.grant(G1, 100)
    life.hold(H1, 8, lease_s=9, budgets=(B1,))
    life.pass_s(24 * 3600)
    tomorrow = BudgetUse(B1, today.window_start + timedelta(days=1))
    life.debit(D1, 7, budgets=(B1,))
    life.expire()
    assert life.budgets.used_ucr == {today: 0, tomorrow: 7}


def moving(slices: tuple[Slice, ...]) -> list[tuple[Any, int]]:
    hold: dict[str, Any] = {"hold_id": H1, "amount_ucr": 7}
    ends: dict[str, Any] = hold | {"returned": slices}
    back: dict[str, Any] = {"reversal_id": G1, "debit_id": D1, "amount_ucr": 7, "slices": slices, "reason": "x"}
    return [
        (events.CreditsHeld(**hold, slices=slices, lease_until=NOON), 7),
        (events.HoldRaised(**hold, slices=slices), 7),
        (events.CreditsDebited(debit_id=D1, amount_ucr=7, slices=slices, reason="x"), 7),
        (events.HoldReleased(**ends, reason="x"), -7),
        (events.HoldExpired(**ends), -7),
        (events.CreditsReversed(**back), -7),
        (events.HoldCommitted(**hold, slices=slices, final=True, late=True), 7),
        (events.HoldCommitted(**hold, slices=(), final=True, returned=slices), -3),
        (events.HoldCommitted(**hold, slices=slices, final=False), 0),
        (events.HoldRenewed(hold_id=H1, lease_until=NOON), 0),
        (events.CreditsExpired(grant_id=G1, amount_ucr=7), 0),
    ]


def test_by_how_much_an_event_changes_what_is_used() -> None:
    for event, change in moving((Slice(G1, 1), Slice(D1, 2))):
        assert moved_ucr(event) == change, event


def test_more_back_than_was_taken_is_a_bug_and_nothing_moved_is_no_change() -> None:
    budgets, use = Budgets(), BudgetUse(B1, ALWAYS)
    budgets.apply(events.HoldRenewed(hold_id=H1, lease_until=NOON), [use])
    assert budgets.used_ucr == {} and budgets.changed == {}
    held = events.HoldRaised(hold_id=H1, amount_ucr=3, slices=())
    budgets.apply(held, [use, BudgetUse(B2, ALWAYS)])
    assert budgets.used_ucr == {use: 3, BudgetUse(B2, ALWAYS): 3} and list(budgets.changed) == list(budgets.used_ucr)
    budgets.apply(events.HoldExpired(hold_id=H1, amount_ucr=3, returned=()), [use])
    assert budgets.used_ucr[use] == 0
    with pytest.raises(AssertionError, match=r"^more came back to a budget than was taken$"):
        budgets.apply(events.HoldExpired(hold_id=H1, amount_ucr=1, returned=()), [use])


def test_a_budget_is_what_its_last_event_says() -> None:
    said: dict[str, Any] = {"budget_id": B1, "organisation_id": OURS, "subject": "member", "window": "week"}
    event = events.BudgetSet(**said, limit_ucr=5)
    assert budget_of(event, 3, b"hash") == Budget(**said, limit_ucr=5, version=3, hash=b"hash")


def test_budgets_begin_with_what_was_read() -> None:
    life = Life()
    life.budget(B1, 5)
    used = {BudgetUse(B1, ALWAYS): 2}
    budgets = Budgets(life.budgets.known.values(), used)
    assert budgets.known == life.budgets.known and budgets.used_ucr is used and budgets.changed == {}


def test_a_budget_is_set_by_its_organisation_alone() -> None:
    life = Life()
    life.budget(B1, 5)

    def setting(budget_id: UUID, organisation_id: UUID) -> SetBudget:
        return SetBudget(budget_id=budget_id, organisation_id=organisation_id, subject="key", window="day")

    may_set(life.budgets, setting(B1, OURS))
    may_set(life.budgets, setting(B2, THEIRS))
    with pytest.raises(errors.BudgetUnknown) as refusal:
        may_set(life.budgets, setting(B1, THEIRS))
    assert refusal.value.facts == {"budget_id": str(B1)}
    may_set(life.budgets, setting(UUID("00000000-0000-7000-8000-000000000000"), OURS))
    for taken in (UUID(int=0), UUID(int=1), uuid5(B1, "a name"), UUID("7c3e2a90-5b1d-8f42-9a6b-0d1e2f3a4b5c")):
        with pytest.raises(errors.BudgetUnknown) as refusal:
            may_set(life.budgets, setting(taken, OURS))
        assert refusal.value.facts == {"budget_id": str(taken)}


def test_a_refused_budget_refuses_the_command_and_takes_nothing() -> None:
    life = Life()
    life.budget(B1, 5, "month")
    life.grant(G1, 100)
    facts: dict[str, Any] = {"budget_id": str(B1), "limit_ucr": 5, "used_ucr": 0, "required_ucr": 6}
    for events_of in (lambda: life.hold(H1, 6, budgets=(B1,)), lambda: life.debit(D1, 6, budgets=(B1,))):
        with pytest.raises(errors.BudgetExceeded) as refusal:
            events_of()
        assert refusal.value.facts == facts | {"resets_at": "2026-02-01T00:00:00Z"}
    assert life.sums == (100, 0, 0, 100) and after(0) == NOON
