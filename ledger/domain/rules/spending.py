"""Rules of what moves without a hold: debits, their reversal, transfers, adjustments."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID, uuid5

from ledger import errors
from ledger.domain import commands, events
from ledger.domain.account import Account, Grant, Hold, split
from ledger.domain.events import DebtPart, Slice
from ledger.domain.rules.known import (
    Decision,
    Known,
    affordable,
    find_grant,
    may_add,
    may_grow,
    may_receive,
    may_spend,
    not_ahead,
    overdrawn,
    refrozen,
    seen_grant,
)


def debit(account: Account, known: Known, command: commands.DebitCredits) -> Decision:
    """Spend without a hold."""
    may_spend(account)
    if command.debit_id in known.rows.holds:
        raise errors.DebitExists(debit_id=str(command.debit_id))
    slices = affordable(account, command.amount_ucr)
    return [
        events.CreditsDebited(
            debit_id=command.debit_id,
            amount_ucr=command.amount_ucr,
            slices=slices,
            reason=command.reason,
            reference=command.reference,
            budgets=known.budgets.take(account.organisation_id, command.budgets, command.amount_ucr, known.now),
        ),
        *overdrawn(slices),
    ]


def reverse(account: Account, known: Known, command: commands.ReverseDebit) -> Decision:
    """Undo a debit: the slices it recorded, the last one first."""
    may_receive(account)
    not_ahead(command.effective_at, known.now)
    seen = known.rows.holds.get(command.debit_id)
    if seen is None or seen.account_id != account.account_id:
        raise errors.DebitUnknown(debit_id=str(command.debit_id))
    slices = _unwound(seen, command)
    owed_ucr = sum(part.amount_ucr for part in account.debts if part.cause == "overdraft")
    if sum(part.amount_ucr for part in slices if part.overdraft) > owed_ucr:
        raise errors.OverdraftRepaid(debit_id=str(command.debit_id))
    taken = _taken_back(account, known, slices)
    if any(one.repaid_ucr for one in taken):
        raise errors.DebtIsRepaid(debit_id=str(command.debit_id))
    amount_ucr = sum(part.amount_ucr for part in slices)
    may_grow(account, amount_ucr)
    graced = _graced(account, known, slices)
    return [
        events.CreditsReversed(
            reversal_id=command.reversal_id,
            debit_id=command.debit_id,
            amount_ucr=amount_ucr,
            slices=slices,
            reason=command.reason,
            frozen=refrozen(account, known, slices, {one.grant.grant_id: one.owed_ucr + one.lost_ucr for one in taken}),
            graced=graced,
            grace_until=known.now + timedelta(seconds=command.grace_s) if graced else None,
        ),
        *_taken_again(account, taken),
    ]


def _unwound(seen: Hold, command: commands.ReverseDebit) -> tuple[Slice, ...]:
    reversible_ucr = sum(part.amount_ucr for part in seen.spent)
    amount_ucr = reversible_ucr if command.amount_ucr is None else command.amount_ucr
    if amount_ucr > reversible_ucr or not amount_ucr:
        raise errors.ReverseAboveDebit(
            debit_id=str(command.debit_id), requested_ucr=amount_ucr, reversible_ucr=reversible_ucr
        )
    return split(reversed(seen.spent), amount_ucr)[0]


def _grant(account: Account, known: Known, part: Slice) -> Grant:
    return find_grant(account, known, part.grant_id)


def _graced(account: Account, known: Known, slices: tuple[Slice, ...]) -> tuple[UUID, ...]:
    """Grants whose end has come, to which credits return that shall be usable for a while."""
    named = dict.fromkeys(part.grant_id for part in slices if not part.overdraft)
    found = (find_grant(account, known, grant_id) for grant_id in named)
    return tuple(grant.grant_id for grant in found if grant.due(known.now) and not grant.ended)


class _Taken(NamedTuple):
    """Of what returns to a grant, what had been taken back when it was spent: still owed, our loss, or repaid since."""

    grant: Grant
    owed_ucr: int
    lost_ucr: int
    repaid_ucr: int


def _taken_back(account: Account, known: Known, slices: tuple[Slice, ...]) -> list[_Taken]:
    """What may not be used again though it returns: a grant's owner has no more of it than was not taken back."""
    back_ucr: dict[UUID, int] = {}
    for part in slices:
        if not part.overdraft:
            back_ucr[part.grant_id] = back_ucr.get(part.grant_id, 0) + part.amount_ucr
    found: list[_Taken] = []
    for grant_id, amount_ucr in back_ucr.items():
        grant = find_grant(account, known, grant_id)
        excess_ucr = max(0, grant.recalled_ucr - (grant.used_ucr - amount_ucr))
        gone_ucr = amount_ucr if account.refunded(grant) else excess_ucr
        if gone_ucr:
            owed_ucr = min(gone_ucr, sum(part.amount_ucr for part in account.debts if part.grant_id == grant_id))
            repaid_ucr = max(0, excess_ucr - owed_ucr - grant.lost_ucr)
            found.append(_Taken(grant, owed_ucr, gone_ucr - owed_ucr - repaid_ucr, repaid_ucr))
    return found


