"""Effects on an account's sums and grants: all that an event says, without its hold."""

from __future__ import annotations

from collections.abc import Mapping

from ledger.domain import events
from ledger.domain.account import Account, AccountStatus, Grant
from ledger.domain.debts import add_debt, pay_debts
from ledger.domain.effects.parts import (
    Rows,
    add_grant,
    bear_losses,
    close_dispute,
    end,
    expire,
    freeze,
    give_back,
    lower_claim,
    move_end,
    named,
    pin,
    revived,
    set_claims,
    settle,
    spend,
)
from ledger.domain.events import Claim, DebtPart

ADJUSTMENT_PRIORITY = 100


# Holds and debits


def held(account: Account, _rows: Rows, event: events.CreditsHeld) -> None:
    """Slices move from free to held."""
    pin(account, event.slices)
    account.open_holds += 1


def raised(account: Account, _rows: Rows, event: events.HoldRaised) -> None:
    """More slices move from free to held."""
    pin(account, event.slices)


def committed(account: Account, rows: Rows, event: events.HoldCommitted) -> None:
    """Slices are spent; a resolved hold gives the rest back."""
    spend(account, rows, event.slices, from_held=not event.late)
    if event.final and not event.late:
        give_back(account, event.returned, event.frozen)
        account.open_holds -= 1


def released(account: Account, _rows: Rows, event: events.HoldReleased | events.HoldExpired) -> None:
    """All that was pinned goes back."""
    give_back(account, event.returned, event.frozen)
    account.open_holds -= 1


def debited(account: Account, rows: Rows, event: events.CreditsDebited) -> None:
    """Slices are spent at once."""
    spend(account, rows, event.slices, from_held=False)


def reversed_(account: Account, rows: Rows, event: events.CreditsReversed) -> None:
    """Spent slices return to their grants; those of the overdraft lower debt."""
    for part in event.slices:
        account.posted_ucr += part.amount_ucr
        if part.overdraft:
            pay_debts(account, [DebtPart("overdraft", None, part.amount_ucr)])
            continue
        grant = revived(account, rows, part.grant_id)
        grant.spent_ucr -= part.amount_ucr
        grant.free_ucr += part.amount_ucr
        if part.grant_id in event.graced:
            move_end(account, grant, event.grace_until)
        grant.check()
    for part in event.frozen:
        freeze(account, named(account, part.grant_id), part.amount_ucr)


def unmoved(_account: Account, _rows: Rows, _event: events.HoldRenewed) -> None:
    """A later lease end moves nothing."""


# Grants


def granted(account: Account, _rows: Rows, event: events.CreditsGranted) -> None:
    """A bucket takes its place in the burn order."""
    add_grant(
        account,
        Grant(
            grant_id=event.grant_id,
            order=account.version,
            kind=event.kind,
            priority=event.priority,
            expires_at=event.expires_at,
            granted_ucr=event.amount_ucr,
            free_ucr=event.amount_ucr,
            cost_micro=event.cost_micro,
            list_value_micro=event.list_value_micro,
            book_currency=event.book_currency,
            receipt_id=event.receipt_id,
            generation=event.generation,
        ),
    )


def expired(account: Account, rows: Rows, event: events.CreditsExpired) -> None:
    """What was free of a grant is gone."""
    grant = named(account, event.grant_id)
    expire(account, grant, event.amount_ucr)
    settle(account, rows, grant)


def extended(account: Account, rows: Rows, event: events.GrantExtended) -> None:
    """A later end for what is kept, and the end for the rest."""
    grant = named(account, event.grant_id)
    assert event.kept_ucr + event.expired_ucr == grant.free_ucr
    expire(account, grant, event.expired_ucr)
    move_end(account, grant, event.expires_at)
    settle(account, rows, grant)


def grant_frozen(account: Account, rows: Rows, event: events.GrantFrozen) -> None:
    """Free credits of a disputed grant are frozen."""
    grant = revived(account, rows, event.grant_id)
    grant.freeze_limit_ucr = event.limit_ucr
    freeze(account, grant, event.amount_ucr)
    grant.check()


def grant_unfrozen(account: Account, rows: Rows, event: events.GrantUnfrozen) -> None:
    """What was frozen is free again."""
    grant = named(account, event.grant_id)
    assert event.amount_ucr == grant.frozen_ucr
    freeze(account, grant, -event.amount_ucr)
    grant.freeze_limit_ucr = 0
    settle(account, rows, grant)


