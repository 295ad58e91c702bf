"""A batch decided on what was read: the part of the writer that is the same under the lock and ahead of it."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ledger import errors, limits
from ledger.domain.account import Account, Hold
from ledger.domain.budgets import WINDOWS, Budgets, window_start
from ledger.domain.commands import SetBudget
from ledger.domain.events import OVERDRAFT, BudgetUse
from ledger.domain.evolve import GrantKey, Rows
from ledger.domain.rules.known import Known
from ledger.domain.verdicts import Answer
from ledger.writer.batch import SEALS, Batch
from ledger.writer.loading import load
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared
from ledger.writer.requests import Append, More, ReadMore, ReadRefusals, UnderLock, WriterRequest


@dataclass(frozen=True, slots=True)
class Decided:
    """What a batch comes to once it is appended; ``accounts`` are those that it named, as it leaves them."""

    answers: list[Answer]
    append: Append
    accounts: dict[UUID, Account]
    faults: list[Exception]


def decide_batch(
    batch: Sequence[Prepared], read: UnderLock, memory: Memory, *, unmoved: bool
) -> Generator[WriterRequest, Any, Decided]:
    """Decide requests one after another. Mutates what is remembered: forget it if the batch is not appended.

    ``unmoved``: the head is the one that the memory is of.

    :raises ledger.writer.loading.ForeignState: a state must be rebuilt first.
    """
    memory.holds.update(read.holds)
    accounts: dict[UUID, Account] = {}
    for account_id in dict.fromkeys(account_id for item in batch for account_id in item.accounts):
        stored = read.accounts.get(account_id)
        remembered = memory.get(account_id) if stored is not None or unmoved else None
        if stored is None and remembered is not None:
            accounts[account_id] = remembered
        else:
            accounts[account_id] = yield from load(account_id, stored, remembered, memory)
    now = read.head.next_time(read.clock)
    rows = Rows(memory.holds)
    more = wanted(batch, accounts, memory.holds, now)
    found: More = More() if more.empty else (yield more)
    rows.ended.update(found.grants)
    work = Batch(read, Known(now, rows, Budgets(found.budgets, dict(found.usage)), accounts), memory.unreadable)
    answers = [work.handle(item) for item in batch]
    if work.sealing:
        work.seal((yield ReadRefusals(work.refusing, now.date(), SEALS)))
        answers = [work.told(item, answer) for item, answer in zip(batch, answers, strict=True)]
    return Decided(answers, work.finish(), accounts, work.faults)


def keep(decided: Decided, read: UnderLock, memory: Memory) -> None:
    """Remember what a batch leaves."""
    memory.keep(decided.accounts, decided.append.holds, decided.append.head)
    memory.drop_resolved(read.holds)
    memory.faults.extend(decided.faults)


def streams_of(batch: Sequence[Prepared]) -> list[UUID]:
    """The streams that companions of a batch go to, and those of budgets."""
    streams: dict[UUID, None] = {}
    for item in batch:
        if type(item.request.command) is SetBudget:
            streams[item.request.command.budget_id] = None
        for companion in (*item.request.on_accept, *item.request.on_refuse):
            streams[companion.stream_id] = None
    return list(streams)


def wanted(
    batch: Sequence[Prepared], accounts: Mapping[UUID, Account], holds: Mapping[UUID, Hold], now: datetime
) -> ReadMore:
    """What a batch needs beside accounts and holds: grants that have ended, and budgets with their windows."""
    grants: dict[GrantKey, None] = {}
    budgets: dict[UUID, None] = {}
    usage: dict[BudgetUse, None] = {}
    for item in batch:
        if item.grants or item.budgets:
            grants |= dict.fromkeys(item.grants)
            budgets |= dict.fromkeys(item.budgets)
        for hold_id in item.holds:
            hold = holds.get(hold_id)
            if hold is not None and hold.budgets:
                usage |= dict.fromkeys(hold.budgets)
            if hold is not None and hold.spent:
                grants |= dict.fromkeys((hold.account_id, part.grant_id) for part in hold.spent)
    if budgets:
        starts = [window_start(window, now) for window in WINDOWS]
        usage |= dict.fromkeys(BudgetUse(budget_id, start) for budget_id in budgets for start in starts)
    if usage:
        budgets |= dict.fromkeys(use.budget_id for use in usage)
    return ReadMore([key for key in grants if not _live(accounts, key)], list(budgets), list(usage))


def clock_refusal(read: UnderLock) -> errors.ClockSkew | None:
    """Why nothing may be written now; None if the clocks agree."""
    skew = abs(read.clock - read.own_clock)
    ahead = read.head.recorded_at - read.clock
    if skew > timedelta(seconds=limits.CLOCK_SKEW_MAX_S) or ahead > timedelta(seconds=limits.HEAD_AHEAD_MAX_S):
        return errors.ClockSkew(skew_ms=max(skew, ahead) // timedelta(milliseconds=1))
    return None


def _live(accounts: Mapping[UUID, Account], key: GrantKey) -> bool:
    account = accounts.get(key[0])
    return key[1] == OVERDRAFT or (account is not None and account.grant(key[1]) is not None)
