"""Commands about accounts as a whole."""

from __future__ import annotations

from uuid import UUID

from ledger.domain import commands
from simulation.ledger.wishes.about import ADJUSTMENTS, About

REASONS = ("asked for", "looked at")


def open_account(about: About, account_id: UUID) -> commands.OpenAccount:
    """A new account, or one that is there."""
    return commands.OpenAccount(
        account_id=account_id,
        organisation_id=about.organisations[0 if about.dice.happens(0.7) else -1],
        max_open_holds=about.dice.choose((2, 5, 20)),
        overdraft_limit_ucr=about.dice.choose((0, 0, 50, 500)),
    )


def set_policy(about: About, account_id: UUID) -> commands.SetPolicy:
    """Other limits."""
    return commands.SetPolicy(
        account_id=account_id,
        max_open_holds=about.dice.choose((2, 5, 20)),
        overdraft_limit_ucr=about.dice.choose((0, 50, 500)),
    )


def freeze_account(about: About, account_id: UUID) -> commands.FreezeAccount:
    """Stop spending."""
    return commands.FreezeAccount(account_id=account_id, reason=about.dice.choose(REASONS))


def unfreeze_account(about: About, account_id: UUID) -> commands.UnfreezeAccount:
    """Allow it again."""
    return commands.UnfreezeAccount(account_id=account_id, reason=about.dice.choose(REASONS))


def close_account(about: About, account_id: UUID) -> commands.CloseAccount:
    """End the account."""
    return commands.CloseAccount(account_id=account_id, reason=about.dice.choose(REASONS))


def transfer(about: About, account_id: UUID) -> commands.TransferCredits:
    """Move credits."""
    return commands.TransferCredits(
        account_id=account_id,
        to_account_id=about.dice.choose(about.account_ids),
        transfer_id=about.move_id(),
        amount_ucr=about.amount(account_id),
        reason="moved",
    )


def adjust(about: About, account_id: UUID) -> commands.AdjustBalance:
    """By two operators, mostly."""
    dice, operator_id = about.dice, about.organisations[0]
    amount_ucr = about.amount(account_id)
    return commands.AdjustBalance(
        account_id=account_id,
        adjustment_id=about.move_id(),
        amount_ucr=-amount_ucr if dice.happens(0.5) else amount_ucr,
        cause=dice.choose(ADJUSTMENTS),
        operator_id=operator_id,
        approver_id=operator_id if dice.happens(0.1) else about.new(),
        effective_at=about.effective(),
    )


def expire_grants(_about: About, account_id: UUID) -> commands.ExpireGrants:
    """What a sweep asks for."""
    return commands.ExpireGrants(account_id=account_id)
