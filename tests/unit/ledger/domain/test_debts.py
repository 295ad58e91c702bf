"""What an account owes: kept by cause and grant, repaid the oldest first, and only by what was paid for."""

from __future__ import annotations

from typing import cast

import pytest

from ledger.domain import debts, events
from ledger.domain.events import DebtPart, Slice
from tests.support.domain import D1, D2, G1, G2, G3, G4, H1, JOB, Life


def indebted() -> Life:
    """Owes 3 beyond grants and 4 for a refund, in this order."""
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 4)
    life.debit(D1, 7)
    life.revoke(G1)
    assert life.account.debts == [DebtPart("overdraft", None, 3), DebtPart("refund", G1, 4)]
    assert (life.account.debt_ucr, life.sums) == (7, (-7, 0, 0, -7))
    return life


def test_debt_grows_beside_what_is_owed_for_the_same_reason() -> None:
    life = indebted()
    account = life.account
    for part in (
        DebtPart("overdraft", None, 2),
        DebtPart("refund", G2, 5),
        DebtPart("dispute", G1, 6),
        DebtPart("refund", G1, 1),
    ):
        debts.add_debt(account, part)
    assert account.debts == [
        DebtPart("overdraft", None, 5),
        DebtPart("refund", G1, 5),
        DebtPart("refund", G2, 5),
        DebtPart("dispute", G1, 6),
    ]


def test_what_is_paid_leaves_the_rest_in_its_place() -> None:
    account = indebted().account
    debts.pay_debts(account, [DebtPart("refund", G1, 4), DebtPart("overdraft", None, 1)])
    assert account.debts == [DebtPart("overdraft", None, 2)]
    debts.add_debt(account, DebtPart("refund", G1, 1))
    debts.pay_debts(account, [DebtPart("overdraft", None, 1)])
    assert account.debts == [DebtPart("overdraft", None, 1), DebtPart("refund", G1, 1)]
    with pytest.raises(AssertionError, match=r"^repaid more than was owed$"):
        debts.pay_debts(account, [DebtPart("overdraft", None, 2)])


def test_the_oldest_debt_is_paid_first() -> None:
    account = indebted().account
    overdraft, refund = DebtPart("overdraft", None, 3), DebtPart("refund", G1, 4)
    assert debts.oldest(account, 0) == ()
    assert debts.oldest(account, 2) == (DebtPart("overdraft", None, 2),)
    assert debts.oldest(account, 3) == (overdraft,)
    assert debts.oldest(account, 4) == (overdraft, DebtPart("refund", G1, 1))
    assert debts.oldest(account, 7) == (overdraft, refund)
    with pytest.raises(AssertionError, match=r"^more is paid than owed$"):
        debts.oldest(account, 8)


@pytest.mark.parametrize("amount", [2, 3, 5, 7])
def test_a_purchase_repays_as_much_as_it_can(amount: int) -> None:
    life = indebted()
    granted, repaid = life.grant(G2, amount)
    assert isinstance(granted, events.CreditsGranted)
    parts = [DebtPart("overdraft", None, min(3, amount)), DebtPart("refund", G1, amount - 3)]
    assert repaid == events.DebtRepaid(
        amount_ucr=amount, slices=(Slice(G2, amount),), debts=tuple(part for part in parts if part.amount_ucr > 0)
    )
    assert (life.account.debt_ucr, life.sums) == (7 - amount, (amount - 7, 0, 0, amount - 7))
    assert life.ended(G2).repaid_ucr == amount


def test_a_purchase_above_the_debt_leaves_the_rest_to_be_spent() -> None:
    life = indebted()
    repaid = cast("events.DebtRepaid", life.grant(G2, 9)[1])
    assert (repaid.slices, life.live(G2).free_ucr, life.live(G2).repaid_ucr) == ((Slice(G2, 7),), 2, 7)
    assert (life.account.debts, life.sums) == ([], (2, 0, 0, 2))


@pytest.mark.parametrize("kind", ["subscription", "promo", "goodwill", "referral"])
def test_only_what_was_paid_for_repays(kind: str) -> None:
    life = indebted()
    assert len(life.grant(G2, 9, kind=kind)) == 1
    assert life.sums == (2, 0, 0, 2) and life.account.debt_ucr == 7


def test_debt_is_repaid_from_several_grants_in_burn_order_past_gifts() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5, priority=3)
    life.grant(G2, 2, priority=1)
    life.grant(G3, 9, priority=2, kind="promo")
    life.grant(G4, 3, priority=4)
    life.apply(life.account, events.DebtIncurred(amount_ucr=9, cause="correction"))
    life.follow(life.account)
    repaid = cast("events.DebtRepaid", life.log[-1][1])
    assert repaid.slices == (Slice(G2, 2), Slice(G1, 5), Slice(G4, 2))
    assert (life.live(G4).free_ucr, life.live(G3).free_ucr, life.account.debts) == (1, 9, [])


