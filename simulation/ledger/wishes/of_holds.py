"""Commands about holds and debits."""

from __future__ import annotations

from uuid import UUID

from ledger.domain import commands
from simulation.ledger.wishes.about import LEASES_S, About


def hold(about: About, account_id: UUID) -> commands.HoldCredits:
    """Pin credits."""
    dice, amount_ucr = about.dice, about.amount(account_id)
    taken = [one for one in about.book.holds if dice.happens(0.002)]
    return commands.HoldCredits(
        account_id=account_id,
        hold_id=taken[0] if taken else about.new(),
        amount_ucr=amount_ucr,
        lease_s=dice.choose(LEASES_S),
        reference=about.new() if dice.happens(0.3) else None,
        cap_ucr=None if dice.happens(0.6) else amount_ucr + dice.below(200),
        budgets=about.budgets(),
    )


def renew(about: About, account_id: UUID) -> commands.RenewHold:
    """A later lease end."""
    account_id, hold_id = about.hold(account_id, "open")
    return commands.RenewHold(account_id=account_id, hold_id=hold_id, lease_s=about.dice.choose(LEASES_S))


def raise_hold(about: About, account_id: UUID) -> commands.RaiseHold:
    """Pin more."""
    account_id, hold_id = about.hold(account_id, "open")
    seen = about.book.holds.get(hold_id)
    amount_ucr = 1 + about.dice.below(150)
    if seen is not None and seen.cap > seen.amount and about.dice.happens(0.5):
        amount_ucr = seen.cap - seen.amount
    return commands.RaiseHold(account_id=account_id, hold_id=hold_id, amount_ucr=amount_ucr)


def commit(about: About, account_id: UUID) -> commands.CommitHold:
    """Debit a hold, in part, whole, or too much."""
    dice, late = about.dice, about.dice.happens(0.25)
    account_id, hold_id = about.hold(account_id, "expired" if late else "open")
    seen = about.book.holds.get(hold_id)
    whole = 0 if seen is None else seen.amount - seen.committed if late else seen.remaining
    amount_ucr = max(1, dice.choose((whole, whole, whole // 2, whole + 1, 1)))
    return commands.CommitHold(
        account_id=account_id,
        hold_id=hold_id,
        amount_ucr=amount_ucr,
        final=dice.happens(0.6),
        late=late or dice.happens(0.1),
    )


def release(about: About, account_id: UUID) -> commands.ReleaseHold:
    """Give back."""
    account_id, hold_id = about.hold(account_id, "open")
    return commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="no")


def expire(about: About, account_id: UUID) -> commands.ExpireHold:
    """End a lease."""
    account_id, hold_id = about.hold(account_id, "open")
    return commands.ExpireHold(account_id=account_id, hold_id=hold_id)


def debit(about: About, account_id: UUID) -> commands.DebitCredits:
    """Debit at once."""
    taken = [one for one in about.book.holds if about.dice.happens(0.002)]
    return commands.DebitCredits(
        account_id=account_id,
        debit_id=taken[0] if taken else about.new(),
        amount_ucr=about.amount(account_id),
        reason="used",
        reference=about.new() if about.dice.happens(0.3) else None,
        budgets=about.budgets(),
    )


def reverse(about: About, account_id: UUID) -> commands.ReverseDebit:
    """Undo a debit."""
    dice = about.dice
    account_id, debit_id = about.hold(account_id, "debited", "committed")
    if (gone := _of_refunded(about)) and dice.happens(0.3):
        account_id, debit_id = dice.choose(gone)
    return commands.ReverseDebit(
        account_id=account_id,
        reversal_id=about.new(),
        debit_id=debit_id,
        reason="wrong",
        amount_ucr=None if dice.happens(0.4) else 1 + dice.below(dice.choose((10, 200))),
        grace_s=dice.choose((60, 3_000, 30 * 86_400)),
        effective_at=about.effective(),
    )


def _of_refunded(about: About) -> list[tuple[UUID, UUID]]:
    """Debits that used gifts whose receipt was taken back since."""
    found: list[tuple[UUID, UUID]] = []
    for hold in list(about.book.holds.values())[-60:]:
        grants = about.book.accounts[hold.account_id].grants
        over = {one.receipt_id for one in grants.values() if one.over} - {None}
        if any(
            one in grants and grants[one].kind == "promo" and grants[one].receipt_id in over for one, _ in hold.spent
        ):
            found.append((hold.account_id, hold.hold_id))
    return found
