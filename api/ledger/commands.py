"""From bodies to the ledger's commands. Amounts become micro-credits here; nothing else is decided."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from api.errors import Fault, Invalid
from api.ledger import bodies
from ledger import ids
from ledger.amounts import parse_credits
from ledger.domain import commands

_ZERO = frozenset({"0", "0.0", "0.00", "0.000", "0.0000", "0.00000", "0.000000"})


class Place(NamedTuple):
    """Where a command goes: the account and its organisation, what the command names, and a new id if it makes one."""

    account_id: UUID
    organisation_id: UUID
    target: UUID
    new: UUID


def hold(body: bodies.HoldIn, place: Place) -> commands.Command:
    """See ``HoldCredits``."""
    return commands.HoldCredits(
        account_id=place.account_id,
        hold_id=place.new,
        amount_ucr=credit(body.amount),
        lease_s=body.lease_s,
        cap_ucr=optional(body.cap, "cap"),
        budgets=budgets(body.budgets),
    )


def renew(body: bodies.RenewIn, place: Place) -> commands.Command:
    """See ``RenewHold``."""
    return commands.RenewHold(account_id=place.account_id, hold_id=place.target, lease_s=body.lease_s)


def raise_hold(body: bodies.RaiseIn, place: Place) -> commands.Command:
    """See ``RaiseHold``."""
    return commands.RaiseHold(account_id=place.account_id, hold_id=place.target, amount_ucr=credit(body.amount))


def commit(body: bodies.CommitIn, place: Place) -> commands.Command:
    """See ``CommitHold``."""
    return commands.CommitHold(
        account_id=place.account_id,
        hold_id=place.target,
        amount_ucr=credit(body.amount),
        final=body.final,
        late=body.late,
    )


def release(body: bodies.ReleaseIn, place: Place) -> commands.Command:
    """See ``ReleaseHold``."""
    return commands.ReleaseHold(account_id=place.account_id, hold_id=place.target, reason=body.reason)


def debit(body: bodies.DebitIn, place: Place) -> commands.Command:
    """See ``DebitCredits``."""
    return commands.DebitCredits(
        account_id=place.account_id,
        debit_id=place.new,
        amount_ucr=credit(body.amount),
        reason=body.reason,
        budgets=budgets(body.budgets),
    )


def transfer(body: bodies.TransferIn, place: Place) -> commands.Command:
    """See ``TransferCredits``."""
    return commands.TransferCredits(
        account_id=place.account_id,
        to_account_id=named("acc", body.to_account_id, "to_account_id"),
        transfer_id=place.new,
        amount_ucr=credit(body.amount),
        reason=body.reason,
    )


def grant(body: bodies.GrantIn, place: Place) -> commands.Command:
    """See ``GrantCredits``."""
    return commands.GrantCredits(
        account_id=place.account_id,
        grant_id=place.new,
        amount_ucr=credit(body.amount),
        kind=body.kind,
        priority=body.priority,
        lifetime_s=body.expires_in_s,
        reason=body.reason or "",
        effective_at=effective(body.effective_at),
    )


def extend(body: bodies.ExtendIn, place: Place) -> commands.Command:
    """See ``ExtendGrant``."""
    return commands.ExtendGrant(
        account_id=place.account_id,
        grant_id=place.target,
        lifetime_s=body.expires_in_s,
        keep_ucr=None if body.keep is None else credit_or_none_at_all(body.keep, "keep"),
    )


def freeze_grant(body: bodies.FreezeGrantIn, place: Place) -> commands.Command:
    """See ``FreezeGrant``."""
    return commands.FreezeGrant(
        account_id=place.account_id,
        grant_id=place.target,
        reason=body.reason,
        amount_ucr=optional(body.amount, "amount"),
    )


def unfreeze_grant(body: bodies.ReasonIn, place: Place) -> commands.Command:
    """See ``UnfreezeGrant``."""
    return commands.UnfreezeGrant(account_id=place.account_id, grant_id=place.target, reason=body.reason)


def revoke(body: bodies.RevokeIn, place: Place) -> commands.Command:
    """See ``RevokeCredits``."""
    return commands.RevokeCredits(
        account_id=place.account_id,
        grant_id=place.target,
        cause=body.cause,
        amount_ucr=optional(body.amount, "amount"),
        spent_as=body.spent_as,
        reason=body.reason or "",
    )


def freeze_account(body: bodies.LifeIn, place: Place) -> commands.Command:
    """See ``FreezeAccount``."""
    return commands.FreezeAccount(account_id=place.account_id, reason=body.reason)


def unfreeze_account(body: bodies.LifeIn, place: Place) -> commands.Command:
    """See ``UnfreezeAccount``."""
    return commands.UnfreezeAccount(account_id=place.account_id, reason=body.reason)


def close_account(body: bodies.LifeIn, place: Place) -> commands.Command:
    """See ``CloseAccount``."""
    return commands.CloseAccount(account_id=place.account_id, reason=body.reason)


def open_account(body: bodies.AccountIn, place: Place) -> commands.Command:
    """See ``OpenAccount``."""
    return commands.OpenAccount(
        account_id=place.new,
        organisation_id=place.organisation_id,
        max_open_holds=body.max_open_holds,
        overdraft_limit_ucr=credit_or_none_at_all(body.overdraft_limit, "overdraft_limit"),
    )


def set_policy(body: bodies.PolicyIn, place: Place) -> commands.Command:
    """See ``SetPolicy``."""
    return commands.SetPolicy(
        account_id=place.account_id,
        max_open_holds=body.max_open_holds,
        overdraft_limit_ucr=credit_or_none_at_all(body.overdraft_limit, "overdraft_limit"),
    )


def reverse(body: bodies.ReverseIn, place: Place) -> commands.Command:
    """See ``ReverseDebit``."""
    return commands.ReverseDebit(
        account_id=place.account_id,
        reversal_id=place.new,
        debit_id=place.target,
        reason=body.reason,
        amount_ucr=optional(body.amount, "amount"),
        grace_s=body.grace_s,
        effective_at=effective(body.effective_at),
    )


def set_budget(body: bodies.BudgetIn, place: Place) -> commands.Command:
    """See ``SetBudget``."""
    return commands.SetBudget(
        budget_id=place.target,
        organisation_id=place.organisation_id,
        subject=body.subject,
        window=body.window,
        limit_ucr=None if body.limit is None else credit_or_none_at_all(body.limit, "limit"),
    )


def credit(text: str, field: str = "amount") -> int:
    """Micro-credits of a positive amount.

    :raises Invalid: zero, or more than one command may name.
    """
    try:
        return parse_credits(text)
    except ValueError as error:
        raise Invalid([Fault(detail=str(error), pointer=f"/{field}")]) from error


def optional(text: str | None, field: str) -> int | None:
    """The same where it may be left out. Raises as ``credit``."""
    return None if text is None else credit(text, field)


def credit_or_none_at_all(text: str, field: str) -> int:
    """The same where 0 is an amount. Raises as ``credit``."""
    return 0 if text in _ZERO else credit(text, field)


def effective(at: datetime | None) -> datetime | None:
    """The date that something is meant for, as UTC: what lies behind counts no offsets.

    :raises Invalid: none of the years 1 to 9999 in UTC.
    """
    try:
        return None if at is None else at.astimezone(UTC)
    except OverflowError as error:
        detail = "expected a time within the years 1 to 9999 in UTC"
        raise Invalid([Fault(detail=detail, pointer="/effective_at")]) from error


def budgets(texts: Iterable[str]) -> tuple[UUID, ...]:
    """Budgets that a command names. Raises as ``named``."""
    return tuple(named("budget", text, f"budgets/{index}") for index, text in enumerate(texts))


def named(kind: str, text: str, field: str) -> UUID:
    """An id that a body names.

    :raises Invalid: none of that kind.
    """
    try:
        return ids.parse(kind, text)
    except ValueError as error:
        raise Invalid([Fault(detail=str(error), pointer=f"/{field}")]) from error
