"""What must hold after every step, read from the tables alone; and, once in a while, from all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from uuid import UUID

import msgspec

from ledger import limits
from ledger.domain.account import Account, Hold, decode_account, encode_account, encode_grant
from ledger.domain.budgets import Budget
from ledger.domain.codec import RecordedEvent, is_account_event, tag_of
from ledger.domain.events import BudgetUse, VerdictsSealed
from ledger.store.memory import MemoryDatabase
from ledger.views import balance_view, hold_view
from ledger.writer.chain import GENESIS, expected_hash
from ledger.writer.loading import replay
from ledger.writer.requests import Append
from simulation.found import must, same
from simulation.ledger.server import FOREIGN
from simulation.model import views
from simulation.model.answering import Model

OVERDRAFT_MAX_UCR = 500
"""The largest that a policy of the simulator allows."""
SEALED = tag_of(VerdictsSealed)


class Checks:
    """Looks at one database."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def appended(self, append: Append, before: int) -> None:
        """Look at what one append did: events, accounts, their holds, budgets."""
        events = self._database.events[before:]
        self._log(events, before)
        for row in append.accounts:
            self._account(row.account_id)
        for use, used in append.usage:
            self._usage(use, used)
        self._verdicts(append)

    def _verdicts(self, append: Append) -> None:
        """Every verdict stands at an event of its batch: the one that has its key, or the seal that covers it."""
        by_position = {row.position: row for row in append.events}
        sealed = [row for row in append.verdicts if by_position[row.position].tag == SEALED]
        for row in append.verdicts:
            must("a verdict's place", holds=row in sealed or by_position[row.position].key_hash == row.key_hash)
            stored = self._database.verdicts[row.key_hash]
            same("stored verdict", said=(stored.digests, stored.verdict), expected=(row.digests, row.verdict))
        seals = [msgspec.json.decode(row.state) for row in append.events if row.tag == SEALED]
        same("seals", said=len(seals), expected=int(bool(sealed)))
        for seal in seals:
            rows = sorted((row.key_hash, row.digests, row.verdict) for row in sealed)
            framed = b"".join(len(part).to_bytes(4, "big") + part for row in rows for part in row)
            same("seal", said=(seal["count"], seal["sha256"]), expected=(len(rows), sha256(framed).hexdigest()))

    def _log(self, events: list[RecordedEvent], before: int) -> None:
        """Invariants 27 and 28, and the hashes over what is stored."""
        database = self._database
        last = database.events[before - 1] if before else None
        for place, event in enumerate(events, before + 1):
            stream = database.streams[event.stream_id]
            must("invariant_27 gapless positions", holds=event.position == place, detail=event)
            must("versions of a stream", holds=stream[event.version - 1] is event, detail=event)
            if last is not None:
                later = event.recorded_at > last.recorded_at
                of_one_batch = place > before + 1 and event.recorded_at == last.recorded_at
                must("invariant_28 time of recording", holds=later or of_one_batch, detail=event)
            must("effective before recorded", holds=event.effective_at <= event.recorded_at, detail=event)
            hashes = {
                "stream_hash": stream[event.version - 2].hash if event.version > 1 else GENESIS,
                "log_hash": last.hash if last else GENESIS,
            }
            must("invariant_36 hashes", holds=event.hash == expected_hash(event, **hashes), detail=event)
            last = event
        if last is not None:
            head = (last.position, last.hash, last.recorded_at)
            same("head", said=tuple(database.head), expected=head)

    def _account(self, account_id: UUID) -> None:
        """Invariants 5, 6 and 32, from the rows of the account and its holds."""
        row = self._database.accounts[account_id]
        account, end = decode_account(row.state), self._database.streams[account_id][-1]
        same("account row", said=(row.version, row.hash), expected=(end.version, end.hash))
        same("state in its row", said=(account.version, account.hash), expected=(row.version, row.hash))
        must("next due", holds=row.next_due_at == account.next_due_at, detail=row)
        self._sums(account)

    def _sums(self, account: Account) -> None:
        grants = account.grants
        holds = [one for one in self._database.holds.values() if one.account_id == account.account_id]
        pinned = [one for one in holds if one.state == "open"]
        free, held = sum(one.free_ucr for one in grants), sum(one.held_ucr for one in grants)
        frozen, debt = sum(one.frozen_ucr for one in grants), sum(one.amount_ucr for one in account.debts)
        same("invariant_05 held", said=account.held_ucr, expected=sum(one.remaining_ucr for one in pinned))
        same("invariant_05 frozen", said=account.frozen_ucr, expected=frozen)
        same("invariant_05 open holds", said=account.open_holds, expected=len(pinned))
        same("invariant_32 posted", said=account.posted_ucr, expected=free + held + frozen - debt)
        must("posted in its bound", holds=account.posted_ucr <= limits.POSTED_MAX_UCR, detail=account)
        must("owed in its bound", holds=debt <= limits.DEBT_MAX_UCR + OVERDRAFT_MAX_UCR, detail=account)
        same("overdraft held", said=account.overdraft_held_ucr, expected=account.held_ucr - held)
        for grant in grants:
            parts = (grant.free_ucr, grant.held_ucr, grant.frozen_ucr)
            gone = (grant.spent_ucr, grant.expired_ucr, grant.revoked_ucr, grant.transferred_ucr, grant.repaid_ucr)
            must("invariant_06 below zero", holds=min(*parts, *gone) >= 0, detail=grant)
            same("invariant_32 grant", said=grant.granted_ucr, expected=sum(parts) + sum(gone))
        self._pins(account, pinned)

    def _pins(self, account: Account, pinned: Iterable[Hold]) -> None:
        """What each grant holds is what open holds pin of it."""
        by_grant = Counter[UUID]()
        for one in pinned:
            for part in one.slices:
                by_grant[part.grant_id] += part.amount_ucr
        for grant in account.grants:
            same("invariant_05 pins", said=grant.held_ucr, expected=by_grant[grant.grant_id])

    def _usage(self, use: BudgetUse, used: int) -> None:
        """What is used of a budget is what its holds and debits pin and have spent in that window."""
        counted = [one for one in self._database.holds.values() if use in one.budgets]
        spent = sum(part.amount_ucr for one in counted for part in one.spent)
        same("budget used", said=used, expected=spent + sum(one.remaining_ucr for one in counted))

    def against(self, model: Model, account_ids: Iterable[UUID]) -> None:
        """Compare accounts, with all their grants and holds, with the model's."""
        for account_id in account_ids:
            self._against(model, account_id)
        for use, used in self._database.usage.items():
            same(
                "budget used, by the model", said=used, expected=model.book.used.get((use.budget_id, use.window_start))
            )

    def _against(self, model: Model, account_id: UUID) -> None:
        row, head = self._database.accounts[account_id], self._database.head
        account, at = decode_account(row.state), head.recorded_at
        said = balance_view(account, log_position=head.position, at=at)
        same("balance", said=said, expected=views.balance(model.book, account_id, at))
        meant = model.book.accounts[account_id]
        meant.check()
        debts = [(part.cause, part.grant_id, part.amount_ucr) for part in account.debts]
        same("debts", said=debts, expected=[(debt.cause, debt.grant_id, debt.amount) for debt in meant.debts])
        same("frozen", said=account.frozen_ucr, expected=meant.in_dispute)
        same("status", said=account.status, expected=_status(meant.frozen, meant.closed))
        claims = {one.grant_id: one.claim_ucr for one in account.grants if one.claim_ucr}
        expected = {one.grant_id: one.claimed for one in meant.grants.values() if one.claimed}
        same("claims", said=claims, expected=expected)
        for hold in self._database.holds.values():
            if hold.account_id == account_id:
                same("hold", said=hold_view(hold), expected=views.hold(model.book, hold.hold_id))
                spent = [(part.grant_id, part.amount_ucr) for part in hold.spent]
                same("spent slices", said=_merged(spent), expected=_merged(model.book.holds[hold.hold_id].spent))

    def whole(self, model: Model) -> None:
        """Look at everything: what replaying the log makes, and what the model says."""
        database = self._database
        held: dict[UUID, Hold] = {}
        for account_id in list(database.accounts):
            account, rows = replay(account_id, database.streams[account_id])
            held |= rows.holds
            self._replayed(account_id, account)
            for (owner_id, grant_id), grant in rows.ended.items():
                stored = database.grants.get((owner_id, grant_id))
                if stored is not None:
                    same("invariant_10 ended grant", said=encode_grant(stored), expected=encode_grant(grant))
        same("invariant_09 holds", said=database.holds, expected=held)
        streams = {event.stream_id for event in database.events if is_account_event(event.tag)}
        same("accounts", said=set(database.accounts), expected=streams)
        self.against(model, [one for one, row in database.accounts.items() if row.format != FOREIGN])
        budgets: dict[UUID, Budget] = database.budgets
        for budget_id, budget in budgets.items():
            meant = model.book.budgets[budget_id]
            same("budget", said=(budget.limit_ucr, budget.window), expected=(meant.limit, meant.window))

    def _replayed(self, account_id: UUID, account: Account) -> None:
        row = self._database.accounts[account_id]
        if row.format != FOREIGN:
            same("invariant_10 replayed account", said=row.state, expected=encode_account(account))


def _status(frozen: object, closed: object) -> str:
    return "closed" if closed else "frozen" if frozen else "open"


def _merged(parts: list[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
    merged: list[tuple[UUID, int]] = []
    for grant_id, amount in parts:
        if merged and merged[-1][0] == grant_id:
            merged[-1] = (grant_id, merged[-1][1] + amount)
        elif amount:
            merged.append((grant_id, amount))
    return merged
