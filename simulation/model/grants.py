"""Giving credits, letting them end, disputing them, taking them back."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger import limits
from ledger.domain import commands
from simulation.model.debts import owe
from simulation.model.spending import must_be_open
from simulation.model.state import Account, Book, Claim, Grant, No
from simulation.model.times import after, text


def expire_due(book: Book, account: Account, now: datetime) -> None:
    """What is free of a grant ends with it."""
    for grant in account.burning():
        if grant.due(now):
            grant.expired += grant.free
            grant.free = 0
            book.note(account.account_id, "ledger.credits-expired.v1")


def must_not_be_ahead(effective_at: datetime | None, now: datetime) -> None:
    """What is entered late may lie in the past only."""
    if effective_at is not None and effective_at > now:
        raise No("effective-in-future", effective_at=text(effective_at))


def give(book: Book, asked: commands.GrantCredits, now: datetime) -> None:
    """A new bucket."""
    account = book.account(asked.account_id)
    must_be_open(account)
    must_not_be_ahead(asked.effective_at, now)
    if asked.grant_id in account.grants:
        raise No("grant-exists", grant_id=str(asked.grant_id))
    must_have_room(account, asked.amount_ucr, buckets=1)
    ends_at = None if asked.lifetime_s is None else after(now, asked.lifetime_s)
    grant = add(book, account, asked.grant_id, asked.amount_ucr)
    grant.kind, grant.priority, grant.ends_at = asked.kind, asked.priority, ends_at
    grant.receipt_id = asked.receipt_id
    book.note(account.account_id, "ledger.credits-granted.v1")


def must_have_room(account: Account, amount: int, *, buckets: int) -> None:
    """No account has more grants, nor more credits, than any may."""
    if buckets and sum(grant.live for grant in account.grants.values()) + buckets > limits.GRANTS_MAX:
        raise No("too-many-grants", grants_max=limits.GRANTS_MAX)
    if account.posted + amount > limits.POSTED_MAX_UCR:
        raise No(
            "balance-too-large", posted_ucr=account.posted, amount_ucr=amount, posted_max_ucr=limits.POSTED_MAX_UCR
        )


def add(book: Book, account: Account, grant_id: UUID, amount: int) -> Grant:
    """A bucket that the next event of the account brings: goodwill without an end, until somebody says otherwise."""
    order = book.versions[account.account_id] + 1
    grant = Grant(grant_id, order, amount, "goodwill", 100, None, free=amount)
    account.grants[grant_id] = grant
    return grant


def known_grant(account: Account, grant_id: UUID) -> Grant:
    """A grant of this account."""
    found = account.grants.get(grant_id)
    if found is None:
        raise No("grant-unknown", grant_id=str(grant_id))
    return found


def extend(book: Book, asked: commands.ExtendGrant, now: datetime) -> None:
    """A later end; part of what is free may end now."""
    account = book.account(asked.account_id)
    must_be_open(account)
    grant = known_grant(account, asked.grant_id)
    if grant.over or grant.ends_at is None or not grant.live:
        raise No("grant-ended", grant_id=str(asked.grant_id))
    ends_at = after(now, asked.lifetime_s)
    if ends_at <= grant.ends_at:
        raise No("extension-not-later", grant_id=str(asked.grant_id), expires_at=text(grant.ends_at))
    kept = grant.free if asked.keep_ucr is None else min(grant.free, asked.keep_ucr)
    grant.expired += grant.free - kept
    grant.free = kept
    grant.ends_at = ends_at
    book.note(account.account_id, "ledger.grant-extended.v1")


def freeze(book: Book, asked: commands.FreezeGrant) -> None:
    """A dispute opens."""
    account = book.account(asked.account_id)
    grant = known_grant(account, asked.grant_id)
    if grant.over:
        raise No("grant-ended", grant_id=str(asked.grant_id))
    if grant.dispute is not None:
        raise No("grant-frozen", grant_id=str(asked.grant_id))
    grant.dispute = grant.granted if asked.amount_ucr is None else min(grant.granted, asked.amount_ucr)
    amount = min(grant.free, grant.dispute)
    grant.free -= amount
    grant.frozen += amount
    book.note(account.account_id, "ledger.grant-frozen.v1")


def unfreeze(book: Book, asked: commands.UnfreezeGrant) -> None:
    """The dispute is won."""
    account = book.account(asked.account_id)
    grant = known_grant(account, asked.grant_id)
    if grant.dispute is None:
        raise No("grant-not-frozen", grant_id=str(asked.grant_id))
    grant.free += grant.frozen
    grant.frozen = 0
    grant.dispute = None
    book.note(account.account_id, "ledger.grant-unfrozen.v1")


def revoke(book: Book, asked: commands.RevokeCredits) -> None:
    """Take back a part of a grant, or all of it with the promo grants of its receipt."""
    account = book.account(asked.account_id)
    grant = known_grant(account, asked.grant_id)
    if grant.over:
        raise No("grant-ended", grant_id=str(asked.grant_id))
    whole = revocable(grant)
    amount = whole if asked.amount_ucr is None else asked.amount_ucr
    if amount > whole:
        raise No("revoke-above-grant", grant_id=str(asked.grant_id), requested_ucr=amount, revocable_ucr=whole)
    if asked.spent_as == "debt":
        _must_not_owe_too_much(account, amount - grant.free - grant.frozen)
    ends = asked.amount_ucr is None
    _take(book, account, grant, amount, Claim(0, asked.cause, asked.spent_as == "debt"), ends=ends)
    if ends and grant.kind != "promo" and grant.receipt_id is not None:
        for other in list(account.grants.values()):
            if other.receipt_id == grant.receipt_id and other.kind == "promo" and other.live and not other.over:
                _take(book, account, other, revocable(other), Claim(0, asked.cause, owed=False), ends=True)


def _must_not_owe_too_much(account: Account, amount: int) -> None:
    owed = account.debt + sum(grant.claimed for grant in account.grants.values())
    if amount > 0 and owed + amount > limits.DEBT_MAX_UCR:
        raise No("debt-too-large", debt_ucr=owed, amount_ucr=amount, debt_max_ucr=limits.DEBT_MAX_UCR)


def revocable(grant: Grant) -> int:
    """What can be taken back of a grant: what is there, what is held, and what was spent and not taken back yet."""
    spent = max(0, grant.spent + grant.repaid + grant.transferred - grant.recalled)
    return grant.frozen + grant.free + grant.held - grant.claimed + spent


def _take(book: Book, account: Account, grant: Grant, amount: int, claim: Claim, *, ends: bool) -> None:
    from_frozen = min(amount, grant.frozen)
    from_free = min(amount - from_frozen, grant.free)
    held = min(amount - from_frozen - from_free, grant.held - grant.claimed)
    spent = amount - from_frozen - from_free - held
    grant.frozen -= from_frozen
    if grant.dispute is not None:
        decided = amount if claim.cause == "dispute" else from_frozen
        grant.dispute = max(grant.frozen, grant.dispute - decided) or None
    grant.free -= from_free
    grant.revoked += from_frozen + from_free
    if held:
        grant.claims.append(Claim(held, claim.cause, claim.owed))
    grant.recalled += spent
    grant.lost += 0 if claim.owed else spent
    if ends:
        grant.over = True
        grant.over_at = book.versions[account.account_id] + 1
        grant.dispute = None
    book.note(account.account_id, "ledger.credits-revoked.v1")
    if spent and claim.owed:
        owe(book, account, claim.cause, grant.grant_id, spent)
