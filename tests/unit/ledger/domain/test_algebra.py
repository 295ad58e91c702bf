"""The state itself: sums that add up or are caught, what is live, due, burnt and cut, and how it is stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.domain import account as state
from ledger.domain.account import Account, Grant, Hold, HoldParts, burn_key, split
from ledger.domain.events import OVERDRAFT, BudgetUse, Claim, DebtPart, Slice
from tests.support.domain import D1, G1, G2, G3, H1, H2, JOB, MINE, NOON, OURS, Life, after


def bucket(**more: Any) -> Grant:
    fields: dict[str, Any] = {
        "grant_id": G1,
        "order": 2,
        "kind": "paid",
        "priority": 100,
        "expires_at": None,
        "granted_ucr": 10,
        "free_ucr": 10,
    }
    return Grant(**fields | more)


PARTS = ("held", "frozen", "spent", "expired", "revoked", "transferred", "repaid")


def test_invariant_32_the_parts_of_a_grant_make_what_was_granted() -> None:
    whole: dict[str, Any] = {f"{name}_ucr": 1 for name in PARTS}
    bucket(**whole, free_ucr=3, freeze_limit_ucr=1).check()
    for name in ("free", *PARTS):
        for change in (1, -1):
            off = bucket(**whole, free_ucr=3, freeze_limit_ucr=9)
            setattr(off, f"{name}_ucr", getattr(off, f"{name}_ucr") + change)
            with pytest.raises(AssertionError, match=rf"^grant {G1} does not add up: \("):
                off.check()


@pytest.mark.parametrize("name", PARTS)
def test_invariant_06_no_part_of_a_grant_is_below_zero(name: str) -> None:
    off = bucket(free_ucr=11, freeze_limit_ucr=5)
    setattr(off, f"{name}_ucr", -1)
    with pytest.raises(AssertionError, match="does not add up"):
        off.check()
    with pytest.raises(AssertionError, match="does not add up"):
        bucket(free_ucr=-1, spent_ucr=11).check()


def test_claims_and_disputes_stay_within_their_grant() -> None:
    bucket(claims=(Claim("refund", "debt", 4), Claim("refund", "loss", 6))).check()
    with pytest.raises(AssertionError):
        bucket(claims=(Claim("refund", "debt", 4), Claim("refund", "loss", 7))).check()
    bucket(free_ucr=8, frozen_ucr=2, freeze_limit_ucr=2).check()
    with pytest.raises(AssertionError):
        bucket(free_ucr=8, frozen_ucr=2, freeze_limit_ucr=1).check()


def test_a_grant_is_live_while_anything_of_it_can_move() -> None:
    nothing: dict[str, Any] = {"free_ucr": 0, "spent_ucr": 10}
    assert not bucket(**nothing).live and not bucket(**nothing, ended=True, lost_ucr=3, indebted_ucr=3).live
    for more in (
        {"free_ucr": 1},
        {"held_ucr": 1},
        {"freeze_limit_ucr": 1},
        {"claims": (Claim("refund", "debt", 1),)},
    ):
        assert bucket(**nothing | more).live


def test_what_has_left_a_grant_and_what_its_owner_had_of_it() -> None:
    found = bucket(
        granted_ucr=100,
        free_ucr=1,
        held_ucr=2,
        frozen_ucr=3,
        spent_ucr=40,
        expired_ucr=20,
        revoked_ucr=10,
        transferred_ucr=16,
        repaid_ucr=8,
    )
    assert (found.gone_ucr, found.used_ucr) == (94, 64)
    assert bucket(claims=(Claim("refund", "debt", 1), Claim("dispute", "loss", 2))).claim_ucr == 3


def test_a_grant_is_due_exactly_at_its_end() -> None:
    ends = bucket(expires_at=after(60))
    assert [ends.due(after(second)) for second in (59.999999, 60, 61)] == [False, True, True]
    assert not bucket().due(after(10**9))


def account(*grants: Grant, **more: Any) -> Account:
    fields: dict[str, Any] = {"account_id": MINE, "organisation_id": OURS, "grants": list(grants)} | more
    return Account(**fields)


def whole() -> Account:
    return account(
        bucket(free_ucr=5, held_ucr=3, frozen_ucr=2, freeze_limit_ucr=2, claims=(Claim("refund", "debt", 1),)),
        bucket(grant_id=G2, free_ucr=10),
        posted_ucr=16,
        held_ucr=5,
        overdraft_held_ucr=2,
        frozen_ucr=2,
        open_holds=1,
        claims=1,
        debts=[DebtPart("overdraft", None, 3), DebtPart("refund", G3, 1)],
    )


BROKEN: dict[str, Callable[[Account], object]] = {
    **{
        f"{name}{change:+}": lambda one, name=name, change=change: setattr(one, name, getattr(one, name) + change)
        for name in ("posted_ucr", "held_ucr", "frozen_ucr", "overdraft_held_ucr", "claims")
        for change in (1, -1)
    },
    "a grant": lambda one: setattr(one.grants[1], "spent_ucr", 1),
    "holds below zero": lambda one: setattr(one, "open_holds", -1),
    "a debt of nothing": lambda one: one.debts.append(DebtPart("dispute", None, 0)),
    "a debt more": lambda one: one.debts.append(DebtPart("dispute", None, 1)),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_invariant_05_06_an_account_that_does_not_add_up_is_caught(broken: str) -> None:
    found = whole()
    found.check()
    assert (found.available_ucr, found.debt_ucr) == (9, 4)
    BROKEN[broken](found)
    with pytest.raises(AssertionError):
        found.check()


def test_overdraft_held_below_zero_is_caught() -> None:
    found = account(bucket(free_ucr=5, held_ucr=5), posted_ucr=10, held_ucr=4, overdraft_held_ucr=-1)
    with pytest.raises(AssertionError):
        found.check()
    account(open_holds=0).check()


def test_a_grant_is_found_by_its_id() -> None:
    found = whole()
    assert found.grant(G1) is found.grants[0] and found.grant(UUID(int=G2.int)) is found.grants[1]
    assert found.grant(G3) is None


def test_the_next_end_is_the_soonest_of_what_is_free() -> None:
    assert account().next_due_at is None and account(bucket()).next_due_at is None
    held = bucket(expires_at=after(1), free_ucr=0, held_ucr=10)
    later, soon = bucket(expires_at=after(9)), bucket(expires_at=after(5), free_ucr=1, held_ucr=9)
    found = account(bucket(), held, later, soon)
    assert found.next_due_at == after(5)
    assert found.due_grants(after(4.999999)) == []
    assert found.due_grants(after(5)) == [soon]
    assert found.due_grants(after(9)) == [later, soon]


# Burning and cutting


def test_burning_takes_from_each_what_it_has_and_the_rest_from_nobody() -> None:
    found = account(bucket(free_ucr=0, held_ucr=10), bucket(grant_id=G2, free_ucr=4), bucket(grant_id=G3, free_ucr=1))
    assert found.burn(1) == (Slice(G2, 1),)
    assert found.burn(4) == (Slice(G2, 4),)
    assert found.burn(5) == (Slice(G2, 4), Slice(G3, 1))
    assert found.burn(7) == (Slice(G2, 4), Slice(G3, 1), Slice(OVERDRAFT, 2))
    assert account().burn(0) == found.burn(0) == ()
    assert account().burn(1) == (Slice(OVERDRAFT, 1),)
    assert Slice(OVERDRAFT, 1).overdraft and not Slice(G1, 1).overdraft


def test_slices_are_cut_where_the_amount_ends() -> None:
    slices = (Slice(G1, 3), Slice(G2, 2), Slice(G3, 4))
    for amount, first, rest in (
        (0, (), slices),
        (2, (Slice(G1, 2),), (Slice(G1, 1), Slice(G2, 2), Slice(G3, 4))),
        (3, (Slice(G1, 3),), (Slice(G2, 2), Slice(G3, 4))),
        (4, (Slice(G1, 3), Slice(G2, 1)), (Slice(G2, 1), Slice(G3, 4))),
        (9, slices, ()),
    ):
        assert split(slices, amount) == (first, rest)
    with pytest.raises(AssertionError, match=r"^split more than there is$"):
        split(slices, 10)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5)), max_size=6), st.data())
def test_invariant_17_a_cut_loses_nothing_and_keeps_the_order(
    parts: list[tuple[int, int]], data: st.DataObject
) -> None:
    slices = tuple(Slice(UUID(int=number), amount) for number, amount in parts)
    amount = data.draw(st.integers(0, sum(part.amount_ucr for part in slices)))
    first, rest = split(slices, amount)
    assert sum(part.amount_ucr for part in first) == amount

    def units(cut: tuple[Slice, ...]) -> list[UUID]:
        return [part.grant_id for part in cut for _ in range(part.amount_ucr)]

    assert units(first) + units(rest) == units(slices)


def test_invariant_31_the_burn_key_is_total() -> None:
    ordered = [
        bucket(priority=1, grant_id=G3, order=9),
        bucket(priority=2, expires_at=after(1), order=9),
        bucket(priority=2, expires_at=after(2), order=1, grant_id=G2),
        bucket(priority=2, expires_at=after(2), order=2),
        bucket(priority=2, expires_at=after(2), order=2, grant_id=G2),
        bucket(priority=2, order=0),
        bucket(priority=2, order=1),
        bucket(priority=2, order=1, grant_id=G2),
    ]
    shuffled = [*ordered[3:], *ordered[2::-1]]
    assert sorted(shuffled, key=burn_key) == ordered
    assert len({burn_key(one) for one in ordered}) == len(ordered)


# As stored


def test_state_is_read_as_it_was_written() -> None:
    found = whole()
    found.version, found.hash, found.status, found.max_open_holds = 7, b"h" * 32, "frozen", 3
    found.grants[0].expires_at, found.grants[0].receipt_id = after(1.5), JOB
    raw = state.encode_account(found)
    assert state.decode_account(raw) == found and state.encode_account(state.decode_account(raw)) == raw
    assert OURS.bytes in raw and str(OURS).encode() not in raw, "ids are sixteen bytes"
    grant = found.grants[0]
    assert state.decode_grant(state.encode_grant(grant)) == grant and JOB.bytes in state.encode_grant(grant)
    assert state.STATE_FORMAT == 3
    with pytest.raises(msgspec.ValidationError):
        state.decode_account(state.encode_grant(grant))


def test_the_parts_of_a_hold_are_stored_beside_it() -> None:
    fields: dict[str, Any] = {
        "slices": (Slice(G1, 2), Slice(OVERDRAFT, 3)),
        "spent": (Slice(G2, 4),),
        "budgets": (BudgetUse(D1, NOON),),
        "cap_ucr": 9,
    }
    hold = Hold(
        hold_id=H1,
        account_id=MINE,
        state="open",
        amount_ucr=9,
        committed_ucr=4,
        lease_until=NOON,
        reference=None,
        opened_at=NOON,
        opened_position=1,
        **fields,
    )
    assert hold.remaining_ucr == 5
    raw = state.encode_parts(hold)
    assert state.decode_parts(raw) == HoldParts(**fields) and D1.bytes in raw
    assert state.decode_parts(msgspec.msgpack.encode([])) == HoldParts()


def test_an_account_begins_empty_and_shares_nothing_with_another() -> None:
    one, two = account(), account()
    one.grants.append(bucket())
    one.debts.append(DebtPart("overdraft", None, 1))
    assert two.grants == two.debts == [] and two.version == 0 and two.status == "open"


def test_invariant_18_leases_are_compared_to_the_microsecond() -> None:
    life = Life()
    life.grant()
    life.hold(H2, 1, lease_s=1)
    lease_until = life.rows.holds[H2].lease_until
    assert lease_until - NOON == timedelta(seconds=1) and cast("Any", lease_until).tzinfo is not None
