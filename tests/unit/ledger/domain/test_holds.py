"""Rules of holds: taken, renewed, raised, resolved exactly once, finished late; every field of what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from ledger import limits
from ledger.domain import commands, events
from ledger.domain.events import OVERDRAFT, BudgetUse, Slice
from ledger.domain.rules import holds
from tests.support.domain import (
    D1,
    D2,
    G1,
    G2,
    G3,
    H1,
    H2,
    H3,
    JOB,
    MINE,
    NOON,
    OTHER,
    OURS,
    STRANGER,
    WHO,
    Life,
    after,
)


def asked(**more: Any) -> commands.HoldCredits:
    fields: dict[str, Any] = WHO | {"hold_id": H1, "amount_ucr": 7, "lease_s": 60} | more
    return commands.HoldCredits(**fields)


def rich(**policy: int) -> Life:
    """An account with 4 and 6 credits, to be burnt in this order."""
    life = Life(**policy)
    life.grant(G1, 4, priority=1)
    life.grant(G2, 6, priority=2)
    return life


def test_a_hold_pins_slices_in_burn_order_and_says_all_that_was_asked() -> None:
    life = rich()
    use = life.budget(D1, 100)
    assert life.do(asked(reference=JOB, cap_ucr=9, budgets=(D1,))) == [
        events.CreditsHeld(
            hold_id=H1,
            amount_ucr=7,
            slices=(Slice(G1, 4), Slice(G2, 3)),
            lease_until=after(60),
            reference=JOB,
            cap_ucr=9,
            budgets=(use,),
        )
    ]
    assert life.sums == (10, 7, 0, 3) and life.account.open_holds == 1
    hold = life.rows.holds[H1]
    assert (hold.hold_id, hold.account_id, hold.state, hold.amount_ucr, hold.committed_ucr) == (H1, MINE, "open", 7, 0)
    assert (hold.slices, hold.spent, hold.budgets) == ((Slice(G1, 4), Slice(G2, 3)), (), (use,))
    assert (hold.lease_until, hold.reference, hold.cap_ucr, hold.remaining_ucr) == (after(60), JOB, 9, 7)
    assert (hold.opened_at, hold.opened_position, hold.resolved_at) == (NOON, life.position, None)


def test_a_hold_that_asks_for_nothing_more_gets_nothing_more() -> None:
    held = cast("events.CreditsHeld", rich().do(asked())[0])
    assert (held.reference, held.cap_ucr, held.budgets) == (None, 0, ())


@pytest.mark.parametrize("limit", [0, 5])
def test_a_hold_up_to_what_is_available_and_not_one_more(limit: int) -> None:
    life = rich(overdraft_limit_ucr=limit)
    life.hold(H2, 2)
    facts: dict[str, Any] = {"overdraft_limit_ucr": limit} if limit else {}
    life.refuses(
        asked(amount_ucr=9 + limit),
        "insufficient-credits",
        required_ucr=9 + limit,
        available_ucr=8,
        held_ucr=2,
        **facts,
    )
    held = cast("events.CreditsHeld", life.do(asked(amount_ucr=8 + limit))[0])
    overdraft = (Slice(OVERDRAFT, limit),) if limit else ()
    assert held.slices == (Slice(G1, 2), Slice(G2, 6), *overdraft)
    assert life.sums == (10, 10 + limit, 0, -limit) and life.account.overdraft_held_ucr == limit


def test_the_most_open_holds_are_bounded_and_one_that_ended_makes_room() -> None:
    life = rich(max_open_holds=2)
    life.hold(H2, 1)
    life.hold(H3, 1)
    life.refuses(asked(), "too-many-holds", open_holds=2, max_open_holds=2)
    life.do(commands.SetPolicy(**WHO, max_open_holds=1))
    life.refuses(asked(), "too-many-holds", open_holds=2, max_open_holds=1)
    life.do(commands.SetPolicy(**WHO, max_open_holds=3))
    life.do(asked())


def test_a_hold_is_taken_once_whatever_became_of_it() -> None:
    life = rich()
    life.do(asked())
    life.refuses(asked(), "hold-exists", hold_id=str(H1), state="open")
    life.release()
    life.refuses(asked(), "hold-exists", hold_id=str(H1), state="released")
    life.debit(D1, 1)
    life.refuses(asked(hold_id=D1), "hold-exists", hold_id=str(D1), state="debited")


def test_a_cap_lies_at_or_above_what_is_held() -> None:
    life = rich()
    life.refuses(asked(cap_ucr=6), "raise-above-cap", hold_id=str(H1), amount_ucr=7, cap_ucr=6)
    life.refuses(asked(cap_ucr=0), "raise-above-cap", hold_id=str(H1), amount_ucr=7, cap_ucr=0)
    life.do(asked(cap_ucr=7))


def test_a_hold_burns_from_no_more_grants_than_an_event_may_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.domain.rules.known.SLICES_MAX", 2)
    life = rich(overdraft_limit_ucr=5)
    life.grant(G3, 1, priority=3)
    life.refuses(asked(amount_ucr=11), "too-many-slices", slices_max=2)
    life.do(asked(amount_ucr=10))
    life.release()
    life.debit(D1, 1)
    life.revoke(G3)
    life.refuses(asked(hold_id=H2, amount_ucr=10), "too-many-slices", slices_max=2)


# Raised and renewed


def raising(amount_ucr: int = 2) -> commands.RaiseHold:
    return commands.RaiseHold(**WHO, hold_id=H1, amount_ucr=amount_ucr)


def test_a_hold_is_raised_up_to_its_cap_and_budget_and_what_is_available() -> None:
    life = rich()
    life.budget(D1, 9)
    life.do(asked(amount_ucr=3, cap_ucr=10, budgets=(D1,)))
    life.refuses(raising(8), "raise-above-cap", hold_id=str(H1), amount_ucr=11, cap_ucr=10)
    facts: dict[str, Any] = {"budget_id": str(D1), "limit_ucr": 9, "used_ucr": 3, "required_ucr": 7, "resets_at": None}
    life.refuses(raising(7), "budget-exceeded", **facts)
    life.hold(H2, 2)
    life.refuses(raising(6), "insufficient-credits", required_ucr=6, available_ucr=5, held_ucr=5)
    assert life.do(raising(5)) == [events.HoldRaised(hold_id=H1, amount_ucr=5, slices=(Slice(G2, 5),))]
    hold = life.rows.holds[H1]
    assert (hold.amount_ucr, hold.remaining_ucr, hold.slices) == (8, 8, (Slice(G1, 3), Slice(G2, 5)))
    assert life.account.open_holds == 2 and life.sums == (10, 10, 0, 0)
    assert life.budgets.used_ucr == {hold.budgets[0]: 8}


def test_a_raise_reaches_the_cap_exactly() -> None:
    life = rich()
    life.do(asked(amount_ucr=3, cap_ucr=5))
    life.do(raising(2))
    assert life.rows.holds[H1].amount_ucr == 5
    life.refuses(raising(1), "raise-above-cap", hold_id=str(H1), amount_ucr=6, cap_ucr=5)


def raised_behind_an_overdraft() -> Life:
    """H1 pins 3 of G1, 2 of nobody's and 4 more of G1, in this order."""
    life = Life(overdraft_limit_ucr=2)
    life.grant(G1, 7)
    life.hold(H2, 4)
    life.do(asked(amount_ucr=5, cap_ucr=9))
    life.release(H2)
    life.do(raising(4))
    assert life.rows.holds[H1].slices == (Slice(G1, 3), Slice(OVERDRAFT, 2), Slice(G1, 4))
    assert (life.live().held_ucr, life.account.overdraft_held_ucr, life.sums) == (7, 2, (7, 9, 0, -2))
    return life


