"""Rules of grants: given, burnt in order, ended, rolled over, disputed, revoked; every field of what they say."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import pytest

from ledger.domain import commands, events
from ledger.domain.events import Claim, DebtPart, Slice
from ledger.domain.rules.known import iso
from tests.support.domain import D1, D2, G1, G2, G3, G4, H1, H2, JOB, NOON, OTHER, R1, RECEIPT, WHO, Life, after

ORDER = [
    (G1, {"priority": 5}),
    (G2, {"priority": 5, "lifetime_s": 200}),
    (G3, {"priority": 5, "lifetime_s": 100}),
    (G4, {"priority": 1}),
]


def give(**more: Any) -> commands.GrantCredits:
    fields: dict[str, Any] = WHO | {"grant_id": G1, "amount_ucr": 10, "kind": "paid"} | more
    return commands.GrantCredits(**fields)


def test_a_grant_is_recorded_with_all_that_was_asked() -> None:
    life = Life()
    fields: dict[str, Any] = {
        "kind": "promo",
        "priority": 7,
        "cost_micro": 11,
        "list_value_micro": 12,
        "book_currency": "EUR",
        "receipt_id": RECEIPT,
        "generation": 3,
    }
    assert life.do(give(**fields, lifetime_s=60, reason="hello")) == [
        events.CreditsGranted(grant_id=G1, amount_ucr=10, **fields, expires_at=after(60), reason="hello")
    ]
    grant = life.live()
    assert {name: getattr(grant, name) for name in fields} == fields
    assert (grant.expires_at, grant.granted_ucr, grant.free_ucr, grant.order) == (after(60), 10, 10, 2)
    assert life.sums == (10, 0, 0, 10)
    granted = cast("events.CreditsGranted", life.do(give(grant_id=G2))[0])
    assert granted.expires_at is None and granted.kind == "paid"


def test_a_grant_is_meant_for_the_past_or_now_and_never_for_later() -> None:
    life = Life()
    life.refuses(give(effective_at=after(1)), "effective-in-future", effective_at="2026-01-01T12:00:01Z")
    life.do(give(effective_at=NOON))
    life.do(give(grant_id=G2, effective_at=after(-9)))


def test_a_grant_is_given_once_also_when_it_has_ended() -> None:
    life = Life()
    life.grant()
    life.refuses(give(), "grant-exists", grant_id=str(G1))
    life.debit(D1, 10)
    assert life.ended().spent_ucr == 10
    life.refuses(give(), "grant-exists", grant_id=str(G1))


def test_invariant_31_burn_order_is_priority_then_end_then_order_then_id() -> None:
    for told in (ORDER, ORDER[::-1]):
        life = Life()
        for grant_id, more in told:
            life.grant(grant_id, 2, **more)
        debited = cast("events.CreditsDebited", life.debit(D1, 7)[0])
        assert debited.slices == (Slice(G4, 2), Slice(G3, 2), Slice(G2, 2), Slice(G1, 1))
    life = Life()
    for grant_id in (G3, G1, G2):
        life.grant(grant_id, 2)
    assert [one.grant_id for one in life.account.grants] == [G3, G1, G2], "equal in all else: in order of the grants"


def test_invariant_33_what_is_free_expires_exactly_at_its_end_and_once() -> None:
    life = Life()
    life.grant(G1, 10, lifetime_s=60)
    life.grant(G2, 3, lifetime_s=61)
    life.hold(H1, 4)
    life.pass_s(59.999999)
    assert life.do(commands.ExpireGrants(**WHO)) == []
    life.pass_s(0.000001)
    assert life.do(commands.ExpireGrants(**WHO)) == [events.CreditsExpired(grant_id=G1, amount_ucr=6)]
    assert life.do(commands.ExpireGrants(**WHO)) == []
    assert (life.live().expired_ucr, life.live().held_ucr, life.sums) == (6, 4, (7, 4, 0, 3))
    released = life.release()
    assert [type(event) for event in released] == [events.HoldReleased]
    expired = life.do(commands.ExpireGrants(**WHO))
    assert expired == [events.CreditsExpired(grant_id=G1, amount_ucr=4)]
    assert (life.ended().expired_ucr, life.sums) == (10, (3, 0, 0, 3))
    assert life.rows.settled.keys() == life.rows.ended.keys()


def test_what_is_due_is_booked_before_anything_is_decided() -> None:
    life = Life()
    life.grant(G1, 10, lifetime_s=60)
    life.grant(G2, 3)
    life.pass_s(60)
    first, second = life.debit(D1, 3)
    assert first == events.CreditsExpired(grant_id=G1, amount_ucr=10)
    assert cast("events.CreditsDebited", second).slices == (Slice(G2, 3),)


# Roll-over


@pytest.mark.parametrize(("keep", "kept", "expired"), [(None, 10, 0), (10, 10, 0), (11, 10, 0), (9, 9, 1), (0, 0, 10)])
def test_credits_roll_over_and_the_rest_expires(keep: int | None, kept: int, expired: int) -> None:
    life = Life()
    life.grant(G1, 12, lifetime_s=60)
    life.hold(H1, 2)
    extended = life.do(commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=61, keep_ucr=keep))
    assert extended == [
        events.GrantExtended(grant_id=G1, expires_at=after(61), kept_ucr=kept, expired_ucr=expired),
    ]
    grant = life.live()
    assert (grant.free_ucr, grant.expired_ucr, grant.held_ucr, grant.expires_at) == (kept, expired, 2, after(61))
    assert life.sums == (kept + 2, 2, 0, kept)


def test_an_extension_ends_later_than_the_grant_would() -> None:
    life = Life()
    life.grant(G1, 10, lifetime_s=60)
    for lifetime_s in (59, 60):
        command = commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=lifetime_s)
        life.refuses(command, "extension-not-later", grant_id=str(G1), expires_at="2026-01-01T12:01:00Z")
    life.pass_s(1)
    life.do(commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=60))
    assert life.live().expires_at == after(61)


def test_a_grant_that_rolls_over_takes_its_new_place_in_the_burn_order() -> None:
    life = Life()
    life.grant(G1, 10, lifetime_s=60)
    life.grant(G2, 10, lifetime_s=90)
    life.do(commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=100))
    assert [one.grant_id for one in life.account.grants] == [G2, G1]


def test_a_grant_without_anything_left_or_without_an_end_does_not_roll_over() -> None:
    life = Life()
    life.grant(G1, 10)
    life.grant(G2, 5, lifetime_s=60)
    life.grant(G3, 5, lifetime_s=60)
    life.hold(H1, 1)
    life.do(commands.ExtendGrant(**WHO, grant_id=G3, lifetime_s=70, keep_ucr=0))
    life.revoke(G2)
    assert life.live(G2).ended, "one of it is held still"
    for grant_id in (G1, G2, G3):
        life.refuses(
            commands.ExtendGrant(**WHO, grant_id=grant_id, lifetime_s=100), "grant-ended", grant_id=str(grant_id)
        )
    life.refuses(commands.ExtendGrant(**WHO, grant_id=G4, lifetime_s=100), "grant-unknown", grant_id=str(G4))
    assert life.ended(G3).expired_ucr == 5


def test_a_grant_that_is_only_held_or_disputed_rolls_over_too() -> None:
    life = Life()
    life.grant(G1, 5, lifetime_s=60)
    life.hold(H1, 5)
    life.do(commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=100))
    life.pass_s(60)
    life.release()
    life.freeze()
    life.do(commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=100))
    assert (life.live().expires_at, life.live().frozen_ucr) == (after(160), 5)


# Disputes


def test_a_dispute_freezes_what_is_free_and_says_so() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 4)
    command = commands.FreezeGrant(**WHO, grant_id=G1, reason="fraud", reference=JOB)
    assert life.do(command) == [
        events.GrantFrozen(grant_id=G1, amount_ucr=6, limit_ucr=10, reason="fraud", reference=JOB)
    ]
    assert (life.live().freeze_limit_ucr, life.live().frozen_ucr, life.sums) == (10, 6, (10, 4, 6, 0))
    life.refuses(command, "grant-frozen", grant_id=str(G1))
    assert life.unfreeze() == [events.GrantUnfrozen(grant_id=G1, amount_ucr=6, reason="x")]
    assert (life.live().freeze_limit_ucr, life.sums) == (0, (10, 4, 0, 6))
    life.refuses(commands.UnfreezeGrant(**WHO, grant_id=G1, reason="x"), "grant-not-frozen", grant_id=str(G1))


@pytest.mark.parametrize(("asked", "amount", "limit"), [(5, 5, 5), (6, 6, 6), (7, 6, 7), (10, 6, 10), (11, 6, 10)])
def test_only_what_is_disputed_is_frozen(asked: int, amount: int, limit: int) -> None:
    life = Life()
    life.grant()
    life.hold(H1, 4)
    assert life.freeze(G1, asked) == [
        events.GrantFrozen(grant_id=G1, amount_ucr=amount, limit_ucr=limit, reason="x", reference=None)
    ]
    released = cast("events.HoldReleased", life.release()[0])
    assert released.frozen == ((Slice(G1, limit - amount),) if limit > amount else ())
    assert life.sums == (10, 0, limit, 10 - limit)


@pytest.mark.parametrize("spent_as", ["debt", "loss"])
@pytest.mark.parametrize(("held", "spent"), [(10, 0), (0, 10), (0, 0), (8, 0), (4, 2), (0, 8)])
def test_a_lost_dispute_over_a_part_is_over(held: int, spent: int, spent_as: Any) -> None:
    life = Life()
    life.grant()
    if held:
        life.hold(H1, held)
    if spent:
        life.debit(D1, spent)
    life.freeze(G1, 4)
    life.revoke(G1, 4, cause="dispute", spent_as=spent_as)
    grant = life.account.grant(G1) or life.ended()
    assert (grant.freeze_limit_ucr, grant.frozen_ucr) == (0, 0)
    if held:
        life.release()
    assert life.sums[2] == 0, "nothing is frozen for a dispute that is decided"
    assert life.account.available_ucr == 6 - spent + grant.lost_ucr
    life.freeze(G1, 1)


def test_a_refund_leaves_a_dispute_over_the_rest_open() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 8)
    life.freeze(G1, 5)
    life.revoke(G1, 3)
    assert (life.live().freeze_limit_ucr, life.live().frozen_ucr, life.live().claim_ucr) == (3, 0, 1)
    life.revoke(G1, 1, cause="dispute")
    assert (life.live().freeze_limit_ucr, life.live().claim_ucr) == (2, 2)
    life.revoke(G1, 1)
    assert (life.live().freeze_limit_ucr, life.live().claim_ucr) == (2, 3), "a refund decides nothing of a dispute"


def test_a_grant_that_ended_is_disputed_and_ends_again_when_the_dispute_is_won() -> None:
    life = Life()
    life.grant()
    life.debit(D1, 10)
    assert cast("events.GrantFrozen", life.freeze()[0]).amount_ucr == 0
    assert life.live().freeze_limit_ucr == 10 and (G1.int, 0) == (life.live().grant_id.int, life.sums[2])
    life.unfreeze()
    assert life.ended().spent_ucr == 10
    life.refuses(commands.FreezeGrant(**WHO, grant_id=G4, reason="x"), "grant-unknown", grant_id=str(G4))
    life.refuses(commands.UnfreezeGrant(**WHO, grant_id=G4, reason="x"), "grant-unknown", grant_id=str(G4))
    life.revoke()
    life.refuses(commands.FreezeGrant(**WHO, grant_id=G1, reason="x"), "grant-ended", grant_id=str(G1))


def test_what_is_frozen_does_not_expire_until_it_is_free() -> None:
    life = Life()
    life.grant(G1, 10, lifetime_s=60)
    life.freeze(G1, 4)
    life.pass_s(60)
    assert life.do(commands.ExpireGrants(**WHO)) == [events.CreditsExpired(grant_id=G1, amount_ucr=6)]
    assert life.account.next_due_at is None
    life.unfreeze()
    assert life.account.next_due_at == after(60)
    assert life.do(commands.ExpireGrants(**WHO)) == [events.CreditsExpired(grant_id=G1, amount_ucr=4)]


def test_what_a_claim_takes_is_not_frozen_first() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 6)
    life.revoke(G1, 7)
    assert (life.live().claim_ucr, life.sums) == (3, (6, 6, 0, 0))
    life.freeze()
    released, taken = life.release()
    assert cast("events.HoldReleased", released).frozen == (Slice(G1, 3),)
    assert cast("events.CreditsRevoked", taken).amount_ucr == 3
    assert life.sums == (3, 0, 3, 0)


def test_nothing_returns_to_frozen_beyond_what_is_disputed_or_while_all_is_claimed() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 3)
    life.hold(H2, 3)
    life.freeze(G1, 5)
    assert cast("events.HoldReleased", life.release(H1)[0]).frozen == (Slice(G1, 1),)
    assert cast("events.HoldReleased", life.release(H2)[0]).frozen == ()
    assert life.sums == (10, 0, 5, 5)
    life = Life()
    life.grant()
    life.hold(H1, 10)
    life.revoke(G1, 10)
    life.freeze()
    released, taken = life.release()
    assert cast("events.HoldReleased", released).frozen == ()
    assert cast("events.CreditsRevoked", taken).amount_ucr == 10


# Revocation


def revoked(**more: Any) -> events.CreditsRevoked:
    fields: dict[str, Any] = {"grant_id": G1, "amount_ucr": 10, "cause": "refund", "ends": True} | more
    return events.CreditsRevoked(**fields)


def test_a_refund_takes_what_is_unspent_and_says_why() -> None:
    life = Life()
    life.grant()
    more: dict[str, Any] = {"cause": "dispute", "spent_as": "loss", "reason": "lost", "reference": JOB}
    assert life.revoke(**more) == [revoked(**more)]
    assert (life.ended().revoked_ucr, life.ended().ended, life.sums) == (10, True, (0, 0, 0, 0))
    life.refuses(commands.RevokeCredits(**WHO, grant_id=G1, cause="refund"), "grant-ended", grant_id=str(G1))
    life.refuses(commands.RevokeCredits(**WHO, grant_id=G2, cause="refund"), "grant-unknown", grant_id=str(G2))


def test_what_is_frozen_is_revoked_first() -> None:
    life = Life()
    life.grant()
    life.freeze(G1, 4)
    assert life.revoke(G1, 3) == [revoked(amount_ucr=3, from_frozen_ucr=3, ends=False)]
    assert (life.live().freeze_limit_ucr, life.sums) == (1, (7, 0, 1, 6))
    assert life.revoke(G1, 2) == [revoked(amount_ucr=2, from_frozen_ucr=1, ends=False)]
    assert (life.live().freeze_limit_ucr, life.sums) == (0, (5, 0, 0, 5))
    assert life.revoke() == [revoked(amount_ucr=5)]


def test_a_dispute_ends_with_its_grant() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 4)
    life.freeze()
    assert life.revoke() == [revoked(amount_ucr=6, from_frozen_ucr=6, claim_ucr=4)]
    assert (life.live().freeze_limit_ucr, life.live().claim_ucr, life.account.claims) == (0, 4, 1)
    _, taken = life.release()
    assert taken == revoked(amount_ucr=4, claimed=True)
    assert (life.ended().revoked_ucr, life.account.claims) == (10, 0)


def test_what_is_held_of_a_revoked_grant_is_taken_as_it_comes_back_and_owed_as_it_is_spent() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 6)
    life.revoke(cause="dispute")
    committed, owed = life.commit(H1, 2, final=False)
    assert isinstance(committed, events.HoldCommitted)
    assert owed == events.DebtIncurred(amount_ucr=2, cause="dispute", grant_id=G1, claimed=True)
    assert (life.live().claim_ucr, life.live().indebted_ucr, life.sums) == (4, 2, (2, 4, 0, -2))
    committed, owed, taken = life.commit(H1, 1)
    assert taken == revoked(amount_ucr=3, cause="dispute", claimed=True)
    assert owed == events.DebtIncurred(amount_ucr=1, cause="dispute", grant_id=G1, claimed=True)
    assert (life.ended().indebted_ucr, life.sums, life.account.claims) == (3, (-3, 0, 0, -3), 0)


def test_what_is_held_of_a_revoked_grant_is_our_loss_where_the_policy_says_so() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 6)
    life.revoke(spent_as="loss")
    life.commit(H1, 2, final=False)
    assert (life.live().claim_ucr, life.live().lost_ucr, life.account.debts) == (4, 2, [])
    _, taken = life.commit(H1, 1)
    assert taken == revoked(amount_ucr=3, spent_as="loss", claimed=True)
    assert (life.ended().claims, life.ended().lost_ucr, life.account.claims) == ((), 3, 0)
    assert life.sums == (0, 0, 0, 0)


@pytest.mark.parametrize("spent_as", ["debt", "loss"])
def test_what_was_spent_is_owed_or_lost(spent_as: str) -> None:
    life = Life()
    life.grant()
    life.debit(D1, 4)
    appended = life.revoke(spent_as=spent_as, cause="dispute", reference=JOB)
    lost_ucr = 4 if spent_as == "loss" else 0
    first = revoked(amount_ucr=6, cause="dispute", spent_as=spent_as, lost_ucr=lost_ucr, reference=JOB)
    owed = events.DebtIncurred(amount_ucr=4, cause="dispute", grant_id=G1, reference=JOB)
    assert appended == ([first, owed] if spent_as == "debt" else [first])
    assert life.account.debts == ([DebtPart("dispute", G1, 4)] if spent_as == "debt" else [])
    assert (life.ended().lost_ucr, life.ended().indebted_ucr) == ((4, 0) if lost_ucr else (0, 4))


def test_a_part_is_revoked_of_free_then_held_then_spent_and_no_more_than_there_is() -> None:
    life = Life()
    life.grant(G1, 10)
    life.debit(D1, 3)
    life.hold(H1, 4)
    part = {"ends": False}
    command = commands.RevokeCredits(**WHO, grant_id=G1, cause="refund", amount_ucr=11)
    life.refuses(command, "revoke-above-grant", grant_id=str(G1), requested_ucr=11, revocable_ucr=10)
    assert life.revoke(G1, 2) == [revoked(amount_ucr=2, **part)]
    assert life.revoke(G1, 2) == [revoked(amount_ucr=1, claim_ucr=1, **part)]
    command = replace_amount(command, 7)
    life.refuses(command, "revoke-above-grant", grant_id=str(G1), requested_ucr=7, revocable_ucr=6)
    assert life.revoke(G1, 4) == [
        revoked(amount_ucr=0, claim_ucr=3, **part),
        events.DebtIncurred(amount_ucr=1, cause="refund", grant_id=G1),
    ]
    life.refuses(replace_amount(command, 3), "revoke-above-grant", grant_id=str(G1), requested_ucr=3, revocable_ucr=2)
    assert life.revoke(G1, 2)[1] == events.DebtIncurred(amount_ucr=2, cause="refund", grant_id=G1)
    assert life.live().claims == (Claim("refund", "debt", 1), Claim("refund", "debt", 3))
    assert (life.live().indebted_ucr, life.live().claim_ucr, life.sums) == (3, 4, (1, 4, 0, -3))


def replace_amount(command: commands.RevokeCredits, amount_ucr: int) -> commands.RevokeCredits:
    return commands.RevokeCredits(**WHO, grant_id=command.grant_id, cause=command.cause, amount_ucr=amount_ucr)


def test_what_was_given_for_debt_or_moved_away_is_owed_like_what_was_spent() -> None:
    life = Life(overdraft_limit_ucr=5)
    life.debit(D1, 3)
    life.grant()
    assert (life.live().repaid_ucr, life.sums) == (3, (7, 0, 0, 7))
    life.do(commands.TransferCredits(**WHO, to_account_id=OTHER, transfer_id=JOB, amount_ucr=2, reason="x"))
    assert life.revoke()[1] == events.DebtIncurred(amount_ucr=5, cause="refund", grant_id=G1)


def test_what_came_back_after_it_was_owed_is_not_owed_twice() -> None:
    life = Life()
    life.grant()
    life.debit(D1, 10)
    life.revoke(G1, 6)
    life.grant(G2, 6)
    life.reverse(D1, 4)
    assert (life.live().used_ucr, life.live().indebted_ucr) == (6, 6)
    assert life.revoke() == [revoked(amount_ucr=4)]


def test_a_gift_that_is_taken_back_takes_no_other_with_it() -> None:
    life = Life()
    life.grant(G1, 10, kind="promo", receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT)
    assert life.revoke() == [revoked(amount_ucr=10)]
    assert life.live(G2).free_ucr == 6


def test_a_gift_that_was_used_up_does_not_come_back_after_its_receipt_was_refunded() -> None:
    life = Life()
    life.grant(G1, 10, receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT, priority=1)
    life.grant(G3, 3, kind="promo", receipt_id=JOB, priority=2)
    life.debit(D1, 9)
    assert len(life.revoke()) == 1, "nothing of the gift was left"
    _, taken = life.reverse(D1, 8)
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=5, cause="correction", ends=True)
    assert (life.live(G3).free_ucr, life.sums) == (3, (3, 0, 0, 3))
    _, taken = life.reverse(D1, 1)
    assert cast("events.CreditsRevoked", taken).amount_ucr == 1 and life.ended(G2).lost_ucr == 0
    life.grant(G4, 5, kind="promo", receipt_id=RECEIPT, generation=2, priority=1)
    life.debit(D2, 5)
    assert len(life.reverse(D2, 5)) == 1 and life.sums == (8, 0, 0, 8), "the money came again, and this gift with it"


def test_a_gift_that_is_owed_pays_its_own_debt_when_it_comes_back() -> None:
    life = Life()
    life.grant(G1, 6, receipt_id=RECEIPT)
    life.grant(G2, 3, kind="promo", receipt_id=RECEIPT, priority=1)
    life.debit(D1, 3)
    life.revoke(G1)
    life.revoke(G2, 2, spent_as="debt")
    _, repaid, taken = life.reverse(D1, 3)
    assert repaid == events.DebtRepaid(amount_ucr=2, slices=(Slice(G2, 2),), debts=(DebtPart("refund", G2, 2),))
    assert cast("events.CreditsRevoked", taken).amount_ucr == 1 and life.sums == (0, 0, 0, 0)


def test_what_was_paid_for_again_of_a_gift_is_not_to_be_had_back_by_a_rule() -> None:
    life = Life()
    life.grant(G1, 6, receipt_id=RECEIPT)
    life.grant(G2, 5, kind="promo", receipt_id=RECEIPT, priority=1)
    life.debit(D1, 5)
    life.grant(G3, 3, priority=0)
    life.revoke(G2, 2, spent_as="debt")
    life.revoke(G2, 1, spent_as="loss")
    life.revoke(G1)
    assert life.sums == (1, 0, 0, 1), "two of three paid for what had been a gift"
    undo = commands.ReverseDebit(**WHO, debit_id=D1, reversal_id=R1, reason="x")
    life.refuses(undo, "debt-repaid", debit_id=str(D1))
    _, taken = life.reverse(D1, 3)
    assert taken == events.CreditsRevoked(grant_id=G2, amount_ucr=3, cause="correction", lost_ucr=-1, ends=True)
    assert life.sums == (1, 0, 0, 1)
    life.refuses(undo, "debt-repaid", debit_id=str(D1))


def test_a_receipt_is_refunded_by_what_was_bought_whole() -> None:
    life = Life()
    life.grant(G1, 10, receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT, priority=1)
    life.grant(G3, 5)
    life.debit(D1, 6)
    life.revoke(G1, 4)
    life.revoke(G3)
    assert life.account.refunds == []
    assert len(life.reverse(D1, 6)) == 1
    life.revoke(G1)
    assert [(one.receipt_id, one.version) for one in life.account.refunds] == [(RECEIPT, life.account.version - 1)]


def test_the_gifts_of_a_receipt_end_with_it_whole_and_at_our_loss() -> None:
    life = Life()
    life.grant(G1, 10, receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT, priority=1)
    life.grant(G3, 3, kind="promo", receipt_id=JOB)
    life.grant(G4, 3, kind="goodwill", receipt_id=RECEIPT)
    life.debit(D1, 1)
    life.hold(H1, 2)
    life.freeze(G2, 1)
    more: dict[str, Any] = {"cause": "dispute", "reason": "lost", "reference": JOB}
    assert life.revoke(**more) == [
        revoked(amount_ucr=10, **more),
        revoked(grant_id=G2, amount_ucr=3, from_frozen_ucr=1, claim_ucr=2, spent_as="loss", **more),
    ]
    assert life.sums == (8, 2, 0, 6)
    life.commit(H1, 1)
    assert (life.ended(G2).revoked_ucr, life.account.debts, life.sums) == (4, [], (6, 0, 0, 6))


def test_a_part_or_a_grant_without_a_receipt_takes_no_gift_with_it() -> None:
    life = Life()
    life.grant(G1, 10, receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT)
    life.grant(G3, 5)
    life.grant(G4, 5, kind="promo")
    assert len(life.revoke(G1, 10)) == 1
    assert len(life.revoke(G3)) == 1
    assert len(life.revoke(G2)) == 1
    assert life.sums == (5, 0, 0, 5)


def test_a_gift_claimed_in_part_before_is_claimed_whole() -> None:
    life = Life()
    life.grant(G1, 10, receipt_id=RECEIPT)
    life.grant(G2, 6, kind="promo", receipt_id=RECEIPT, priority=1)
    life.hold(H1, 6)
    life.revoke(G2, 2, spent_as="loss")
    assert life.live(G2).claim_ucr == 2
    assert life.revoke()[1] == revoked(grant_id=G2, amount_ucr=0, claim_ucr=4, spent_as="loss")


def test_claims_are_served_the_oldest_first_and_each_by_its_own_terms() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 4)
    life.hold(H2, 6)
    life.revoke(G1, 3, cause="refund", spent_as="loss")
    life.revoke(G1, 3, cause="dispute")
    life.revoke(G1, cause="correction", spent_as="loss")
    assert life.live().claims == (
        Claim("refund", "loss", 3),
        Claim("dispute", "debt", 3),
        Claim("correction", "loss", 4),
    )
    assert len(life.commit(H1, 2, final=False)) == 1, "two of three are lost without a word"
    assert (life.live().lost_ucr, life.live().claims[0]) == (2, Claim("refund", "loss", 1))
    _, taken, more = life.release(H1)
    assert taken == revoked(amount_ucr=1, cause="refund", spent_as="loss", claimed=True)
    assert more == revoked(amount_ucr=1, cause="dispute", claimed=True)
    _, owed = life.commit(H2, 5, final=False)
    assert owed == events.DebtIncurred(amount_ucr=2, cause="dispute", grant_id=G1, claimed=True)
    assert (life.live().claims, life.live().lost_ucr) == ((Claim("correction", "loss", 1),), 5)
    assert life.release(H2)[1] == revoked(amount_ucr=1, cause="correction", spent_as="loss", claimed=True)
    found = life.ended()
    assert (found.spent_ucr, found.revoked_ucr, found.indebted_ucr, found.lost_ucr) == (7, 3, 2, 5)
    assert (life.account.claims, life.sums) == (0, (-2, 0, 0, -2))


def test_what_we_bore_already_is_not_owed_later() -> None:
    life = Life()
    life.grant()
    life.debit(D1, 6)
    life.revoke(G1, 8, spent_as="loss")
    assert life.live().lost_ucr == 4 if life.account.grant(G1) else life.ended().lost_ucr == 4
    command = commands.RevokeCredits(**WHO, grant_id=G1, cause="refund", amount_ucr=3)
    life.refuses(command, "revoke-above-grant", grant_id=str(G1), requested_ucr=3, revocable_ucr=2)
    _, owed = life.revoke()
    assert owed == events.DebtIncurred(amount_ucr=2, cause="refund", grant_id=G1)


def test_moments_are_written_in_utc() -> None:
    assert iso(datetime.fromisoformat("2026-01-01T12:00:00.5+00:00")) == "2026-01-01T12:00:00.500000Z"