def test_what_a_revoked_grant_still_has_free_repays_nothing() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5)
    life.debit(D1, 6)
    found = life.rows.ended.pop((life.account.account_id, G1))
    found.ended, found.free_ucr, found.spent_ucr = True, 1, 4
    life.account.grants.append(found)
    life.account.posted_ucr += 1
    life.account.check()
    assert debts.consequences(life.account, life.now) is None
    found.ended = False
    assert debts.consequences(life.account, life.now) is not None


def test_what_comes_back_at_or_after_its_end_repays_nothing() -> None:
    for seconds, repays in ((59.999999, True), (60, False)):
        life = Life(overdraft_limit_ucr=9)
        life.grant(G1, 5, lifetime_s=60)
        life.hold(H1, 5)
        life.debit(D1, 3)
        life.pass_s(seconds)
        assert [isinstance(event, events.DebtRepaid) for event in life.release()] == [False, True][: 1 + repays]
        assert life.account.debt_ucr == (0 if repays else 3)


def test_nothing_follows_where_nothing_is_claimed_or_owed() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5)
    assert debts.consequences(life.account, life.now) is None
    life.hold(H1, 3)
    life.revoke(G1)
    assert life.account.claims == 1 and debts.consequences(life.account, life.now) is None
    life.debit(D2, 2)
    assert life.account.debts == [DebtPart("overdraft", None, 2)] and debts.consequences(life.account, life.now) is None


def test_claims_come_before_debts() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5)
    life.hold(H1, 5)
    life.revoke(G1, 4)
    life.debit(D1, 3)
    released, taken, repaid = life.release()
    assert isinstance(released, events.HoldReleased) and cast("events.CreditsRevoked", taken).amount_ucr == 4
    assert repaid == events.DebtRepaid(amount_ucr=1, slices=(Slice(G1, 1),), debts=(DebtPart("overdraft", None, 1),))
    assert life.sums == (-2, 0, 0, -2)


def test_every_claim_is_looked_at_not_the_first_alone() -> None:
    life = Life()
    life.grant(G1, 5, priority=1)
    life.grant(G2, 5, priority=2)
    life.hold(H1, 5)
    life.hold(JOB, 5)
    life.revoke(G1)
    life.revoke(G2)
    assert life.account.claims == 2
    assert cast("events.CreditsRevoked", life.release(JOB)[1]).grant_id == G2
    assert life.account.claims == 1 and life.live(G1).claim_ucr == 5


def test_a_loss_that_was_not_borne_as_it_was_spent_is_a_bug() -> None:
    life = Life()
    life.grant(G1, 5)
    life.hold(H1, 5)
    life.revoke(G1, spent_as="loss")
    life.live().held_ucr = 3
    with pytest.raises(AssertionError, match=r"^a loss is borne as it is spent$"):
        debts.consequences(life.account, life.now)


def test_debt_is_repaid_in_as_many_events_as_its_parts_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.domain.debts.SLICES_MAX", 1)
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5)
    life.grant(G2, 4)
    life.hold(H1, 9)
    life.debit(D1, 6)
    first, second = life.release()[1:]
    assert [cast("events.DebtRepaid", one).slices for one in (first, second)] == [(Slice(G1, 5),), (Slice(G2, 1),)]
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 5)
    life.debit(D1, 6)
    life.revoke(G1)
    assert len(life.account.debts) == 2
    repaid = [event for event in life.grant(G2, 9) if isinstance(event, events.DebtRepaid)]
    assert [one.debts for one in repaid] == [(DebtPart("overdraft", None, 1),), (DebtPart("refund", G1, 5),)]


def test_the_oldest_claim_bears_what_is_spent_whoever_pays_for_it() -> None:
    life = Life()
    life.grant(G1, 1442)
    life.hold(H1, 9)
    life.revoke(G1, 1441)
    life.revoke(G1, spent_as="loss")
    assert [claim.amount_ucr for claim in life.live(G1).claims] == [8, 1]
    _, owed, *taken = life.commit(amount_ucr=1)
    assert owed == events.DebtIncurred(amount_ucr=1, cause="refund", grant_id=G1, claimed=True)
    assert [cast("events.CreditsRevoked", one).amount_ucr for one in taken] == [7, 1]
    assert (life.account.debt_ucr, life.account.claims, life.sums) == (1, 0, (-1, 0, 0, -1))