def test_what_is_pinned_behind_an_overdraft_is_spent_and_returned_like_the_rest() -> None:
    life = raised_behind_an_overdraft()
    assert cast("events.HoldCommitted", life.commit(H1, 7, final=False)[0]).slices == (
        Slice(G1, 3),
        Slice(OVERDRAFT, 2),
        Slice(G1, 2),
    )
    assert (life.live().spent_ucr, life.account.debt_ucr, life.sums) == (5, 2, (0, 2, 0, -2))
    life = raised_behind_an_overdraft()
    life.release(H1)
    assert (life.live().free_ucr, life.sums) == (7, (7, 0, 0, 7))


def test_what_returns_to_a_grant_in_two_slices_is_frozen_and_revoked_as_one() -> None:
    life = raised_behind_an_overdraft()
    life.freeze(G1, 6)
    assert cast("events.HoldReleased", life.release(H1)[0]).frozen == (Slice(G1, 6),)
    life = raised_behind_an_overdraft()
    life.commit(H1, 9)
    life.revoke(G1)
    back, repaid = life.reverse(H1)
    assert cast("events.CreditsReversed", back).slices == (Slice(G1, 4), Slice(OVERDRAFT, 2), Slice(G1, 3))
    assert cast("events.DebtRepaid", repaid).amount_ucr == 7 and life.sums == (0, 0, 0, 0)


