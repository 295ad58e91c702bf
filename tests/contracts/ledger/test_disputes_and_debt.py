"""What becomes of credits whose payment is disputed, refunded or missing: frozen, revoked, owed, repaid."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.codec import account_event
from ledger.domain.events import DebtPart, DebtRepaid
from ledger.ports import Balance, GrantView
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, grant, hold, open_account, refused


def balance(world: World, account_id: UUID) -> Balance:
    found = world.ledger.balance(account_id)
    assert found is not None
    return found


def sums(world: World, account_id: UUID) -> tuple[int, int, int, int]:
    """Posted, held, frozen, available, in whole credits."""
    now = balance(world, account_id)
    assert now.available_ucr == now.posted_ucr - now.held_ucr - now.frozen_ucr
    parts = (now.posted_ucr, now.held_ucr, now.frozen_ucr, now.available_ucr)
    assert all(part % CREDIT == 0 for part in parts)
    return tuple(part // CREDIT for part in parts)  # type: ignore[return-value]


def view(world: World, account_id: UUID, grant_id: UUID) -> GrantView | None:
    return next((one for one in balance(world, account_id).grants if one.grant_id == grant_id), None)


def tags(world: World, account_id: UUID) -> list[str]:
    return [event.tag.removeprefix("ledger.").removesuffix(".v1") for event in world.ledger.stream(account_id)]


def freeze(world: World, account_id: UUID, grant_id: UUID, amount: int | None = None) -> None:
    amount_ucr = None if amount is None else amount * CREDIT
    done(
        world.ledger,
        commands.FreezeGrant(account_id=account_id, grant_id=grant_id, reason="dispute", amount_ucr=amount_ucr),
    )


def revoke(world: World, account_id: UUID, grant_id: UUID, amount: int | None = None, **more: object) -> None:
    fields: dict[str, Any] = {"account_id": account_id, "grant_id": grant_id, "cause": "refund"} | more
    amount_ucr = None if amount is None else amount * CREDIT
    done(world.ledger, commands.RevokeCredits(**fields, amount_ucr=amount_ucr))


def spend(world: World, account_id: UUID, amount: int) -> UUID:
    debit_id = uuid4()
    done(
        world.ledger,
        commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=amount * CREDIT, reason="x"),
    )
    return debit_id


def commit(world: World, account_id: UUID, hold_id: UUID, amount: int) -> None:
    done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=amount * CREDIT))


def release(world: World, account_id: UUID, hold_id: UUID) -> None:
    done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="x"))


def test_a_disputed_grant_cannot_be_spent_and_what_is_held_joins_it(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    disputed = balance(world, account_id).grants[0].grant_id
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    freeze(world, account_id, disputed)
    assert sums(world, account_id) == (10, 4, 6, 0)
    release(world, account_id, hold_id)
    assert sums(world, account_id) == (10, 0, 10, 0)
    refusal = refused(world.ledger, commands.FreezeGrant(account_id=account_id, grant_id=disputed, reason="again"))
    assert refusal.code == "grant-frozen"
    done(world.ledger, commands.UnfreezeGrant(account_id=account_id, grant_id=disputed, reason="won"))
    assert sums(world, account_id) == (10, 0, 0, 10)
    refusal = refused(world.ledger, commands.UnfreezeGrant(account_id=account_id, grant_id=disputed, reason="won"))
    assert refusal.code == "grant-not-frozen"


def test_only_what_is_disputed_is_frozen(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    disputed = balance(world, account_id).grants[0].grant_id
    hold_id = hold(world.ledger, account_id, 8 * CREDIT)
    freeze(world, account_id, disputed, 5)
    assert sums(world, account_id) == (10, 8, 2, 0)
    commit(world, account_id, hold_id, 1)
    assert sums(world, account_id) == (9, 0, 5, 4)


def test_a_refund_leaves_nothing_spendable_of_what_was_paid(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    refunded = balance(world, account_id).grants[0].grant_id
    hold_id = hold(world.ledger, account_id, 3 * CREDIT)
    revoke(world, account_id, refunded)
    assert sums(world, account_id) == (3, 3, 0, 0)
    release(world, account_id, hold_id)
    assert sums(world, account_id) == (0, 0, 0, 0)
    assert tags(world, account_id)[-2:] == ["hold-released", "credits-revoked"]
    refusal = refused(world.ledger, commands.RevokeCredits(account_id=account_id, grant_id=refunded, cause="refund"))
    assert refusal.code == "grant-ended"


def test_what_was_spent_of_a_revoked_grant_is_owed_and_the_next_purchase_repays_it(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    revoked = balance(world, account_id).grants[0].grant_id
    spend(world, account_id, 6)
    revoke(world, account_id, revoked, cause="dispute")
    assert sums(world, account_id) == (-6, 0, 0, -6)
    gift = grant(world.ledger, account_id, 5 * CREDIT, kind="promo")
    assert sums(world, account_id) == (-1, 0, 0, -1), "a gift repays nothing"
    paid = grant(world.ledger, account_id, 10 * CREDIT)
    assert sums(world, account_id) == (9, 0, 0, 9)
    of_paid, of_gift = view(world, account_id, paid), view(world, account_id, gift)
    assert of_paid is not None and of_paid.free_ucr == 4 * CREDIT
    assert of_gift is not None and of_gift.free_ucr == 5 * CREDIT


def test_what_is_held_of_a_revoked_grant_is_owed_if_it_is_spent(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    revoked = balance(world, account_id).grants[0].grant_id
    hold_id = hold(world.ledger, account_id, 3 * CREDIT)
    revoke(world, account_id, revoked)
    commit(world, account_id, hold_id, 2)
    assert sums(world, account_id) == (-2, 0, 0, -2), "one came back and was taken, two are owed"


def test_what_was_spent_is_our_loss_where_the_policy_says_so(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    revoked = balance(world, account_id).grants[0].grant_id
    spend(world, account_id, 2)
    hold_id = hold(world.ledger, account_id, 3 * CREDIT)
    revoke(world, account_id, revoked, spent_as="loss")
    commit(world, account_id, hold_id, 2)
    assert sums(world, account_id) == (0, 0, 0, 0)


def test_a_part_of_a_grant_is_revoked_and_no_more_than_there_is(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    found = balance(world, account_id).grants[0].grant_id
    spend(world, account_id, 4)
    revoke(world, account_id, found, 5)
    assert sums(world, account_id) == (1, 0, 0, 1)
    command = commands.RevokeCredits(account_id=account_id, grant_id=found, cause="refund", amount_ucr=6 * CREDIT)
    refusal = refused(world.ledger, command)
    assert refusal.code == "revoke-above-grant" and refusal.facts["revocable_ucr"] == 5 * CREDIT
    revoke(world, account_id, found, 5)
    assert sums(world, account_id) == (-4, 0, 0, -4)


def test_the_gifts_of_a_receipt_end_with_it(world: World) -> None:
    account_id, receipt_id = open_account(world.ledger), uuid4()
    paid = grant(world.ledger, account_id, 10 * CREDIT, receipt_id=receipt_id)
    grant(world.ledger, account_id, 2 * CREDIT, kind="promo", receipt_id=receipt_id)
    grant(world.ledger, account_id, 3 * CREDIT, kind="promo")
    revoke(world, account_id, paid)
    assert sums(world, account_id) == (3, 0, 0, 3)


def test_debt_is_repaid_at_once_from_paid_credits_the_oldest_first(world: World) -> None:
    account_id = open_account(world.ledger, credit=10, overdraft_limit_ucr=100 * CREDIT)
    first = balance(world, account_id).grants[0].grant_id
    spend(world, account_id, 12)
    assert sums(world, account_id) == (-2, 0, 0, -2)
    revoke(world, account_id, first)
    assert sums(world, account_id) == (-12, 0, 0, -12)
    grant(world.ledger, account_id, 5 * CREDIT)
    repaid = account_event(world.ledger.stream(account_id)[-1].state)
    assert isinstance(repaid, DebtRepaid)
    assert repaid.debts == (DebtPart("overdraft", None, 2 * CREDIT), DebtPart("refund", first, 3 * CREDIT))
    assert sums(world, account_id) == (-7, 0, 0, -7)


def test_invariant_07_an_overdraft_is_used_up_to_its_limit_and_invariant_08_commits_never_pass_it(world: World) -> None:
    account_id = open_account(world.ledger, credit=3, overdraft_limit_ucr=5 * CREDIT)
    hold_id = hold(world.ledger, account_id, 7 * CREDIT)
    assert sums(world, account_id) == (3, 7, 0, -4)
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=2 * CREDIT, lease_s=9)
    refusal = refused(world.ledger, command)
    assert refusal.code == "insufficient-credits" and refusal.facts["overdraft_limit_ucr"] == 5 * CREDIT
    done(world.ledger, commands.SetPolicy(account_id=account_id, overdraft_limit_ucr=0))
    commit(world, account_id, hold_id, 6)
    assert sums(world, account_id) == (-3, 0, 0, -3)
    grant(world.ledger, account_id, 4 * CREDIT)
    assert sums(world, account_id) == (1, 0, 0, 1)


def test_invariant_34_a_reversal_unwinds_the_slices_last_first(world: World) -> None:
    account_id = open_account(world.ledger)
    first = grant(world.ledger, account_id, 2 * CREDIT, priority=1)
    second = grant(world.ledger, account_id, 5 * CREDIT, priority=2)
    debit_id = spend(world, account_id, 6)
    reverse: dict[str, Any] = {"account_id": account_id, "debit_id": debit_id, "reason": "x"}
    done(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4(), amount_ucr=4 * CREDIT))
    assert view(world, account_id, first) is None
    of_second = view(world, account_id, second)
    assert of_second is not None and of_second.free_ucr == 5 * CREDIT
    done(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4()))
    assert sums(world, account_id) == (7, 0, 0, 7)
    refusal = refused(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4()))
    assert refusal.code == "reverse-above-debit" and refusal.facts["reversible_ucr"] == 0
    other: dict[str, Any] = {"account_id": account_id, "debit_id": uuid4(), "reason": "x"}
    refusal = refused(world.ledger, commands.ReverseDebit(**other, reversal_id=uuid4()))
    assert refusal.code == "debit-unknown"


def test_a_committed_hold_is_reversed_like_a_debit(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    commit(world, account_id, hold_id, 3)
    done(
        world.ledger,
        commands.ReverseDebit(account_id=account_id, debit_id=hold_id, reversal_id=uuid4(), reason="x"),
    )
    assert sums(world, account_id) == (5, 0, 0, 5)


def test_what_returns_to_an_ended_grant_is_usable_for_a_grace(world: World) -> None:
    account_id = open_account(world.ledger)
    grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=world.soon_s)
    debit_id = spend(world, account_id, 3)
    world.until_soon_has_passed()
    assert sums(world, account_id) == (0, 0, 0, 0)
    reverse: dict[str, Any] = {"account_id": account_id, "debit_id": debit_id, "reason": "x"}
    done(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4(), grace_s=world.soon_s))
    assert sums(world, account_id) == (3, 0, 0, 3)
    world.until_soon_has_passed()
    assert sums(world, account_id) == (0, 0, 0, 0)


def test_what_returns_to_a_revoked_grant_pays_its_own_debt_first(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    revoked = balance(world, account_id).grants[0].grant_id
    debit_id = spend(world, account_id, 6)
    revoke(world, account_id, revoked)
    grant(world.ledger, account_id, 2 * CREDIT)
    assert sums(world, account_id) == (-4, 0, 0, -4)
    reverse: dict[str, Any] = {"account_id": account_id, "debit_id": debit_id, "reason": "x"}
    refusal = refused(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4()))
    assert refusal.code == "debt-repaid", "two were paid for again, and are not to be had back by a rule"
    done(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4(), amount_ucr=4 * CREDIT))
    assert sums(world, account_id) == (0, 0, 0, 0), "four cleared the debt"


def test_a_repaid_overdraft_is_not_reversed_by_a_rule(world: World) -> None:
    account_id = open_account(world.ledger, credit=1, overdraft_limit_ucr=5 * CREDIT)
    debit_id = spend(world, account_id, 3)
    reverse: dict[str, Any] = {"account_id": account_id, "debit_id": debit_id, "reason": "x"}
    done(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4(), amount_ucr=CREDIT))
    assert sums(world, account_id) == (-1, 0, 0, -1)
    grant(world.ledger, account_id, 5 * CREDIT)
    assert sums(world, account_id) == (4, 0, 0, 4)
    refusal = refused(world.ledger, commands.ReverseDebit(**reverse, reversal_id=uuid4()))
    assert refusal.code == "overdraft-repaid"


def test_a_disputed_grant_pulls_a_reversal_into_frozen(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    disputed = balance(world, account_id).grants[0].grant_id
    debit_id = spend(world, account_id, 10)
    freeze(world, account_id, disputed, 8)
    assert sums(world, account_id) == (0, 0, 0, 0)
    done(
        world.ledger,
        commands.ReverseDebit(account_id=account_id, debit_id=debit_id, reversal_id=uuid4(), reason="x"),
    )
    assert sums(world, account_id) == (10, 0, 8, 2)
    revoke(world, account_id, disputed, cause="dispute")
    assert sums(world, account_id) == (0, 0, 0, 0)


def test_what_is_frozen_does_not_expire_until_it_is_free(world: World) -> None:
    account_id = open_account(world.ledger)
    disputed = grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=world.soon_s)
    freeze(world, account_id, disputed, 3)
    world.until_soon_has_passed()
    assert sums(world, account_id) == (3, 0, 3, 0)
    done(world.ledger, commands.UnfreezeGrant(account_id=account_id, grant_id=disputed, reason="won"))
    assert sums(world, account_id) == (0, 0, 0, 0)


def test_a_grant_of_another_account_is_unknown(world: World) -> None:
    ours, theirs = open_account(world.ledger), open_account(world.ledger, credit=5)
    their_grant = balance(world, theirs).grants[0].grant_id
    for command in (
        commands.FreezeGrant(account_id=ours, grant_id=their_grant, reason="x"),
        commands.UnfreezeGrant(account_id=ours, grant_id=their_grant, reason="x"),
        commands.RevokeCredits(account_id=ours, grant_id=their_grant, cause="refund"),
        commands.ExtendGrant(account_id=ours, grant_id=their_grant, lifetime_s=9),
    ):
        assert refused(world.ledger, command).code == "grant-unknown"
    their_debit = spend(world, theirs, 1)
    command = commands.ReverseDebit(account_id=ours, debit_id=their_debit, reversal_id=uuid4(), reason="x")
    assert refused(world.ledger, command).code == "debit-unknown"


def test_each_claim_keeps_who_bears_it_the_oldest_first(world: World) -> None:
    account_id = open_account(world.ledger, credit=152)
    claimed = balance(world, account_id).grants[0].grant_id
    hold_id = hold(world.ledger, account_id, 152 * CREDIT)
    revoke(world, account_id, claimed, 15, spent_as="loss")
    revoke(world, account_id, claimed)
    commit(world, account_id, hold_id, 100)
    assert sums(world, account_id) == (-85, 0, 0, -85), "fifteen were our loss, fifty-two came back"


def test_what_was_our_loss_is_never_taken_back_again(world: World) -> None:
    account_id = open_account(world.ledger, credit=270)
    found = balance(world, account_id).grants[0].grant_id
    spend(world, account_id, 270)
    revoke(world, account_id, found, 134, spent_as="loss")
    command = commands.RevokeCredits(account_id=account_id, grant_id=found, cause="refund", amount_ucr=137 * CREDIT)
    assert refused(world.ledger, command).facts["revocable_ucr"] == 136 * CREDIT
    revoke(world, account_id, found)
    assert sums(world, account_id) == (-136, 0, 0, -136)


def test_credits_whose_end_has_come_repay_nothing(world: World) -> None:
    account_id = open_account(world.ledger, overdraft_limit_ucr=9 * CREDIT)
    grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=world.soon_s)
    first, second = hold(world.ledger, account_id, 5 * CREDIT), hold(world.ledger, account_id, 3 * CREDIT)
    commit(world, account_id, second, 3)
    world.until_soon_has_passed()
    release(world, account_id, first)
    assert tags(world, account_id)[-2:] == ["hold-released", "credits-expired"]
    assert sums(world, account_id) == (-3, 0, 0, -3)
