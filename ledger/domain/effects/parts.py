"""The moves that effects are made of: between free, held, frozen and gone, each checked."""

from __future__ import annotations

from bisect import insort
from datetime import datetime
from uuid import UUID

from ledger.domain.account import Account, Grant, Hold, Refund, burn_key
from ledger.domain.events import Claim, Slice
from ledger.limits import REFUNDS_REMEMBERED_MAX

GrantKey = tuple[UUID, UUID]
"""Account and grant."""


class Rows:
    """What lies beside accounts: ``holds`` by id, grants that have ``ended``, and what events have ``settled``.

    ``settled`` gathers grants as they end, for whoever writes their rows.
    """

    __slots__ = ("ended", "holds", "settled")

    def __init__(self, holds: dict[UUID, Hold] | None = None, ended: dict[GrantKey, Grant] | None = None) -> None:
        self.holds: dict[UUID, Hold] = {} if holds is None else holds
        self.ended: dict[GrantKey, Grant] = {} if ended is None else ended
        self.settled: dict[GrantKey, Grant] = {}


def add_grant(account: Account, grant: Grant) -> None:
    """A grant with all of it free."""
    insort(account.grants, grant, key=burn_key)
    account.posted_ucr += grant.free_ucr


def pin(account: Account, slices: tuple[Slice, ...]) -> None:
    """Slices move from free to held."""
    for part in slices:
        account.held_ucr += part.amount_ucr
        if part.overdraft:
            account.overdraft_held_ucr += part.amount_ucr
            continue
        grant = named(account, part.grant_id)
        grant.free_ucr -= part.amount_ucr
        grant.held_ucr += part.amount_ucr
        grant.check()


def spend(account: Account, rows: Rows, slices: tuple[Slice, ...], *, from_held: bool) -> None:
    """Slices leave their grants for good; what is overdraft becomes debt by an event of its own."""
    for part in slices:
        if from_held:
            account.held_ucr -= part.amount_ucr
        if part.overdraft:
            account.overdraft_held_ucr -= part.amount_ucr if from_held else 0
            continue
        grant = named(account, part.grant_id)
        if from_held:
            grant.held_ucr -= part.amount_ucr
        else:
            grant.free_ucr -= part.amount_ucr
        grant.spent_ucr += part.amount_ucr
        account.posted_ucr -= part.amount_ucr
        if grant.claims:
            bear_losses(account, grant)
        settle(account, rows, grant)


def give_back(account: Account, slices: tuple[Slice, ...], frozen: tuple[Slice, ...]) -> None:
    """Slices move from held to free in the grants they came from, the ``frozen`` parts of them on to frozen."""
    for part in slices:
        account.held_ucr -= part.amount_ucr
        if part.overdraft:
            account.overdraft_held_ucr -= part.amount_ucr
            continue
        grant = named(account, part.grant_id)
        grant.held_ucr -= part.amount_ucr
        grant.free_ucr += part.amount_ucr
        grant.check()
    for part in frozen:
        freeze(account, named(account, part.grant_id), part.amount_ucr)


def named(account: Account, grant_id: UUID) -> Grant:
    """The live grant that an event names; its absence is a bug, not a refusal."""
    grant = account.grant(grant_id)
    assert grant is not None, f"grant {grant_id} is not live"
    return grant


def revived(account: Account, rows: Rows, grant_id: UUID) -> Grant:
    """The grant that an event names, back among the live ones if it had ended."""
    grant = account.grant(grant_id)
    if grant is None:
        grant = rows.ended.pop((account.account_id, grant_id))
        insort(account.grants, grant, key=burn_key)
    return grant


def settle(account: Account, rows: Rows, grant: Grant) -> None:
    """Check a grant that moved; one of which nothing is left becomes a row of its own."""
    grant.check()
    if not grant.live:
        account.grants.remove(grant)
        key = (account.account_id, grant.grant_id)
        rows.ended[key] = rows.settled[key] = grant


def expire(account: Account, grant: Grant, amount_ucr: int) -> None:
    """Free credits are gone for good."""
    grant.free_ucr -= amount_ucr
    grant.expired_ucr += amount_ucr
    account.posted_ucr -= amount_ucr


def freeze(account: Account, grant: Grant, amount_ucr: int) -> None:
    """Free credits are frozen; a negative amount frees them."""
    grant.free_ucr -= amount_ucr
    grant.frozen_ucr += amount_ucr
    account.frozen_ucr += amount_ucr


def close_dispute(grant: Grant, decided_ucr: int) -> None:
    """So much of what is disputed is decided: nothing more of it will be frozen."""
    grant.freeze_limit_ucr = max(grant.frozen_ucr, grant.freeze_limit_ucr - decided_ucr)


def end(account: Account, grant: Grant) -> None:
    """A grant is taken back whole. Its receipt is remembered, for gifts of it of which nothing is left today."""
    if not grant.ended and grant.receipt_id is not None and grant.kind != "promo":
        account.refunds = [*account.refunds, Refund(grant.receipt_id, account.version)][-REFUNDS_REMEMBERED_MAX:]
    grant.ended, grant.freeze_limit_ucr = True, 0


def set_claims(account: Account, grant: Grant, claims: tuple[Claim, ...]) -> None:
    """Say what will be taken of what is held when it comes back."""
    account.claims += bool(claims) - bool(grant.claims)
    grant.claims = claims


def lower_claim(account: Account, grant: Grant, amount_ucr: int) -> None:
    """Take from the oldest claim what has come back to it, or was spent and is owed."""
    oldest, *rest = grant.claims
    assert amount_ucr <= oldest.amount_ucr, "took more than was claimed"
    left = Claim(oldest.cause, oldest.spent_as, oldest.amount_ucr - amount_ucr)
    set_claims(account, grant, (left, *rest) if left.amount_ucr else tuple(rest))


def bear_losses(account: Account, grant: Grant) -> None:
    """Only what may still come back can be claimed: what was spent of the oldest claims that we bear is our loss."""
    excess_ucr = grant.claim_ucr - grant.held_ucr - grant.free_ucr
    while excess_ucr > 0 and grant.claims[0].spent_as == "loss":
        lost_ucr = min(excess_ucr, grant.claims[0].amount_ucr)
        lower_claim(account, grant, lost_ucr)
        grant.lost_ucr += lost_ucr
        excess_ucr -= lost_ucr


def move_end(account: Account, grant: Grant, expires_at: datetime | None) -> None:
    """Give a grant another end, and its place in the burn order."""
    account.grants.remove(grant)
    grant.expires_at = expires_at
    insort(account.grants, grant, key=burn_key)
