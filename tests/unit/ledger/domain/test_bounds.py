"""What bounds an account as a whole: how much it may have and owe, how many grants it may have, and what is told."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest

from ledger import limits
from ledger.domain import commands
from ledger.domain.budgets import Budgets
from tests.support.domain import ANN, BOB, D1, D2, G1, G2, G3, G4, MINE, NOON, OTHER, OURS, R1, WHO, Life

HALF = limits.POSTED_MAX_UCR // 2
POSTED = "balance-too-large"


def granting(amount_ucr: int, grant_id: UUID = G2, account_id: UUID = MINE) -> commands.GrantCredits:
    return commands.GrantCredits(account_id=account_id, grant_id=grant_id, amount_ucr=amount_ucr, kind="promo")


def transferring(amount_ucr: int, to: UUID = OTHER) -> commands.TransferCredits:
    return commands.TransferCredits(**WHO, to_account_id=to, transfer_id=R1, amount_ucr=amount_ucr, reason="x")


def adjusting(amount_ucr: int, adjustment_id: UUID = R1) -> commands.AdjustBalance:
    return commands.AdjustBalance(
        **WHO, adjustment_id=adjustment_id, amount_ucr=amount_ucr, cause="correction", operator_id=ANN, approver_id=BOB
    )


def reversing(amount_ucr: int | None = None) -> commands.ReverseDebit:
    return commands.ReverseDebit(**WHO, reversal_id=R1, debit_id=D1, amount_ucr=amount_ucr, reason="x")


def revoking(amount_ucr: int | None = None, **more: Any) -> commands.RevokeCredits:
    fields: dict[str, Any] = WHO | {"grant_id": G1, "cause": "refund"} | more
    return commands.RevokeCredits(amount_ucr=amount_ucr, **fields)


def facts(posted_ucr: int, amount_ucr: int) -> dict[str, int]:
    return {"posted_ucr": posted_ucr, "amount_ucr": amount_ucr, "posted_max_ucr": limits.POSTED_MAX_UCR}


# What it may have


def test_an_account_is_given_as_much_as_it_may_have_and_not_one_more() -> None:
    life = Life()
    life.grant(G1, HALF)
    life.refuses(granting(HALF + 1), POSTED, **facts(HALF, HALF + 1))
    life.do(granting(HALF))
    assert life.account.posted_ucr == limits.POSTED_MAX_UCR
    life.refuses(granting(1, G3), POSTED, **facts(limits.POSTED_MAX_UCR, 1))
    life.debit(D1, 1)
    life.do(granting(1, G3))


def test_what_is_held_or_frozen_counts_and_what_is_owed_makes_room() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, HALF)
    life.hold(amount_ucr=HALF - 1)
    life.freeze(G1)
    life.refuses(granting(HALF + 1), POSTED, **facts(HALF, HALF + 1))
    life = Life(overdraft_limit_ucr=9)
    life.debit(D1, 9)
    life.refuses(granting(limits.POSTED_MAX_UCR + 10), POSTED, **facts(-9, limits.POSTED_MAX_UCR + 10))
    life.do(granting(limits.POSTED_MAX_UCR + 9))


def test_a_transfer_does_not_make_its_receiver_have_more_than_it_may() -> None:
    life = Life()
    life.grant(G1, 5)
    life.do(granting(limits.POSTED_MAX_UCR - 4, account_id=OTHER))
    life.refuses(transferring(5), POSTED, **facts(limits.POSTED_MAX_UCR - 4, 5))
    life.do(transferring(4))
    assert life.accounts[OTHER].posted_ucr == limits.POSTED_MAX_UCR


def test_an_account_that_has_all_it_may_gives_away_and_is_adjusted_downwards() -> None:
    life = Life()
    life.grant(G1, limits.POSTED_MAX_UCR)
    life.do(transferring(1))
    life.do(adjusting(-1))
    life.refuses(adjusting(3), POSTED, **facts(limits.POSTED_MAX_UCR - 2, 3))
    life.do(adjusting(2, D2))
    assert life.account.posted_ucr == limits.POSTED_MAX_UCR


def test_a_debit_is_undone_as_far_as_the_account_may_have_it() -> None:
    life = Life()
    life.grant(G1, limits.POSTED_MAX_UCR)
    life.debit(D1, 5)
    life.do(granting(2))
    life.refuses(reversing(), POSTED, **facts(limits.POSTED_MAX_UCR - 3, 5))
    life.refuses(reversing(4), POSTED, **facts(limits.POSTED_MAX_UCR - 3, 4))
    life.do(reversing(3))
    assert life.account.posted_ucr == limits.POSTED_MAX_UCR


# How many grants it may have


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three live grants at most."""
    monkeypatch.setattr(limits, "GRANTS_MAX", 3)


def with_grants(*grant_ids: UUID, account_id: UUID = MINE) -> Life:
    life = Life()
    for grant_id in grant_ids:
        life.do(granting(2, grant_id, account_id))
    return life


@pytest.mark.usefixtures("few")
def test_an_account_has_as_many_live_grants_as_it_may_and_not_one_more() -> None:
    life = with_grants(G1, G2, G3)
    life.refuses(granting(1, G4), "too-many-grants", grants_max=3)
    life.refuses(adjusting(1), "too-many-grants", grants_max=3)
    life.refuses(granting(limits.POSTED_MAX_UCR, G4), "too-many-grants", grants_max=3)
    life.refuses(granting(1, G3), "grant-exists", grant_id=str(G3))
    life.debit(D1, 2)
    life.do(adjusting(1))
    assert len(life.account.grants) == 3, "what has ended does not count"