def _taken_again(account: Account, taken: list[_Taken]) -> Decision:
    """Credits that return pay the debt of their own grant; what was our loss is revoked."""
    decision: Decision = []
    for grant, owed_ucr, lost_ucr, _ in taken:
        if owed_ucr:
            debts = _first([part for part in account.debts if part.grant_id == grant.grant_id], owed_ucr)
            slices = (Slice(grant.grant_id, owed_ucr),)
            decision.append(events.DebtRepaid(amount_ucr=owed_ucr, slices=slices, debts=tuple(debts)))
        if lost_ucr:
            decision.append(
                events.CreditsRevoked(
                    grant_id=grant.grant_id,
                    amount_ucr=lost_ucr,
                    cause="correction",
                    lost_ucr=-min(lost_ucr, grant.lost_ucr),
                    ends=grant.ended or account.refunded(grant),
                )
            )
    return decision


def _first(owed: list[DebtPart], amount_ucr: int) -> list[DebtPart]:
    parts: list[DebtPart] = []
    for part in owed:
        paid_ucr = min(amount_ucr, part.amount_ucr)
        amount_ucr -= paid_ucr
        parts += [DebtPart(part.cause, part.grant_id, paid_ucr)] if paid_ucr else []
    return parts


def transfer(account: Account, known: Known, command: commands.TransferCredits) -> Decision:
    """Move free credits to another account of the organisation: one event here, one there."""
    may_spend(account)
    target = known.accounts.get(command.to_account_id)
    if target is None or target.version == 0:
        raise errors.AccountUnknown(account_id=str(command.to_account_id))
    if target.organisation_id != account.organisation_id or target is account:
        raise errors.OtherOrganisation(to_account_id=str(command.to_account_id))
    may_receive(target)
    slices = affordable(account, command.amount_ucr, overdraft=False)
    may_add(target, command.amount_ucr, grants=len(slices))
    return [
        events.CreditsTransferredOut(
            transfer_id=command.transfer_id,
            to_account_id=command.to_account_id,
            amount_ucr=command.amount_ucr,
            slices=slices,
            reason=command.reason,
        ),
        events.CreditsTransferredIn(
            transfer_id=command.transfer_id,
            from_account_id=command.account_id,
            amount_ucr=command.amount_ucr,
            parts=tuple(_part(account, _grant(account, known, part), part, command.transfer_id) for part in slices),
            reason=command.reason,
        ),
    ]


def _part(account: Account, grant: Grant, part: Slice, transfer_id: UUID) -> events.TransferPart:
    """A bucket as it arrives: its share of the cost basis is what the deferred formula gives up here.

    Its id is new even if a transfer's id is used twice.
    """
    return events.TransferPart(
        grant_id=uuid5(transfer_id, f"{grant.grant_id.hex}:{account.account_id.hex}:{account.version}"),
        from_grant_id=grant.grant_id,
        amount_ucr=part.amount_ucr,
        kind=grant.kind,
        priority=grant.priority,
        expires_at=grant.expires_at,
        cost_micro=share_micro(grant, grant.cost_micro, part.amount_ucr),
        list_value_micro=share_micro(grant, grant.list_value_micro, part.amount_ucr),
        book_currency=grant.book_currency,
        receipt_id=grant.receipt_id,
        generation=grant.generation,
    )


def share_micro(grant: Grant, total_micro: int, amount_ucr: int) -> int:
    """The part of a total that leaves with the next ``amount_ucr`` of a grant; the last unit takes the remainder."""
    before, after = grant.gone_ucr, grant.gone_ucr + amount_ucr
    return total_micro * after // grant.granted_ucr - total_micro * before // grant.granted_ucr


def adjust(account: Account, known: Known, command: commands.AdjustBalance) -> Decision:
    """Change the balance by two operators' word: a bucket more, or slices less; never into debt."""
    may_receive(account)
    not_ahead(command.effective_at, known.now)
    if command.operator_id == command.approver_id:
        raise errors.SecondOperatorNeeded(operator_id=str(command.operator_id))
    more = command.amount_ucr > 0
    bucket_id = bucket_of(command)
    if more:
        if seen_grant(account, known, bucket_id):
            raise errors.GrantExists(grant_id=str(bucket_id))
        may_add(account, command.amount_ucr)
    return [
        events.BalanceAdjusted(
            adjustment_id=command.adjustment_id,
            amount_ucr=command.amount_ucr,
            cause=command.cause,
            operator_id=command.operator_id,
            approver_id=command.approver_id,
            grant_id=bucket_id if more else None,
            slices=() if more else affordable(account, -command.amount_ucr, overdraft=False),
            reason=command.reason,
        )
    ]


def bucket_of(command: commands.AdjustBalance) -> UUID:
    """The bucket that an adjustment upwards makes: its own, whatever other accounts the same id was used in."""
    return uuid5(command.adjustment_id, command.account_id.hex)