def test_neighbouring_slices_of_one_grant_become_one() -> None:
    life = rich()
    life.do(asked(amount_ucr=3, cap_ucr=10))
    life.do(raising(3))
    assert life.rows.holds[H1].slices == (Slice(G1, 4), Slice(G2, 2))
    life.do(raising(3))
    assert life.rows.holds[H1].slices == (Slice(G1, 4), Slice(G2, 5))


def test_a_hold_without_a_cap_is_not_raised() -> None:
    life = rich()
    life.do(asked())
    life.refuses(raising(1), "raise-above-cap", hold_id=str(H1), amount_ucr=8, cap_ucr=0)


def test_a_lease_moves_only_forward() -> None:
    life = rich()
    life.do(asked())
    for lease_s in (59, 60):
        assert life.do(commands.RenewHold(**WHO, hold_id=H1, lease_s=lease_s)) == []
    life.pass_s(1)
    assert life.do(commands.RenewHold(**WHO, hold_id=H1, lease_s=60)) == [
        events.HoldRenewed(hold_id=H1, lease_until=after(61))
    ]
    assert life.rows.holds[H1].lease_until == after(61) and life.sums == (10, 7, 0, 3)


# Resolved


def test_invariant_17_a_commit_takes_the_first_slices_and_gives_the_rest_back() -> None:
    life = rich()
    life.do(asked(reference=JOB))
    life.pass_s(3)
    assert life.commit(H1, 5) == [
        events.HoldCommitted(
            hold_id=H1,
            amount_ucr=5,
            slices=(Slice(G1, 4), Slice(G2, 1)),
            final=True,
            returned=(Slice(G2, 2),),
            reference=JOB,
        )
    ]
    assert (life.ended(G1).spent_ucr, life.live(G2).spent_ucr, life.live(G2).free_ucr) == (4, 1, 5)
    assert life.sums == (5, 0, 0, 5) and life.account.open_holds == 0
    hold = life.rows.holds[H1]
    assert (hold.state, hold.committed_ucr, hold.remaining_ucr) == ("committed", 5, 0)
    assert (hold.resolved_at, hold.spent) == (after(3), (Slice(G1, 4), Slice(G2, 1)))
    assert (hold.opened_at, hold.lease_until) == (NOON, after(60))


def test_a_hold_is_committed_in_parts_until_nothing_is_left() -> None:
    life = rich()
    life.do(asked())
    part = cast("events.HoldCommitted", life.commit(H1, 3, final=False)[0])
    assert (part.slices, part.returned, part.frozen, part.final) == ((Slice(G1, 3),), (), (), False)
    hold = life.rows.holds[H1]
    assert (hold.state, hold.committed_ucr, hold.slices) == ("open", 3, (Slice(G1, 1), Slice(G2, 3)))
    assert life.sums == (7, 4, 0, 3) and life.account.open_holds == 1 and hold.resolved_at is None
    part = cast("events.HoldCommitted", life.commit(H1, 4, final=False)[0])
    assert part.final and (hold.state, hold.committed_ucr, hold.amount_ucr) == ("committed", 7, 7)
    assert hold.spent == (Slice(G1, 4), Slice(G2, 3)) and life.account.open_holds == 0


def test_invariant_17_a_commit_up_to_what_is_pinned_and_not_one_more() -> None:
    life = rich()
    life.do(asked())
    for amount_ucr in (8, 9):
        command = commands.CommitHold(**WHO, hold_id=H1, amount_ucr=amount_ucr)
        life.refuses(command, "commit-above-hold", hold_id=str(H1), requested_ucr=amount_ucr, remaining_ucr=7)
    life.commit(H1, 2, final=False)
    command = commands.CommitHold(**WHO, hold_id=H1, amount_ucr=6)
    life.refuses(command, "commit-above-hold", hold_id=str(H1), requested_ucr=6, remaining_ucr=5)
    life.commit(H1, 5)


