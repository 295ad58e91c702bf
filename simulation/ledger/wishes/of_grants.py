"""Commands about grants."""

from __future__ import annotations

from uuid import UUID

from ledger.domain import commands
from simulation.ledger.wishes.about import CAUSES, KINDS, LIFETIMES_S, About


def grant(about: About, account_id: UUID) -> commands.GrantCredits:
    """Credits, mostly paid for; gifts are small and burn first, so that they are used up when their receipt goes."""
    dice = about.dice
    taken = [one for one in about.grants(account_id) if dice.happens(0.02)]
    gift = dice.happens(0.2)
    return commands.GrantCredits(
        account_id=account_id,
        grant_id=taken[0] if taken else about.new(),
        amount_ucr=1 + dice.below(10 if gift else dice.choose((10, 200, 2_000))),
        kind="promo" if gift else "paid" if dice.happens(0.6) else dice.choose(KINDS),
        priority=10 if gift else dice.choose((100, 100, 50, 200)),
        lifetime_s=dice.choose(LIFETIMES_S),
        cost_micro=dice.below(1_000),
        receipt_id=_bought(about, account_id) if gift else dice.choose(about.receipts) if dice.happens(0.6) else None,
        effective_at=about.effective(),
    )


def _bought(about: About, account_id: UUID) -> UUID:
    """A receipt, mostly of something that the account has."""
    account = about.book.accounts.get(account_id)
    had = [one.receipt_id for one in account.grants.values() if one.receipt_id and not one.over] if account else []
    return about.dice.choose(had or about.receipts)


def extend(about: About, account_id: UUID) -> commands.ExtendGrant:
    """A later end."""
    return commands.ExtendGrant(
        account_id=account_id,
        grant_id=about.grant(account_id),
        lifetime_s=about.dice.choose((1, 60, 3_000, 200_000)),
        keep_ucr=about.dice.choose((None, 0, 20)),
    )


def dispute(about: About, account_id: UUID) -> commands.FreezeGrant:
    """A dispute opens."""
    amount_ucr = None if about.dice.happens(0.5) else 1 + about.dice.below(300)
    return commands.FreezeGrant(
        account_id=account_id, grant_id=about.grant(account_id), reason="dispute", amount_ucr=amount_ucr
    )


def settle_dispute(about: About, account_id: UUID) -> commands.UnfreezeGrant:
    """A dispute is won."""
    account = about.book.accounts.get(account_id)
    disputed = [one.grant_id for one in account.grants.values() if one.dispute is not None] if account else []
    grant_id = about.dice.choose(disputed) if disputed else about.grant(account_id)
    return commands.UnfreezeGrant(account_id=account_id, grant_id=grant_id, reason="won")


def revoke(about: About, account_id: UUID) -> commands.RevokeCredits:
    """Take back."""
    dice, with_gifts = about.dice, _bought_with_used_gifts(about, account_id)
    whole = bool(with_gifts) and dice.happens(0.6)
    grant_id = dice.choose(with_gifts) if whole else about.grant(account_id)
    return commands.RevokeCredits(
        account_id=account_id,
        grant_id=grant_id,
        cause=dice.choose(CAUSES),
        amount_ucr=None if whole else _revoked(about, account_id, grant_id),
        spent_as="debt" if dice.happens(0.7) else "loss",
    )


def _bought_with_used_gifts(about: About, account_id: UUID) -> list[UUID]:
    """Grants of receipts of which a gift was spent and nothing of it is left."""
    account = about.book.accounts.get(account_id)
    grants = list(account.grants.values()) if account else []
    used = {one.receipt_id for one in grants if one.kind == "promo" and one.spent and not one.live} - {None}
    return [one.grant_id for one in grants if one.receipt_id in used and one.kind != "promo" and not one.over]


def _revoked(about: About, account_id: UUID, grant_id: UUID) -> int | None:
    """All of it, some of it, or just into what is held."""
    dice, account = about.dice, about.book.accounts.get(account_id)
    grant = account.grants.get(grant_id) if account else None
    if grant is not None and grant.held > grant.claimed and dice.happens(0.5):
        return grant.free + grant.frozen + dice.between(1, grant.held - grant.claimed)
    return None if dice.happens(0.4) else 1 + dice.below(dice.choose((20, 200, 2_000)))
