"""The writer, sans I/O: a batch of requests in, an answer for each out, whatever the database does in between.

One transaction a batch: lock, read back, decide in memory, append, commit, and only then answer. A batch that the
database refuses for its content is run again in halves until the culprit stands alone. After a lost acknowledgement
the same batch runs again: its keys, read under the lock, tell what had taken effect.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from ledger import errors, limits
from ledger.domain.account import Account, Hold
from ledger.domain.budgets import WINDOWS, Budgets, window_start
from ledger.domain.events import OVERDRAFT, BudgetUse
from ledger.domain.evolve import GrantKey, Rows
from ledger.domain.rules.known import Known
from ledger.domain.verdicts import Answer, refused
from ledger.writer.batch import SEALS, Batch
from ledger.writer.loading import ForeignState, load, rebuild
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared
from ledger.writer.requests import (
    Append,
    More,
    ReadMore,
    ReadRefusals,
    ReadUnderLock,
    Reconnect,
    Rollback,
    UnderLock,
    WriterRequest,
)

Writing: TypeAlias = Generator[WriterRequest, Any, list[Answer]]


def write(batch: Sequence[Prepared], memory: Memory) -> Writing:
    """Answer a batch; answers in the order of the requests."""
    tries, poisoned = 0, False
    foreign: UUID | None = None
    while True:
        try:
            if foreign is not None:
                account_id, foreign = foreign, None
                yield Rollback()
                yield from rebuild(account_id, memory)
            return (yield from _fault(batch[0], memory) if poisoned else _attempt(batch, memory))
        except errors.ConnectionLost:
            memory.forget()
            yield Reconnect(tries)
            tries += 1
        except ForeignState as found:
            foreign = found.account_id
        except Exception as fault:
            memory.forget()
            yield Rollback()
            if poisoned:
                raise
            if len(batch) > 1:
                return (yield from _in_halves(batch, memory))
            memory.faults.append(fault)
            poisoned = True


def run(core: Writing, answer: Callable[[WriterRequest], Any]) -> list[Answer]:
    """Drive a batch to its end; what the store raises as ``LedgerError`` is raised inside the core."""
    try:
        question = next(core)
        while True:
            try:
                told = answer(question)
            except errors.LedgerError as error:
                question = core.throw(error)
            else:
                question = core.send(told)
    except StopIteration as end:
        return end.value


def _in_halves(batch: Sequence[Prepared], memory: Memory) -> Writing:
    middle = len(batch) // 2
    first = yield from write(batch[:middle], memory)
    second = yield from write(batch[middle:], memory)
    return first + second


def _attempt(batch: Sequence[Prepared], memory: Memory) -> Writing:
    read: UnderLock = yield _question(batch, memory)
    if refusal := _clock_refusal(read):
        yield Rollback()
        return [Answer(refused(refusal, read.clock, item.request.subject_id)) for item in batch]
    unmoved = read.head.hash == memory.head_hash
    memory.see(read.head.hash)
    memory.holds.update(read.holds)
    accounts: dict[UUID, Account] = {}
    for account_id in dict.fromkeys(account_id for item in batch for account_id in item.accounts):
        stored = read.accounts.get(account_id)
        remembered = memory.get(account_id) if stored is not None or unmoved else None
        accounts[account_id] = yield from load(account_id, stored, remembered, memory)
    now = max(read.clock, read.head.recorded_at)
    rows = Rows(memory.holds)
    more = wanted(batch, accounts, memory.holds, now)
    found: More = More() if more.empty else (yield more)
    rows.ended.update(found.grants)
    work = Batch(read, Known(now, rows, Budgets(found.budgets, dict(found.usage)), accounts), memory.unreadable)
    answers = [work.handle(item) for item in batch]
    if work.sealing:
        work.seal((yield ReadRefusals(work.refusing, now.date(), SEALS)))
        answers = [work.told(item, answer) for item, answer in zip(batch, answers, strict=True)]
    append: Append = work.finish()
    yield Rollback() if append.empty else append
    memory.keep(accounts, append.holds, append.head.hash)
    memory.drop_resolved(read.holds)
    memory.faults.extend(work.faults)
    return answers


def _question(batch: Sequence[Prepared], memory: Memory) -> ReadUnderLock:
    streams: dict[UUID, None] = {}
    for item in batch:
        for companion in (*item.request.on_accept, *item.request.on_refuse):
            streams[companion.stream_id] = None
    return ReadUnderLock(
        keys=[item.key_hash for item in batch],
        accounts={account_id: memory.known(account_id) for item in batch for account_id in item.accounts},
        holds={hold_id: hold_id in memory.holds for item in batch for hold_id in item.holds},
        streams=list(streams),
        head_hash=memory.head_hash,
    )


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


def _live(accounts: Mapping[UUID, Account], key: GrantKey) -> bool:
    account = accounts.get(key[0])
    return key[1] == OVERDRAFT or (account is not None and account.grant(key[1]) is not None)


def _clock_refusal(read: UnderLock) -> errors.ClockSkew | None:
    skew = abs(read.clock - read.own_clock)
    ahead = read.head.recorded_at - read.clock
    if skew > timedelta(seconds=limits.CLOCK_SKEW_MAX_S) or ahead > timedelta(seconds=limits.HEAD_AHEAD_MAX_S):
        return errors.ClockSkew(skew_ms=max(skew, ahead) // timedelta(milliseconds=1))
    return None


def _fault(item: Prepared, memory: Memory) -> Writing:
    """Answer a request that cannot be done: nothing of it is written."""
    read: UnderLock = yield _question([item], memory)
    yield Rollback()
    return [Answer(refused(errors.InternalError(), read.clock, item.request.subject_id))]