def test_a_release_gives_everything_back_with_its_reason() -> None:
    life = rich()
    life.do(asked(reference=JOB))
    life.freeze(G1)
    life.freeze(G2, 5)
    life.pass_s(2)
    slices = (Slice(G1, 4), Slice(G2, 3))
    assert life.do(commands.ReleaseHold(**WHO, hold_id=H1, reason="failed")) == [
        events.HoldReleased(
            hold_id=H1,
            amount_ucr=7,
            returned=slices,
            reason="failed",
            frozen=(Slice(G1, 4), Slice(G2, 2)),
            reference=JOB,
        )
    ]
    assert life.sums == (10, 0, 9, 1) and life.account.open_holds == 0
    hold = life.rows.holds[H1]
    assert (hold.state, hold.resolved_at, hold.slices, hold.spent) == ("released", after(2), (), ())


def test_invariant_18_a_hold_expires_exactly_at_its_end_and_never_early() -> None:
    life = rich()
    life.do(asked(reference=JOB))
    life.freeze(G1, 1)
    life.pass_s(59.999999)
    command = commands.ExpireHold(**WHO, hold_id=H1)
    life.refuses(command, "hold-not-due", hold_id=str(H1), lease_until="2026-01-01T12:01:00Z")
    life.pass_s(0.000001)
    slices = (Slice(G1, 4), Slice(G2, 3))
    assert life.do(command) == [
        events.HoldExpired(hold_id=H1, amount_ucr=7, returned=slices, frozen=(Slice(G1, 1),), reference=JOB)
    ]
    hold = life.rows.holds[H1]
    assert (hold.state, hold.resolved_at, hold.slices, life.account.open_holds) == ("expired", after(60), (), 0)
    assert life.sums == (10, 0, 1, 9)


def test_a_commit_of_a_disputed_grant_says_what_of_the_rest_is_frozen() -> None:
    life = rich()
    life.do(asked())
    life.freeze(G2, 4)
    part = cast("events.HoldCommitted", life.commit(H1, 1, final=False)[0])
    assert (part.returned, part.frozen) == ((), ())
    last = cast("events.HoldCommitted", life.commit(H1, 4)[0])
    assert (last.returned, last.frozen) == ((Slice(G2, 2),), (Slice(G2, 1),))
    assert life.sums == (5, 0, 4, 1)


ENDS: list[tuple[str, Callable[[Life], object]]] = [
    ("committed", lambda life: life.commit(H1, 7)),
    ("released", lambda life: life.release()),
    ("expired", lambda life: life.expire()),
]


@pytest.mark.parametrize(("state", "end"), ENDS, ids=[state for state, _ in ENDS])
def test_invariant_16_19_who_comes_late_is_told_what_won(state: str, end: Callable[[Life], object]) -> None:
    life = rich()
    life.do(asked(cap_ucr=10))
    life.pass_s(60)
    end(life)
    life.pass_s(1)
    who: dict[str, Any] = WHO | {"hold_id": H1}
    for command in (
        commands.CommitHold(**who, amount_ucr=1),
        commands.ReleaseHold(**who, reason="x"),
        commands.ExpireHold(**who),
        commands.RenewHold(**who, lease_s=1),
        commands.RaiseHold(**who, amount_ucr=1),
    ):
        life.refuses(command, "hold-resolved", hold_id=str(H1), state=state, resolved_at="2026-01-01T12:01:00Z")


def test_a_hold_of_nobody_or_of_another_account_is_unknown() -> None:
    life = rich()
    life.do(asked())
    life.pass_s(60)
    for account_id, hold_id in ((MINE, H2), (OTHER, H1), (STRANGER, H1)):
        who: dict[str, Any] = {"account_id": account_id, "hold_id": hold_id}
        for command in (
            commands.CommitHold(**who, amount_ucr=1),
            commands.CommitHold(**who, amount_ucr=1, late=True),
            commands.ReleaseHold(**who, reason="x"),
            commands.ExpireHold(**who),
            commands.RenewHold(**who, lease_s=1),
            commands.RaiseHold(**who, amount_ucr=1),
        ):
            life.refuses(command, "hold-unknown", hold_id=str(hold_id))


