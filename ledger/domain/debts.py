"""The negative side of an account: what it owes, why, and what pays for it.

Debts are kept by cause and grant, in the order in which they first arose, and repaid in that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from ledger.domain import events
from ledger.domain.events import DebtPart, Slice
from ledger.limits import SLICES_MAX

if TYPE_CHECKING:
    from ledger.domain.account import Account, Grant

PAYING = "paid"
"""Only what was paid for repays debt: nobody owes less because of a gift."""


def add_debt(account: Account, part: DebtPart) -> None:
    """Owe more, beside what is owed for the same reason."""
    for index, seen in enumerate(account.debts):
        if (seen.cause, seen.grant_id) == (part.cause, part.grant_id):
            account.debts[index] = DebtPart(seen.cause, seen.grant_id, seen.amount_ucr + part.amount_ucr)
            return
    account.debts.append(part)


def pay_debts(account: Account, parts: Iterable[DebtPart]) -> None:
    """Owe less, by the parts named; owing less than nothing is a bug."""
    for part in parts:
        index = next(
            at for at, seen in enumerate(account.debts) if (seen.cause, seen.grant_id) == (part.cause, part.grant_id)
        )
        seen = account.debts.pop(index)
        assert seen.amount_ucr >= part.amount_ucr, "repaid more than was owed"
        if seen.amount_ucr > part.amount_ucr:
            left = DebtPart(seen.cause, seen.grant_id, seen.amount_ucr - part.amount_ucr)
            account.debts.insert(index, left)


def oldest(account: Account, amount_ucr: int) -> tuple[DebtPart, ...]:
    """The parts of the debt that an amount pays for, the oldest first."""
    parts: list[DebtPart] = []
    for part in account.debts:
        paid_ucr = min(amount_ucr, part.amount_ucr)
        if paid_ucr:
            parts.append(DebtPart(part.cause, part.grant_id, paid_ucr))
            amount_ucr -= paid_ucr
    assert amount_ucr == 0, "more is paid than owed"
    return tuple(parts)


def consequences(account: Account, now: datetime) -> events.AccountEvent | None:
    """The next thing that follows by itself from an account's state: claims come first, then debt is repaid.

    Applied until nothing follows any more; each step lowers a claim or the debt.
    """
    for grant in account.grants if account.claims else ():
        if grant.claims and (follows := _claimed(grant)):
            return follows
    if account.debts and (slices := _paying(account, now)):
        amount_ucr = sum(part.amount_ucr for part in slices)
        return events.DebtRepaid(amount_ucr=amount_ucr, slices=slices, debts=oldest(account, amount_ucr))
    return None


def _claimed(grant: Grant) -> events.AccountEvent | None:
    """What was spent can be claimed no more: the oldest claim bears it. What has come back to it is taken."""
    oldest = grant.claims[0]
    spent_ucr = min(oldest.amount_ucr, grant.claim_ucr - grant.held_ucr - grant.free_ucr)
    if spent_ucr > 0:
        assert oldest.spent_as == "debt", "a loss is borne as it is spent"
        return events.DebtIncurred(amount_ucr=spent_ucr, cause=oldest.cause, grant_id=grant.grant_id, claimed=True)
    taken_ucr = min(oldest.amount_ucr, grant.free_ucr)
    if not taken_ucr:
        return None
    return events.CreditsRevoked(
        grant_id=grant.grant_id,
        amount_ucr=taken_ucr,
        cause=oldest.cause,
        spent_as=oldest.spent_as,
        claimed=True,
        ends=grant.ended,
    )


def _paying(account: Account, now: datetime) -> tuple[Slice, ...]:
    """Free credits that pay for debt, in burn order; those whose end has come pay for nothing.

    At most as many slices, and parts of the debt, as fit an event: what is left follows in the next.
    """
    left_ucr, slices = sum(part.amount_ucr for part in account.debts[:SLICES_MAX]), list[Slice]()
    for grant in account.grants:
        if len(slices) == SLICES_MAX:
            break
        pays = grant.kind == PAYING and not grant.ended and not grant.due(now)
        part_ucr = min(left_ucr, grant.free_ucr) if pays else 0
        if part_ucr:
            slices.append(Slice(grant.grant_id, part_ucr))
            left_ucr -= part_ucr
    return tuple(slices)