def revoked(account: Account, rows: Rows, event: events.CreditsRevoked) -> None:
    """Unspent credits are gone; what is held now is claimed for when it comes back."""
    grant = revived(account, rows, event.grant_id)
    freeze(account, grant, -event.from_frozen_ucr)
    grant.free_ucr -= event.amount_ucr
    grant.revoked_ucr += event.amount_ucr
    grant.lost_ucr += event.lost_ucr
    account.posted_ucr -= event.amount_ucr
    if event.claimed:
        lower_claim(account, grant, event.amount_ucr)
    if event.claim_ucr:
        set_claims(account, grant, (*grant.claims, Claim(event.cause, event.spent_as, event.claim_ucr)))
    decided_ucr = event.amount_ucr + event.claim_ucr + event.lost_ucr if event.cause == "dispute" else 0
    if not event.claimed:
        close_dispute(grant, max(event.from_frozen_ucr, decided_ucr))
    if event.ends:
        end(account, grant)
    settle(account, rows, grant)


# Debt, transfers, adjustments


def indebted(account: Account, rows: Rows, event: events.DebtIncurred) -> None:
    """Spent credits are owed."""
    add_debt(account, events.DebtPart(event.cause, event.grant_id, event.amount_ucr))
    account.posted_ucr -= event.amount_ucr
    if event.grant_id is not None:
        grant = revived(account, rows, event.grant_id)
        grant.indebted_ucr += event.amount_ucr
        if event.claimed:
            lower_claim(account, grant, event.amount_ucr)
            bear_losses(account, grant)
        elif event.cause == "dispute":
            close_dispute(grant, event.amount_ucr)
        settle(account, rows, grant)


def repaid(account: Account, rows: Rows, event: events.DebtRepaid) -> None:
    """Free credits are given for debt: both are gone, posted stays."""
    pay_debts(account, event.debts)
    for part in event.slices:
        grant = named(account, part.grant_id)
        grant.free_ucr -= part.amount_ucr
        grant.repaid_ucr += part.amount_ucr
        settle(account, rows, grant)


def transferred_out(account: Account, rows: Rows, event: events.CreditsTransferredOut) -> None:
    """Slices leave for another account."""
    for part in event.slices:
        grant = named(account, part.grant_id)
        grant.free_ucr -= part.amount_ucr
        grant.transferred_ucr += part.amount_ucr
        account.posted_ucr -= part.amount_ucr
        settle(account, rows, grant)


def transferred_in(account: Account, _rows: Rows, event: events.CreditsTransferredIn) -> None:
    """Slices arrive as buckets of their own."""
    for part in event.parts:
        add_grant(
            account,
            Grant(
                grant_id=part.grant_id,
                order=account.version,
                kind=part.kind,
                priority=part.priority,
                expires_at=part.expires_at,
                granted_ucr=part.amount_ucr,
                free_ucr=part.amount_ucr,
                cost_micro=part.cost_micro,
                list_value_micro=part.list_value_micro,
                book_currency=part.book_currency,
                receipt_id=part.receipt_id,
                generation=part.generation,
            ),
        )


def adjusted(account: Account, rows: Rows, event: events.BalanceAdjusted) -> None:
    """A bucket more, or slices less."""
    if event.grant_id is not None:
        add_grant(
            account,
            Grant(
                grant_id=event.grant_id,
                order=account.version,
                kind="goodwill",
                priority=ADJUSTMENT_PRIORITY,
                expires_at=None,
                granted_ucr=event.amount_ucr,
                free_ucr=event.amount_ucr,
            ),
        )
    for part in event.slices:
        grant = named(account, part.grant_id)
        grant.free_ucr -= part.amount_ucr
        grant.revoked_ucr += part.amount_ucr
        account.posted_ucr -= part.amount_ucr
        settle(account, rows, grant)


# Life of the account


def opened(account: Account, _rows: Rows, event: events.AccountOpened) -> None:
    """An account begins."""
    account.organisation_id = event.organisation_id
    account.max_open_holds = event.max_open_holds
    account.overdraft_limit_ucr = event.overdraft_limit_ucr


def policy_set(account: Account, _rows: Rows, event: events.AccountPolicySet) -> None:
    """Another policy."""
    account.max_open_holds = event.max_open_holds
    account.overdraft_limit_ucr = event.overdraft_limit_ucr


def status_set(
    account: Account, _rows: Rows, event: events.AccountFrozen | events.AccountUnfrozen | events.AccountClosed
) -> None:
    """Frozen, open again, or closed."""
    account.status = _STATUS[type(event)]


_STATUS: Mapping[type, AccountStatus] = {
    events.AccountFrozen: "frozen",
    events.AccountUnfrozen: "open",
    events.AccountClosed: "closed",
}