def test_a_debit_is_no_hold_that_could_be_resolved() -> None:
    life = rich()
    life.debit(D1, 2)
    command = commands.ReleaseHold(**WHO, hold_id=D1, reason="x")
    life.refuses(command, "hold-resolved", hold_id=str(D1), state="debited", resolved_at="2026-01-01T12:00:00Z")


# Overdraft


def test_invariant_08_what_is_held_is_spent_whatever_the_policy_says_by_then() -> None:
    life = rich(overdraft_limit_ucr=5)
    life.do(asked(amount_ucr=14))
    life.do(commands.SetPolicy(**WHO))
    committed, owed = life.commit(H1, 12, final=False)
    slices = (Slice(G1, 4), Slice(G2, 6), Slice(OVERDRAFT, 2))
    assert cast("events.HoldCommitted", committed).slices == slices
    assert owed == events.DebtIncurred(amount_ucr=2, cause="overdraft")
    assert life.sums == (-2, 2, 0, -4) and life.account.overdraft_held_ucr == 2
    released = cast("events.HoldReleased", life.release()[0])
    assert (released.returned, released.frozen) == ((Slice(OVERDRAFT, 2),), ())
    assert life.sums == (-2, 0, 0, -2) and life.account.overdraft_held_ucr == 0


def test_what_is_held_beyond_grants_returns_to_nobody() -> None:
    life = rich(overdraft_limit_ucr=5)
    life.do(asked(amount_ucr=13))
    committed = cast("events.HoldCommitted", life.commit(H1, 5)[0])
    assert committed.returned == (Slice(G2, 5), Slice(OVERDRAFT, 3))
    assert life.sums == (5, 0, 0, 5) and life.account.debts == []


# Late


def lapsed(**more: Any) -> Life:
    """An account whose hold of 7 expired at the 60th second."""
    life = rich()
    life.do(asked(**more))
    life.pass_s(60)
    life.expire()
    return life


def late(amount_ucr: int = 7, **more: Any) -> commands.CommitHold:
    return commands.CommitHold(**WHO, hold_id=H1, amount_ucr=amount_ucr, late=True, **more)


def test_an_expired_hold_without_a_job_is_finished_late_in_todays_order() -> None:
    life = lapsed()
    life.grant(G3, 3, priority=0)
    life.pass_s(5)
    assert life.do(late(6, final=False)) == [
        events.HoldCommitted(
            hold_id=H1, amount_ucr=6, slices=(Slice(G3, 3), Slice(G1, 3)), final=True, returned=(), late=True
        )
    ]
    hold = life.rows.holds[H1]
    assert (hold.state, hold.committed_ucr, hold.resolved_at) == ("committed", 6, after(65))
    assert (hold.spent, hold.slices) == ((Slice(G3, 3), Slice(G1, 3)), ())
    assert life.sums == (7, 0, 0, 7) and life.account.open_holds == 0
    life.refuses(late(1), "hold-resolved", hold_id=str(H1), state="committed", resolved_at="2026-01-01T12:01:05Z")


def test_a_late_finish_takes_no_more_than_the_hold_was_for() -> None:
    life = lapsed()
    life.refuses(late(8), "commit-above-hold", hold_id=str(H1), requested_ucr=8, remaining_ucr=7)
    life.debit(D1, 4)
    life.refuses(late(7), "insufficient-credits", required_ucr=7, available_ucr=6, held_ucr=0)
    life = rich()
    life.do(asked())
    life.commit(H1, 2, final=False)
    life.pass_s(60)
    life.expire()
    life.refuses(late(6), "commit-above-hold", hold_id=str(H1), requested_ucr=6, remaining_ucr=5)
    life.do(late(5))
    assert life.rows.holds[H1].spent == (Slice(G1, 4), Slice(G2, 3)) and life.sums == (3, 0, 0, 3)