@pytest.mark.usefixtures("few")
def test_all_buckets_of_a_transfer_count_at_its_receiver() -> None:
    life = with_grants(G1, G2, G3)
    life.do(granting(2, G4, OTHER))
    life.refuses(transferring(5), "too-many-grants", grants_max=3)
    life.do(transferring(4))
    assert len(life.accounts[OTHER].grants) == 3


@pytest.mark.usefixtures("few")
def test_grants_that_are_held_or_disputed_count() -> None:
    life = with_grants(G1, G2)
    life.hold(amount_ucr=2)
    life.freeze(G2)
    life.do(granting(1, G3))
    life.refuses(granting(1, G4), "too-many-grants", grants_max=3)


@pytest.mark.usefixtures("few")
def test_what_a_reversal_or_a_dispute_brings_back_is_never_too_many() -> None:
    life = with_grants(G1, G2)
    life.debit(D1, 4)
    for grant_id in (G3, G4, uuid5(G1, "another")):
        life.do(granting(2, grant_id))
    life.freeze(G1)
    assert len(life.account.grants) == 4
    life.reverse(D1)
    assert len(life.account.grants) == 5 and life.account.posted_ucr == 10
    life.refuses(granting(1, uuid5(G1, "more")), "too-many-grants", grants_max=3)


# What it may owe


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be made to owe ten at most."""
    monkeypatch.setattr(limits, "DEBT_MAX_UCR", 10)


def spent(amount_ucr: int, granted_ucr: int = 20) -> Life:
    life = Life()
    life.grant(G1, granted_ucr)
    life.debit(D1, amount_ucr)
    return life


@pytest.mark.usefixtures("little")
def test_what_was_spent_is_owed_up_to_the_bound_and_not_one_more() -> None:
    life = spent(15)
    life.refuses(revoking(), "debt-too-large", debt_ucr=0, amount_ucr=15, debt_max_ucr=10)
    life.refuses(revoking(16), "debt-too-large", debt_ucr=0, amount_ucr=11, debt_max_ucr=10)
    life.do(revoking(15))
    assert life.account.debt_ucr == 10
    life.refuses(revoking(1), "debt-too-large", debt_ucr=10, amount_ucr=1, debt_max_ucr=10)


@pytest.mark.usefixtures("little")
def test_what_is_our_loss_or_was_not_spent_is_taken_whatever_is_owed() -> None:
    life = spent(15)
    life.do(revoking(spent_as="loss"))
    assert life.account.posted_ucr == 0
    life = spent(15)
    life.do(revoking(15))
    life.do(granting(3, G2))
    life.do(revoking(3, grant_id=G2))
    assert (life.account.debt_ucr, life.account.posted_ucr) == (10, -10)


@pytest.mark.usefixtures("little")
def test_what_is_frozen_is_taken_and_not_owed() -> None:
    life = spent(9)
    life.freeze(G1, 8)
    life.do(revoking())
    assert (life.account.debt_ucr, life.account.frozen_ucr) == (9, 0)


def test_an_account_that_owes_more_than_the_bound_gives_back_what_it_did_not_spend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life = spent(15)
    life.do(revoking(20))
    monkeypatch.setattr(limits, "DEBT_MAX_UCR", 10)
    life.do(granting(3, G2))
    life.do(revoking(3, grant_id=G2))
    assert (life.account.debt_ucr, life.account.posted_ucr) == (15, -15)


@pytest.mark.usefixtures("little")
def test_what_is_claimed_counts_as_owed() -> None:
    life = Life()
    life.grant(G1, 20)
    life.hold(amount_ucr=11)
    life.refuses(revoking(), "debt-too-large", debt_ucr=0, amount_ucr=11, debt_max_ucr=10)
    life.do(revoking(15))
    life.refuses(revoking(5), "debt-too-large", debt_ucr=6, amount_ucr=5, debt_max_ucr=10)
    life.do(revoking(4))
    life.commit(amount_ucr=11)
    assert life.account.debt_ucr == 10


@pytest.mark.usefixtures("little")
def test_an_overdraft_is_bounded_by_its_own_limit() -> None:
    life = Life(overdraft_limit_ucr=30)
    life.debit(D1, 30)
    assert life.account.debt_ucr == 30


# What is told


@pytest.mark.parametrize("limit_ucr", [0, 50])
def test_what_may_not_be_overdrawn_is_refused_without_an_overdraft_in_its_figures(limit_ucr: int) -> None:
    life = Life(overdraft_limit_ucr=limit_ucr)
    life.grant(G1, 10)
    life.hold(amount_ucr=4)
    figures = {"required_ucr": 7, "available_ucr": 6, "held_ucr": 4}
    life.refuses(transferring(7), "insufficient-credits", **figures)
    life.refuses(adjusting(-7), "insufficient-credits", **figures)
    life.do(transferring(6))


# Budgets


def test_a_budget_without_a_limit_takes_what_can_be_stored() -> None:
    life = Life()
    use = life.budget(G4, None)
    life.budgets.used_ucr[use] = limits.INT64_MAX - 5
    life.grant(G1, 10)
    command = commands.DebitCredits(**WHO, debit_id=D1, amount_ucr=6, reason="x", budgets=(G4,))
    life.refuses(
        command,
        "budget-exceeded",
        budget_id=str(G4),
        limit_ucr=limits.INT64_MAX,
        used_ucr=limits.INT64_MAX - 5,
        required_ucr=6,
        resets_at=None,
    )
    life.debit(D1, 5, budgets=(G4,))
    assert life.budgets.used_ucr[use] == limits.INT64_MAX
    assert Budgets(life.budgets.known.values()).take(OURS, [G4], limits.AMOUNT_MAX_UCR, NOON) == (use,)
