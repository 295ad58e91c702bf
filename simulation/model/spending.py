"""Burning, holding, committing, giving back: what the model does with credits."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ledger import limits
from ledger.domain import commands
from simulation.model import budgets
from simulation.model.debts import bear_spent, owe
from simulation.model.state import NIL, Account, Book, Hold, No, Parts
from simulation.model.times import after, text


def burn(account: Account, amount: int) -> Parts:
    """Take free credits in the order of burning, the rest from the overdraft."""
    parts: Parts = []
    for grant in account.burning():
        part = min(amount, grant.free)
        if part:
            parts.append((grant.grant_id, part))
            grant.free -= part
            amount -= part
    if amount:
        parts.append((NIL, amount))
    return parts


def must_have(account: Account, amount: int, *, overdraft: bool = True) -> None:
    """Refuse what is not there."""
    limit = account.overdraft_limit if overdraft else 0
    if amount > account.available + limit:
        raise No(
            "insufficient-credits",
            required_ucr=amount,
            available_ucr=account.available,
            held_ucr=account.held,
            **({"overdraft_limit_ucr": limit} if limit else {}),
        )
    slices, left = 0, amount
    for grant in account.burning():
        slices, left = slices + (left > 0), left - grant.free
    if slices + (left > 0) > limits.SLICES_MAX:
        raise No("too-many-slices", slices_max=limits.SLICES_MAX)


def may_spend(account: Account) -> None:
    """Frozen and closed accounts spend nothing new."""
    must_be_open(account)
    if account.frozen:
        raise No("account-frozen", account_id=str(account.account_id))


def must_be_open(account: Account) -> None:
    """A closed account does next to nothing."""
    if account.closed:
        raise No("account-closed", account_id=str(account.account_id))


def pin(account: Account, parts: Parts) -> None:
    """What was taken is held."""
    for grant_id, amount in parts:
        if grant_id == NIL:
            account.overdraft_held += amount
        else:
            account.grants[grant_id].held += amount


def spend(account: Account, parts: Parts, *, held: bool) -> int:
    """What was taken is gone; how much of it was overdraft."""
    overdraft = 0
    for grant_id, amount in parts:
        if grant_id == NIL:
            overdraft += amount
            account.overdraft_held -= amount if held else 0
        else:
            grant = account.grants[grant_id]
            grant.spent += amount
            if held:
                grant.held -= amount
                bear_spent(grant)
    return overdraft


def give_back(account: Account, parts: Parts) -> None:
    """What was pinned is free, or frozen where its grant is disputed; claims come first, and are taken later."""
    for grant_id, amount in parts:
        if grant_id == NIL:
            account.overdraft_held -= amount
            continue
        grant = account.grants[grant_id]
        grant.held -= amount
        receive(grant_id, account, amount)


def receive(grant_id: UUID, account: Account, amount: int) -> None:
    """Credits come back to a grant."""
    grant = account.grants[grant_id]
    claimed = min(amount, grant.claimed - grant.free) if grant.claimed > grant.free else 0
    rest = amount - claimed
    room = 0 if grant.dispute is None else max(0, grant.dispute - grant.frozen)
    frozen = min(rest, room)
    grant.frozen += frozen
    grant.free += amount - frozen


def hold(book: Book, asked: commands.HoldCredits, now: datetime) -> None:
    """Pin credits."""
    account = book.account(asked.account_id)
    may_spend(account)
    must_be_new(book, asked.hold_id, "hold")
    cap = asked.cap_ucr or 0
    if 0 < cap < asked.amount_ucr:
        raise No("raise-above-cap", hold_id=str(asked.hold_id), amount_ucr=asked.amount_ucr, cap_ucr=cap)
    if account.open_holds >= account.max_open_holds:
        raise No("too-many-holds", open_holds=account.open_holds, max_open_holds=account.max_open_holds)
    must_have(account, asked.amount_ucr)
    uses = budgets.windows(book, account.organisation_id, asked.budgets, asked.amount_ucr, now)
    parts = burn(account, asked.amount_ucr)
    pin(account, parts)
    account.open_holds += 1
    lease_until = after(now, asked.lease_s)
    book.holds[asked.hold_id] = Hold(
        asked.hold_id, account.account_id, "open", asked.amount_ucr, parts, now, lease_until, asked.reference, cap
    )
    book.holds[asked.hold_id].uses = uses
    budgets.count(book, uses, asked.amount_ucr)
    book.note(account.account_id, "ledger.credits-held.v1")


def must_be_new(book: Book, hold_id: UUID, kind: str) -> None:
    """Ids of holds and debits are used once."""
    seen = book.holds.get(hold_id)
    if seen is not None:
        raise (
            No("hold-exists", hold_id=str(hold_id), state=seen.state)
            if kind == "hold"
            else No("debit-exists", debit_id=str(hold_id))
        )


def known_hold(book: Book, account: Account, hold_id: UUID) -> Hold:
    """A hold of this account; a debit counts as one that is resolved."""
    found = book.holds.get(hold_id)
    if found is None or found.account_id != account.account_id:
        raise No("hold-unknown", hold_id=str(hold_id))
    return found


def open_hold(book: Book, account: Account, hold_id: UUID) -> Hold:
    """A hold of this account that is not resolved."""
    found = known_hold(book, account, hold_id)
    if found.state != "open":
        raise No("hold-resolved", hold_id=str(hold_id), state=found.state, resolved_at=text(found.resolved_at))
    return found


def renew(book: Book, asked: commands.RenewHold, now: datetime) -> None:
    """A later lease end."""
    account = book.account(asked.account_id)
    found = open_hold(book, account, asked.hold_id)
    lease_until = after(now, asked.lease_s)
    if lease_until > found.lease_until:
        found.lease_until = lease_until
        book.note(account.account_id, "ledger.hold-renewed.v1")


def raise_hold(book: Book, asked: commands.RaiseHold) -> None:
    """Pin more, behind what is pinned."""
    account = book.account(asked.account_id)
    may_spend(account)
    found = open_hold(book, account, asked.hold_id)
    total = found.amount + asked.amount_ucr
    if total > found.cap:
        raise No("raise-above-cap", hold_id=str(asked.hold_id), amount_ucr=total, cap_ucr=found.cap)
    must_have(account, asked.amount_ucr)
    budgets.allow(book, found.uses, asked.amount_ucr)
    parts = burn(account, asked.amount_ucr)
    pin(account, parts)
    found.pinned += parts
    found.amount = total
    budgets.count(book, found.uses, asked.amount_ucr)
    book.note(account.account_id, "ledger.hold-raised.v1")


def commit(book: Book, asked: commands.CommitHold, now: datetime) -> None:
    """Debit what is held."""
    account = book.account(asked.account_id)
    found = known_hold(book, account, asked.hold_id)
    if asked.late and found.state == "expired" and found.reference is None:
        commit_late(book, account, found, asked.amount_ucr, now)
        return
    found = open_hold(book, account, asked.hold_id)
    if asked.amount_ucr > found.remaining:
        raise No(
            "commit-above-hold",
            hold_id=str(asked.hold_id),
            requested_ucr=asked.amount_ucr,
            remaining_ucr=found.remaining,
        )
    parts = first_of(found, asked.amount_ucr)
    found.committed += asked.amount_ucr
    found.spent += parts
    owed = spend(account, parts, held=True)
    if asked.final or not found.pinned:
        resolve(book, account, found, "committed", now)
    book.note(account.account_id, "ledger.hold-committed.v1")
    owe_overdraft(book, account, owed)


def first_of(found: Hold, amount: int) -> Parts:
    """Take from what a hold pins, from the front."""
    taken: Parts = []
    while amount:
        grant_id, part = found.pinned.pop(0)
        used = min(part, amount)
        taken.append((grant_id, used))
        amount -= used
        if part > used:
            found.pinned.insert(0, (grant_id, part - used))
    return taken


def commit_late(book: Book, account: Account, found: Hold, amount: int, now: datetime) -> None:
    """Finish an expired hold from what is free now: whole or not at all."""
    assert found.resolved_at is not None
    may_spend(account)
    if now > after(found.resolved_at, limits.LATE_FINISH_MAX_S):
        raise No("late-finish-over", hold_id=str(found.hold_id), resolved_at=text(found.resolved_at))
    left = found.amount - found.committed
    if amount > left:
        raise No("commit-above-hold", hold_id=str(found.hold_id), requested_ucr=amount, remaining_ucr=left)
    must_have(account, amount)
    budgets.allow(book, found.uses, amount)
    parts = burn(account, amount)
    owed = spend(account, parts, held=False)
    found.spent += parts
    found.committed += amount
    found.state, found.resolved_at = "committed", now
    budgets.count(book, found.uses, amount)
    book.note(account.account_id, "ledger.hold-committed.v1")
    owe_overdraft(book, account, owed)


def resolve(book: Book, account: Account, found: Hold, state: str, now: datetime) -> None:
    """End a hold: what it pins returns."""
    budgets.count(book, found.uses, -found.remaining)
    give_back(account, found.pinned)
    found.pinned = []
    found.state, found.resolved_at = state, now
    account.open_holds -= 1


def release(book: Book, asked: commands.ReleaseHold, now: datetime) -> None:
    """Give back all that is pinned."""
    account = book.account(asked.account_id)
    resolve(book, account, open_hold(book, account, asked.hold_id), "released", now)
    book.note(account.account_id, "ledger.hold-released.v1")


def expire(book: Book, asked: commands.ExpireHold, now: datetime) -> None:
    """Give back all that is pinned, once the lease has ended."""
    account = book.account(asked.account_id)
    found = open_hold(book, account, asked.hold_id)
    if now < found.lease_until:
        raise No("hold-not-due", hold_id=str(asked.hold_id), lease_until=text(found.lease_until))
    resolve(book, account, found, "expired", now)
    book.note(account.account_id, "ledger.hold-expired.v1")


def debit(book: Book, asked: commands.DebitCredits, now: datetime) -> None:
    """Debit without a hold."""
    account = book.account(asked.account_id)
    may_spend(account)
    must_be_new(book, asked.debit_id, "debit")
    must_have(account, asked.amount_ucr)
    uses = budgets.windows(book, account.organisation_id, asked.budgets, asked.amount_ucr, now)
    parts = burn(account, asked.amount_ucr)
    owed = spend(account, parts, held=False)
    row = Hold(asked.debit_id, account.account_id, "debited", asked.amount_ucr, [], now, now, asked.reference)
    row.spent, row.committed, row.uses, row.resolved_at = parts, asked.amount_ucr, uses, now
    book.holds[asked.debit_id] = row
    budgets.count(book, uses, asked.amount_ucr)
    book.note(account.account_id, "ledger.credits-debited.v1")
    owe_overdraft(book, account, owed)


def owe_overdraft(book: Book, account: Account, owed: int) -> None:
    """What no grant covered is debt."""
    if owed:
        owe(book, account, "overdraft", None, owed)
