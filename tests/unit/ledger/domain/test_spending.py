"""Rules of what moves without a hold: debits and their reversal, transfers, adjustments."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID, uuid5

import pytest

from ledger.domain import commands, events
from ledger.domain.events import OVERDRAFT, DebtPart, Slice
from ledger.domain.rules.spending import share_micro
from tests.support.domain import (
    ANN,
    BOB,
    D1,
    D2,
    G1,
    G2,
    G3,
    H1,
    JOB,
    MINE,
    NOON,
    OTHER,
    R1,
    R2,
    R3,
    RECEIPT,
    STRANGER,
    WHO,
    Life,
    after,
)


def rich(**policy: int) -> Life:
    """An account with 4 and 6 credits, to be burnt in this order."""
    life = Life(**policy)
    life.grant(G1, 4, priority=1)
    life.grant(G2, 6, priority=2)
    return life


def test_a_debit_spends_slices_in_burn_order_and_says_all_that_was_asked() -> None:
    life = rich()
    use = life.budget(D2, 100)
    life.pass_s(1)
    command = commands.DebitCredits(**WHO, debit_id=D1, amount_ucr=7, reason="tool", reference=JOB, budgets=(D2,))
    slices = (Slice(G1, 4), Slice(G2, 3))
    assert life.do(command) == [
        events.CreditsDebited(debit_id=D1, amount_ucr=7, slices=slices, reason="tool", reference=JOB, budgets=(use,))
    ]
    assert life.sums == (3, 0, 0, 3) and (life.ended(G1).spent_ucr, life.live(G2).spent_ucr) == (4, 3)
    debit = life.rows.holds[D1]
    assert (debit.hold_id, debit.account_id, debit.state, debit.amount_ucr) == (D1, MINE, "debited", 7)
    assert (debit.committed_ucr, debit.slices, debit.spent, debit.budgets) == (7, (), slices, (use,))
    assert (debit.lease_until, debit.opened_at, debit.resolved_at) == (after(1),) * 3
    assert (debit.reference, debit.opened_position) == (JOB, life.position)
    life.refuses(command, "debit-exists", debit_id=str(D1))
    life.hold(H1, 1)
    life.refuses(commands.DebitCredits(**WHO, debit_id=H1, amount_ucr=1, reason="x"), "debit-exists", debit_id=str(H1))


@pytest.mark.parametrize("limit", [0, 5])
def test_a_debit_up_to_what_is_available_and_not_one_more(limit: int) -> None:
    life = rich(overdraft_limit_ucr=limit)
    facts: dict[str, Any] = {"overdraft_limit_ucr": limit} if limit else {}
    command = commands.DebitCredits(**WHO, debit_id=D1, amount_ucr=11 + limit, reason="x")
    life.refuses(command, "insufficient-credits", required_ucr=11 + limit, available_ucr=10, held_ucr=0, **facts)
    appended = life.debit(D1, 10 + limit)
    assert appended[1:] == ([events.DebtIncurred(amount_ucr=limit, cause="overdraft")] if limit else [])
    assert life.sums == (-limit, 0, 0, -limit)


# Reversal


def undo(**more: Any) -> commands.ReverseDebit:
    fields: dict[str, Any] = WHO | {"reversal_id": R1, "debit_id": D1, "reason": "x"} | more
    return commands.ReverseDebit(**fields)


def test_invariant_34_a_reversal_unwinds_what_was_spent_last_first() -> None:
    life = rich()
    life.debit(D1, 7)
    assert life.do(undo(amount_ucr=2, reason="oops")) == [
        events.CreditsReversed(reversal_id=R1, debit_id=D1, amount_ucr=2, slices=(Slice(G2, 2),), reason="oops")
    ]
    assert life.rows.holds[D1].spent == (Slice(G1, 4), Slice(G2, 1))
    (back,) = life.do(undo(reversal_id=R2, amount_ucr=3))
    assert cast("events.CreditsReversed", back).slices == (Slice(G2, 1), Slice(G1, 2))
    assert (life.live(G1).free_ucr, life.live(G1).spent_ucr, life.live(G2).free_ucr) == (2, 2, 6)
    (back,) = life.do(undo(reversal_id=R1))
    assert cast("events.CreditsReversed", back).slices == (Slice(G1, 2),)
    assert life.sums == (10, 0, 0, 10) and life.rows.holds[D1].spent == ()
    life.refuses(undo(), "reverse-above-debit", debit_id=str(D1), requested_ucr=0, reversible_ucr=0)


def test_a_reversal_up_to_what_is_left_and_not_one_more() -> None:
    life = rich()
    life.debit(D1, 7)
    life.do(undo(amount_ucr=2))
    for amount_ucr in (6, 7):
        command = undo(amount_ucr=amount_ucr)
        life.refuses(command, "reverse-above-debit", debit_id=str(D1), requested_ucr=amount_ucr, reversible_ucr=5)
    life.refuses(undo(amount_ucr=0), "reverse-above-debit", debit_id=str(D1), requested_ucr=0, reversible_ucr=5)
    life.do(undo(amount_ucr=5))


def test_a_debit_of_nobody_or_of_another_account_is_unknown() -> None:
    life = rich()
    life.debit(D1, 7)
    life.refuses(undo(debit_id=D2), "debit-unknown", debit_id=str(D2))
    life.refuses(undo(account_id=OTHER), "debit-unknown", debit_id=str(D1))


def test_a_reversal_is_meant_for_the_past_or_now() -> None:
    life = rich()
    life.debit(D1, 7)
    life.refuses(undo(effective_at=after(1)), "effective-in-future", effective_at="2026-01-01T12:00:01Z")
    life.do(undo(amount_ucr=1, effective_at=NOON))
    life.do(undo(reversal_id=R2, effective_at=after(-1)))


def test_what_a_hold_committed_is_reversed_while_it_is_open_and_after() -> None:
    life = rich()
    life.hold(H1, 8)
    life.commit(H1, 5, final=False)
    life.do(undo(debit_id=H1, amount_ucr=2))
    assert life.rows.holds[H1].spent == (Slice(G1, 3),) and life.sums == (7, 3, 0, 4)
    life.commit(H1, 1, final=False)
    assert life.rows.holds[H1].spent == (Slice(G1, 3), Slice(G2, 1))
    life.release()
    (back,) = life.do(undo(debit_id=H1, reversal_id=R2))
    assert cast("events.CreditsReversed", back).slices == (Slice(G2, 1), Slice(G1, 3))


def test_a_reversed_overdraft_lowers_debt() -> None:
    life = rich(overdraft_limit_ucr=9)
    life.debit(D1, 15)
    (back,) = life.do(undo(amount_ucr=6))
    assert cast("events.CreditsReversed", back).slices == (Slice(OVERDRAFT, 5), Slice(G2, 1))
    assert cast("events.CreditsReversed", back).graced == ()
    assert life.account.debts == [] and life.sums == (1, 0, 0, 1)


def test_an_overdraft_that_is_repaid_is_not_reversed_by_a_rule() -> None:
    life = rich(overdraft_limit_ucr=9)
    life.debit(D1, 15)
    life.debit(D2, 1)
    life.grant(G3, 2)
    life.revoke(G2)
    assert life.account.debts == [DebtPart("overdraft", None, 4), DebtPart("refund", G2, 6)]
    life.refuses(undo(amount_ucr=5), "overdraft-repaid", debit_id=str(D1))
    life.do(undo(amount_ucr=4))
    assert life.account.debts == [DebtPart("refund", G2, 6)]


def test_what_returns_to_a_grant_at_its_end_is_usable_for_a_grace() -> None:
    life = Life()
    life.grant(G1, 4, lifetime_s=60)
    life.grant(G2, 6, lifetime_s=61)
    life.debit(D1, 10)
    life.pass_s(60)
    (back,) = life.do(undo(grace_s=30))
    assert back == events.CreditsReversed(
        reversal_id=R1,
        debit_id=D1,
        amount_ucr=10,
        slices=(Slice(G2, 6), Slice(G1, 4)),
        reason="x",
        graced=(G1,),
        grace_until=after(90),
    )
    assert [(one.grant_id, one.expires_at) for one in life.account.grants] == [(G2, after(61)), (G1, after(90))]


def test_what_returns_to_a_grant_before_its_end_keeps_its_end() -> None:
    life = Life()
    life.grant(G1, 4, lifetime_s=60)
    life.debit(D1, 4)
    life.pass_s(59)
    back = cast("events.CreditsReversed", life.do(undo(grace_s=99))[0])
    assert (back.graced, back.grace_until, life.live().expires_at) == ((), None, after(60))


def test_a_grant_named_twice_is_graced_once() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.grant(G1, 4, lifetime_s=60)
    life.hold(H1, 6)
    life.commit(H1, 2, final=False)
    life.reverse(H1, 1)
    life.commit(H1, 2, final=False)
    assert life.rows.holds[H1].spent == (Slice(G1, 3),)
    life.pass_s(60)
    back = cast("events.CreditsReversed", life.do(undo(debit_id=H1))[-1])
    assert (back.slices, back.graced) == ((Slice(G1, 3),), (G1,))
    assert life.live().free_ucr == 3


def test_a_disputed_grant_pulls_a_reversal_into_frozen() -> None:
    life = rich()
    life.debit(D1, 10)
    life.freeze(G2, 4)
    back = cast("events.CreditsReversed", life.do(undo())[0])
    assert back.frozen == (Slice(G2, 4),)
    assert life.sums == (10, 0, 4, 6) and life.live(G2).free_ucr == 2


def test_what_returns_to_a_revoked_grant_pays_its_debt_and_no_more_than_is_owed_returns() -> None:
    life = rich()
    life.debit(D1, 10)
    life.revoke(G2, cause="dispute")
    life.grant(G3, 2)
    assert life.account.debts == [DebtPart("dispute", G2, 4)] and life.sums == (-4, 0, 0, -4)
    life.refuses(undo(amount_ucr=5), "debt-repaid", debit_id=str(D1))
    back, repaid = life.do(undo(amount_ucr=4))
    assert cast("events.CreditsReversed", back).graced == ()
    assert repaid == events.DebtRepaid(amount_ucr=4, slices=(Slice(G2, 4),), debts=(DebtPart("dispute", G2, 4),))
    assert life.sums == (0, 0, 0, 0)
    life.refuses(undo(reversal_id=R2, amount_ucr=1), "debt-repaid", debit_id=str(D1))
    found = life.ended(G2)
    assert (found.repaid_ucr, found.revoked_ucr, found.spent_ucr) == (4, 0, 2)


def test_what_was_our_loss_of_a_grant_in_part_is_not_given_again() -> None:
    life = rich()
    life.debit(D1, 10)
    life.revoke(G2, 4, cause="refund", spent_as="loss")
    assert life.do(undo(amount_ucr=2))[1:] == [], "two of six were not taken back"
    _, taken = life.do(undo(reversal_id=R2, amount_ucr=3))
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=3, cause="correction", lost_ucr=-3)
    life.do(undo(reversal_id=R3, amount_ucr=1))
    grant = life.live(G2)
    assert (grant.free_ucr, grant.revoked_ucr, grant.recalled_ucr, grant.used_ucr) == (2, 4, 0, 0)
    life.revoke(G2)
    assert life.sums == (0, 0, 0, 0), "all of it was taken once"


def test_what_is_owed_of_a_grant_in_part_is_paid_by_what_returns() -> None:
    life = rich()
    life.grant(G3, 1, kind="promo", priority=3)
    life.debit(D1, 10)
    life.revoke(G2, 4, cause="refund")
    _, repaid = life.do(undo(amount_ucr=6))
    assert repaid == events.DebtRepaid(amount_ucr=4, slices=(Slice(G2, 4),), debts=(DebtPart("refund", G2, 4),))
    grant = life.live(G2)
    assert (grant.free_ucr, grant.repaid_ucr, grant.recalled_ucr, grant.used_ucr) == (2, 4, 4, 4)
    life.revoke(G2)
    assert life.sums == (1, 0, 0, 1), "all of it was taken once"


def test_what_returns_of_two_grants_is_taken_of_each_by_itself() -> None:
    life = rich()
    life.debit(D1, 10)
    life.revoke(G1, 1, spent_as="loss")
    life.revoke(G2, 2, spent_as="loss")
    _, second, first = life.do(undo())
    assert second == events.CreditsRevoked(grant_id=G2, amount_ucr=2, cause="correction", lost_ucr=-2)
    assert first == events.CreditsRevoked(grant_id=G1, amount_ucr=1, cause="correction", lost_ucr=-1)
    assert life.sums == (7, 0, 0, 7)


def test_what_returns_to_a_disputed_grant_is_frozen_but_for_what_was_our_loss() -> None:
    life = rich()
    life.debit(D1, 10)
    life.revoke(G2, 4, cause="refund", spent_as="loss")
    life.freeze(G2, 5)
    back, taken = life.do(undo(amount_ucr=5))
    assert cast("events.CreditsReversed", back).frozen == (Slice(G2, 2),)
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=3, cause="correction", lost_ucr=-3)
    assert (life.live(G2).frozen_ucr, life.live(G2).free_ucr) == (2, 0)


def test_what_returns_pays_only_its_own_grants_debt_whatever_the_causes() -> None:
    life = rich(overdraft_limit_ucr=2)
    life.debit(D1, 10)
    life.debit(D2, 1)
    life.revoke(G2, 2, cause="refund")
    life.revoke(G1)
    life.revoke(G2, cause="dispute", spent_as="loss")
    assert life.account.debts == [
        DebtPart("overdraft", None, 1),
        DebtPart("refund", G2, 2),
        DebtPart("refund", G1, 4),
    ]
    _, repaid, taken = life.do(undo(amount_ucr=3))
    assert cast("events.DebtRepaid", repaid).debts == (DebtPart("refund", G2, 2),)
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=1, cause="correction", lost_ucr=-1, ends=True)
    _, taken, repaid = life.do(undo(reversal_id=R2, amount_ucr=4))
    assert cast("events.CreditsRevoked", taken).grant_id == G2 and cast("events.CreditsRevoked", taken).amount_ucr == 3
    assert cast("events.DebtRepaid", repaid).debts == (DebtPart("refund", G1, 1),)
    assert life.account.debts == [DebtPart("overdraft", None, 1), DebtPart("refund", G1, 3)]


def test_what_returns_to_a_grant_owed_for_two_causes_pays_the_older_first() -> None:
    life = rich()
    life.debit(D1, 10)
    life.revoke(G2, 2, cause="refund")
    life.revoke(G2, cause="dispute")
    assert life.account.debts == [DebtPart("refund", G2, 2), DebtPart("dispute", G2, 4)]
    _, repaid = life.do(undo(amount_ucr=1))
    assert cast("events.DebtRepaid", repaid).debts == (DebtPart("refund", G2, 1),)
    _, repaid = life.do(undo(amount_ucr=3, reversal_id=R2))
    assert cast("events.DebtRepaid", repaid).debts == (DebtPart("refund", G2, 1), DebtPart("dispute", G2, 2))


def test_what_returns_to_a_revoked_grant_leaves_its_claim_on_what_is_held() -> None:
    life = rich()
    life.debit(D1, 5)
    life.hold(H1, 3)
    life.revoke(G2, cause="dispute", spent_as="loss")
    assert life.live(G2).claim_ucr == 3
    _, taken = life.do(undo(amount_ucr=1))
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=1, cause="correction", lost_ucr=-1, ends=True)
    assert life.live(G2).claim_ucr == 3 and life.account.claims == 1


# Transfers


def move(**more: Any) -> commands.TransferCredits:
    fields: dict[str, Any] = {"to_account_id": OTHER, "transfer_id": R1, "amount_ucr": 7, "reason": "team"}
    return commands.TransferCredits(**WHO | fields | more)


def test_a_transfer_moves_slices_with_all_that_they_are() -> None:
    life = Life()
    first: dict[str, Any] = {"kind": "promo", "priority": 1, "receipt_id": RECEIPT, "generation": 2}
    life.grant(G1, 4, **first, lifetime_s=60, cost_micro=10, list_value_micro=20, book_currency="EUR")
    life.grant(G2, 6, priority=2, cost_micro=7, list_value_micro=100)
    gone, arrived = life.do(move())
    slices = (Slice(G1, 4), Slice(G2, 3))
    assert gone == events.CreditsTransferredOut(
        transfer_id=R1, to_account_id=OTHER, amount_ucr=7, slices=slices, reason="team"
    )
    one = events.TransferPart(
        grant_id=uuid5(R1, f"{G1.hex}:{MINE.hex}:3"),
        from_grant_id=G1,
        amount_ucr=4,
        **first,
        expires_at=after(60),
        cost_micro=10,
        list_value_micro=20,
        book_currency="EUR",
    )
    two = events.TransferPart(
        grant_id=uuid5(R1, f"{G2.hex}:{MINE.hex}:3"),
        from_grant_id=G2,
        amount_ucr=3,
        kind="paid",
        priority=2,
        cost_micro=3,
        list_value_micro=50,
    )
    assert arrived == events.CreditsTransferredIn(
        transfer_id=R1, from_account_id=MINE, amount_ucr=7, parts=(one, two), reason="team"
    )
    assert (life.ended(G1).transferred_ucr, life.live(G2).transferred_ucr, life.sums) == (4, 3, (3, 0, 0, 3))
    target = life.accounts[OTHER]
    fields = ("grant_id", "kind", "priority", "expires_at", "cost_micro", "list_value_micro", "book_currency")
    for part, grant in zip((one, two), target.grants, strict=True):
        for name in (*fields, "receipt_id", "generation"):
            assert getattr(grant, name) == getattr(part, name)
        assert (grant.granted_ucr, grant.free_ucr, grant.order) == (part.amount_ucr, part.amount_ucr, 2)
    assert (target.posted_ucr, target.version) == (7, 2)


@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 10**18])
def test_invariant_03_shares_of_a_cost_basis_add_up_whatever_the_parts(total: int) -> None:
    life = Life()
    life.grant(G1, 10, cost_micro=total)
    shares = 0
    for number, amount_ucr in enumerate((3, 1, 4, 2)):
        share = share_micro(life.live(), total, amount_ucr)
        assert abs(share - total * amount_ucr // 10) <= 1
        shares += share
        life.do(move(amount_ucr=amount_ucr, transfer_id=UUID(int=number + 1)))
    assert shares == total
    assert sum(grant.cost_micro for grant in life.accounts[OTHER].grants) == total


def test_a_transfer_moves_what_is_available_and_never_an_overdraft() -> None:
    life = rich(overdraft_limit_ucr=9)
    facts: dict[str, Any] = {"available_ucr": 10, "held_ucr": 0}
    life.refuses(move(amount_ucr=11), "insufficient-credits", required_ucr=11, **facts)
    life.do(move(amount_ucr=10))
    assert life.sums == (0, 0, 0, 0)


def test_what_owes_or_is_promised_beyond_grants_cannot_be_moved_away() -> None:
    life = Life(overdraft_limit_ucr=9)
    life.debit(D1, 3)
    life.grant(G1, 8, kind="promo")
    facts: dict[str, Any] = {"held_ucr": 0}
    life.refuses(move(amount_ucr=6), "insufficient-credits", required_ucr=6, available_ucr=5, **facts)
    life.do(move(amount_ucr=5))
    life = Life(overdraft_limit_ucr=9)
    life.hold(H1, 4)
    life.grant(G1, 8)
    facts["held_ucr"] = 4
    life.refuses(move(amount_ucr=5), "insufficient-credits", required_ucr=5, available_ucr=4, **facts)
    life.do(move(amount_ucr=4))


def test_credits_never_leave_their_organisation_nor_go_where_they_are() -> None:
    life = rich()
    nobody = UUID(int=0xAF)
    life.refuses(move(to_account_id=nobody), "account-unknown", account_id=str(nobody))
    life.accounts[nobody] = type(life.account)(account_id=nobody, organisation_id=life.account.organisation_id)
    life.refuses(move(to_account_id=nobody), "account-unknown", account_id=str(nobody))
    for account_id in (STRANGER, MINE):
        life.refuses(move(to_account_id=account_id), "other-organisation", to_account_id=str(account_id))
    life.do(commands.CloseAccount(account_id=OTHER, reason="x"))
    life.refuses(move(), "account-closed", account_id=str(OTHER))


def test_what_arrives_repays_debt() -> None:
    life = rich(overdraft_limit_ucr=9)
    life.do(commands.DebitCredits(account_id=OTHER, debit_id=D1, amount_ucr=3, reason="x"))
    repaid = life.do(move(amount_ucr=5))[-1]
    assert cast("events.DebtRepaid", repaid).amount_ucr == 3
    assert life.accounts[OTHER].posted_ucr == 2


# Adjustments


def adjusting(amount_ucr: int, **more: Any) -> commands.AdjustBalance:
    fields: dict[str, Any] = {"adjustment_id": R1, "cause": "correction", "operator_id": ANN, "approver_id": BOB}
    return commands.AdjustBalance(**WHO | fields | more, amount_ucr=amount_ucr)


def test_an_adjustment_takes_two_operators() -> None:
    rich().refuses(adjusting(1, approver_id=ANN), "second-operator-needed", operator_id=str(ANN))


def test_more_is_a_bucket_of_goodwill() -> None:
    life, grant_id = Life(), uuid5(R1, MINE.hex)
    said: dict[str, Any] = {"adjustment_id": R1, "cause": "migration", "operator_id": ANN, "approver_id": BOB}
    assert life.do(adjusting(1, cause="migration", reason="moved")) == [
        events.BalanceAdjusted(**said, amount_ucr=1, grant_id=grant_id, reason="moved")
    ]
    grant = life.live(grant_id)
    assert (grant.kind, grant.priority, grant.expires_at, grant.order) == ("goodwill", 100, None, 2)
    assert (grant.granted_ucr, grant.free_ucr, grant.cost_micro, life.sums) == (1, 1, 0, (1, 0, 0, 1))


def test_a_bucket_of_an_adjustment_is_given_once() -> None:
    life = Life()
    grant_id = str(uuid5(R1, MINE.hex))
    life.do(adjusting(1))
    life.refuses(adjusting(2), "grant-exists", grant_id=grant_id)
    life.debit(D1, 1)
    life.refuses(adjusting(2), "grant-exists", grant_id=grant_id)
    life.grant(G1)
    life.do(adjusting(-1))


def test_a_transfer_whose_id_is_used_again_brings_buckets_of_their_own() -> None:
    life = rich()
    for _ in range(2):
        life.do(move(amount_ucr=5))
    target = life.accounts[OTHER]
    assert len({one.grant_id for one in target.grants}) == len(target.grants) == 3
    assert target.posted_ucr == 10


def test_less_is_slices_up_to_what_is_available_and_never_debt() -> None:
    life = rich(overdraft_limit_ucr=9)
    facts: dict[str, Any] = {"available_ucr": 10, "held_ucr": 0}
    life.refuses(adjusting(-11), "insufficient-credits", required_ucr=11, **facts)
    (adjusted,) = life.do(adjusting(-7))
    assert adjusted == events.BalanceAdjusted(
        adjustment_id=R1,
        amount_ucr=-7,
        cause="correction",
        operator_id=ANN,
        approver_id=BOB,
        slices=(Slice(G1, 4), Slice(G2, 3)),
    )
    assert (life.ended(G1).revoked_ucr, life.live(G2).revoked_ucr, life.sums) == (4, 3, (3, 0, 0, 3))


def test_an_adjustment_is_meant_for_the_past_or_now() -> None:
    life = rich()
    life.refuses(adjusting(1, effective_at=after(1)), "effective-in-future", effective_at="2026-01-01T12:00:01Z")
    life.do(adjusting(1, effective_at=NOON))
