"""What events do to accounts and rows, and the bugs that they refuse to write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from ledger.domain import commands, events
from ledger.domain.account import Account
from ledger.domain.decide import RULES
from ledger.domain.effects.holds import joined
from ledger.domain.effects.parts import Rows, lower_claim
from ledger.domain.events import OVERDRAFT, AccountEvent, Claim, Slice
from ledger.domain.evolve import evolve, evolve_hold, evolve_sums
from tests.support.domain import D1, G1, G2, G3, H1, H2, JOB, MINE, NOON, OTHER, R1, WHO, Life, after

NOTHING: tuple[Slice, ...] = ()


def rich() -> Life:
    """Ten credits in G1, of which H1 holds five and D1 has spent two."""
    life = Life()
    life.grant()
    life.hold(H1, 5, cap_ucr=6)
    life.debit(D1, 2)
    return life


FIVE, SIX = (Slice(G1, 5),), (Slice(G1, 6),)
BUGS: dict[str, tuple[AccountEvent, str | None]] = {
    "holds more than its slices": (
        events.CreditsHeld(hold_id=H2, amount_ucr=2, slices=(Slice(G1, 1),), lease_until=NOON),
        None,
    ),
    "raised above its cap": (events.HoldRaised(hold_id=H1, amount_ucr=2, slices=(Slice(G1, 2),)), None),
    "commits other slices": (
        events.HoldCommitted(hold_id=H1, amount_ucr=2, slices=(Slice(G1, 1),), final=False),
        "^spent other slices than it pinned$",
    ),
    "commits above the hold": (
        events.HoldCommitted(hold_id=H1, amount_ucr=6, slices=SIX, final=True),
        "does not add up",
    ),
    "releases less": (events.HoldReleased(hold_id=H1, amount_ucr=4, returned=FIVE, reason="x"), None),
    "expires more": (events.HoldExpired(hold_id=H1, amount_ucr=6, returned=FIVE), None),
    "reverses other slices": (
        events.CreditsReversed(reversal_id=R1, debit_id=D1, amount_ucr=2, slices=(Slice(G1, 1),), reason="x"),
        "^unwound other slices than were spent last$",
    ),
    "returns what never left": (
        events.CreditsReversed(reversal_id=R1, debit_id=D1, amount_ucr=3, slices=(Slice(G1, 3),), reason="x"),
        "does not add up|^split more than there is$",
    ),
    "pins what is not free": (
        events.CreditsHeld(hold_id=H2, amount_ucr=4, slices=(Slice(G1, 4),), lease_until=NOON),
        "does not add up",
    ),
    "spends what is not free": (
        events.CreditsDebited(debit_id=H2, amount_ucr=4, slices=(Slice(G1, 4),), reason="x"),
        "does not add up",
    ),
    "gives back what is not held": (
        events.HoldReleased(hold_id=H1, amount_ucr=5, returned=SIX, reason="x"),
        "does not add up",
    ),
    "expires what is not free": (events.CreditsExpired(grant_id=G1, amount_ucr=4), "does not add up"),
    "a grant that is not there": (events.CreditsExpired(grant_id=G2, amount_ucr=1), f"^grant {G2} is not live$"),
    "keeps more than is free": (
        events.GrantExtended(grant_id=G1, expires_at=NOON, kept_ucr=3, expired_ucr=1),
        None,
    ),
    "keeps less than is free": (events.GrantExtended(grant_id=G1, expires_at=NOON, kept_ucr=2), None),
    "freezes more than is free": (
        events.GrantFrozen(grant_id=G1, amount_ucr=4, limit_ucr=10, reason="x"),
        "does not add up",
    ),
    "freezes above the dispute": (events.GrantFrozen(grant_id=G1, amount_ucr=3, limit_ucr=2, reason="x"), None),
    "frees what is not frozen": (events.GrantUnfrozen(grant_id=G1, amount_ucr=1, reason="x"), None),
    "revokes what is not free": (
        events.CreditsRevoked(grant_id=G1, amount_ucr=4, cause="refund"),
        "does not add up",
    ),
    "moves what is not free": (
        events.CreditsTransferredOut(
            transfer_id=R1, to_account_id=OTHER, amount_ucr=4, slices=(Slice(G1, 4),), reason="x"
        ),
        "does not add up",
    ),
    "repays what is not free": (
        events.DebtRepaid(amount_ucr=4, slices=(Slice(G1, 4),), debts=()),
        "does not add up",
    ),
    "takes what is not free": (
        events.BalanceAdjusted(
            adjustment_id=R1, amount_ucr=-4, cause="correction", operator_id=G1, approver_id=G2, slices=(Slice(G1, 4),)
        ),
        "does not add up",
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_invariant_06_an_event_that_does_not_add_up_is_never_written(bug: str) -> None:
    life, (event, said) = rich(), BUGS[bug]
    with pytest.raises(AssertionError, match=said):
        evolve(life.account, life.rows, event, life.now, 99)


def test_a_claim_gives_no_more_than_was_claimed() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 10)
    life.revoke(G1, 4)
    life.revoke(G1, 3, cause="dispute")
    with pytest.raises(AssertionError, match=r"^took more than was claimed$"):
        lower_claim(life.account, life.live(), 5)
    lower_claim(life.account, life.live(), 1)
    assert life.live().claims == (Claim("refund", "debt", 3), Claim("dispute", "debt", 3))
    lower_claim(life.account, life.live(), 3)
    assert life.live().claims == (Claim("dispute", "debt", 3),) and life.account.claims == 1
    lower_claim(life.account, life.live(), 3)
    assert life.live().claims == () and life.account.claims == 0


@pytest.mark.parametrize(
    ("slices", "more", "both"),
    [
        (NOTHING, FIVE, FIVE),
        (FIVE, NOTHING, FIVE),
        (NOTHING, NOTHING, NOTHING),
        (FIVE, (Slice(G2, 1),), (Slice(G1, 5), Slice(G2, 1))),
        (FIVE, (Slice(G1, 1), Slice(G2, 2)), (Slice(G1, 6), Slice(G2, 2))),
        ((Slice(G2, 3), Slice(G1, 5)), (Slice(G1, 1),), (Slice(G2, 3), Slice(G1, 6))),
        ((Slice(G1, 1), Slice(G2, 2)), FIVE, (Slice(G1, 1), Slice(G2, 2), Slice(G1, 5))),
    ],
)
def test_slices_join_where_they_meet(
    slices: tuple[Slice, ...], more: tuple[Slice, ...], both: tuple[Slice, ...]
) -> None:
    assert joined(slices, more) == both


def test_a_hold_keeps_its_overdraft_apart_from_grants() -> None:
    life = Life(overdraft_limit_ucr=5)
    life.grant(G1, 3)
    life.hold(H1, 8)
    life.commit(H1, 4, final=False)
    assert life.rows.holds[H1].slices == (Slice(OVERDRAFT, 4),)
    assert (life.account.overdraft_held_ucr, life.sums) == (4, (-1, 4, 0, -5))


def test_only_holds_and_debits_have_rows() -> None:
    life = rich()
    for event in (events.AccountFrozen(reason="x"), events.CreditsExpired(grant_id=G1, amount_ucr=1)):
        before = dict(life.rows.holds)
        assert evolve_hold(MINE, life.rows, event, NOON, 1) is None and life.rows.holds == before
    renewed = events.HoldRenewed(hold_id=H1, lease_until=after(99))
    assert evolve_hold(MINE, life.rows, renewed, NOON, 1) is life.rows.holds[H1]
    assert evolve(life.account, life.rows, renewed, NOON, 1) is life.rows.holds[H1]


def test_sums_and_holds_may_be_applied_one_by_one() -> None:
    life = rich()
    life.pass_s(3)
    life.commit(H1, 3)
    life.debit(H2, 2)
    life.revoke()
    life.reverse(H2)
    bare, rows = Account(account_id=MINE, organisation_id=MINE), Rows()
    for account_id, event, at, position in life.log:
        if account_id == MINE:
            evolve_sums(bare, rows, event)
            evolve_hold(MINE, rows, event, at, position)
    assert bare == life.account and rows.holds == life.rows.holds
    assert (rows.holds[H2].account_id, rows.holds[H2].opened_at) == (MINE, after(3))


def test_sums_need_no_hold() -> None:
    life = rich()
    life.commit(H1, 3)
    bare, rows = Account(account_id=MINE, organisation_id=MINE), Rows()
    for account_id, event, _, _ in life.log:
        if account_id == MINE:
            evolve_sums(bare, rows, event)
    assert bare == life.account and rows.holds == {} and rows.ended.keys() == life.rows.ended.keys()


def test_rows_begin_with_what_was_read_and_gather_what_ends() -> None:
    life = rich()
    rows = Rows(life.rows.holds, life.rows.ended)
    assert rows.holds is life.rows.holds and rows.ended is life.rows.ended and rows.settled == {}
    life.commit(H1, 5)
    life.debit(H2, 3)
    assert life.rows.settled == {(MINE, G1): life.ended()}
    life.reverse(H2, 1)
    assert (MINE, G1) not in life.rows.ended and life.live().free_ucr == 1
    life.debit(JOB, 1)
    assert life.rows.settled[MINE, G1] is life.rows.ended[MINE, G1] is life.ended()


def test_a_grant_that_comes_back_takes_its_place_in_the_burn_order() -> None:
    life = Life()
    life.grant(G1, 2, priority=1)
    life.debit(D1, 2)
    life.grant(G2, 2, priority=0)
    life.grant(G3, 2, priority=2)
    life.reverse(D1)
    assert [one.grant_id for one in life.account.grants] == [G2, G1, G3]


def test_every_command_has_a_rule_and_every_event_is_reached_by_one() -> None:
    assert set(RULES) == set(get_args(commands.AccountCommand))
    tags = [kind.__struct_config__.tag for kind in get_args(events.AccountEvent)]
    assert len(set(tags)) == len(tags) == 24


END: list[tuple[str, Callable[[Life], object]]] = [
    ("frozen", lambda life: life.do(commands.FreezeAccount(**WHO, reason="x"))),
    ("closed", lambda life: life.close()),
]


@pytest.mark.parametrize(("status", "end"), END, ids=[status for status, _ in END])
def test_a_status_is_what_its_event_says(status: str, end: Callable[[Life], object]) -> None:
    life = Life()
    end(life)
    assert life.account.status == status


def fields_of(event: AccountEvent) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_events_cannot_be_changed() -> None:
    event = events.AccountFrozen(reason="x")
    with pytest.raises(AttributeError):
        event.reason = "y"  # type: ignore[misc]
    assert fields_of(event) == {"reason": "x"}