def test_a_late_finish_comes_within_its_time() -> None:
    life = lapsed()
    life.pass_s(limits.LATE_FINISH_MAX_S)
    life.decided(late())
    life.pass_s(0.000001)
    life.refuses(late(), "late-finish-over", hold_id=str(H1), resolved_at="2026-01-01T12:01:00Z")


def test_a_late_finish_of_a_frozen_account_or_into_debt() -> None:
    life = lapsed()
    life.debit(D1, 6)
    life.do(commands.SetPolicy(**WHO, overdraft_limit_ucr=3))
    committed, owed = life.do(late(7))
    assert cast("events.HoldCommitted", committed).slices == (Slice(G2, 4), Slice(OVERDRAFT, 3))
    assert owed == events.DebtIncurred(amount_ucr=3, cause="overdraft")
    life = lapsed()
    life.do(commands.FreezeAccount(**WHO, reason="x"))
    life.refuses(late(), "account-frozen", account_id=str(MINE))


def test_a_late_finish_counts_in_the_budgets_of_its_hold() -> None:
    life = rich()
    use = life.budget(D1, 8)
    life.do(asked(budgets=(D1,)))
    life.pass_s(60)
    life.expire()
    life.debit(D2, 2, budgets=(D1,))
    facts: dict[str, Any] = {"budget_id": str(D1), "limit_ucr": 8, "used_ucr": 2, "required_ucr": 7, "resets_at": None}
    life.refuses(late(), "budget-exceeded", **facts)
    life.do(late(6))
    assert life.budgets.used_ucr == {use: 8} and isinstance(use, BudgetUse)


def test_a_hold_with_a_job_or_one_that_did_not_expire_is_not_finished_late() -> None:
    resolved: dict[str, Any] = {"hold_id": str(H1), "resolved_at": "2026-01-01T12:01:00Z"}
    lapsed(reference=JOB).refuses(late(), "hold-resolved", **resolved, state="expired")
    lapsed().refuses(commands.CommitHold(**WHO, hold_id=H1, amount_ucr=7), "hold-resolved", **resolved, state="expired")
    life = rich()
    life.do(asked())
    life.pass_s(60)
    life.release()
    life.refuses(late(), "hold-resolved", **resolved, state="released")
    life = rich()
    life.do(asked())
    (ordinary,) = life.do(late(7))
    assert not cast("events.HoldCommitted", ordinary).late, "an open hold is committed as any other"


def test_a_resolved_hold_without_a_time_is_a_bug() -> None:
    life = lapsed()
    life.rows.holds[H1].resolved_at = None
    for command in (late(), commands.CommitHold(**WHO, hold_id=H1, amount_ucr=1)):
        with pytest.raises(AssertionError):
            holds.commit(life.account, life.known, command)
    assert life.account.organisation_id == OURS


def test_raises_pin_no_more_grants_in_all_than_an_event_may_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.domain.rules.holds.SLICES_MAX", 2)
    life = rich()
    life.do(asked(amount_ucr=3, cap_ucr=9))
    life.refuses(raising(3), "too-many-slices", slices_max=2)
    life.do(raising(1))
    life.do(raising(1))
    life.refuses(raising(1), "too-many-slices", slices_max=2)


def test_what_a_hold_has_spent_counts_among_the_grants_that_one_event_undoes(monkeypatch: pytest.MonkeyPatch) -> None:
    life = rich()
    life.do(asked(amount_ucr=3, cap_ucr=9))
    life.do(commands.CommitHold(**WHO, hold_id=H1, amount_ucr=2, final=False))
    monkeypatch.setattr("ledger.domain.rules.holds.SLICES_MAX", 2)
    life.refuses(raising(1), "too-many-slices", slices_max=2)
    monkeypatch.setattr("ledger.domain.rules.holds.SLICES_MAX", 3)
    life.do(raising(1))


def test_a_late_end_takes_no_more_grants_than_one_event_undoes(monkeypatch: pytest.MonkeyPatch) -> None:
    life = lapsed()
    assert life.rows.holds[H1].spent == ()
    life.rows.holds[H1].spent = (Slice(G1, 1),)
    monkeypatch.setattr("ledger.domain.rules.holds.SLICES_MAX", 1)
    life.refuses(late(1), "too-many-slices", slices_max=1)
    monkeypatch.setattr("ledger.domain.rules.holds.SLICES_MAX", 2)
    life.do(late(1))
