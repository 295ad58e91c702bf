"""The writer, sans I/O: a batch of requests in, an answer for each out, whatever the database does in between.

One transaction a batch: lock, read back, decide in memory, append, commit, and only then answer. A batch that the
database refuses for its content is run again in halves until the culprit stands alone. After a lost acknowledgement
the same batch runs again: its keys, read under the lock, tell what had taken effect.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import UUID

from ledger import errors, limits
from ledger.domain.account import STATE_FORMAT, Account, decode_account
from ledger.domain.codec import RecordedEvent, account_event
from ledger.domain.evolve import OpenHolds, evolve
from ledger.domain.verdicts import Answer, refused
from ledger.writer.batch import Batch
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared
from ledger.writer.requests import (
    Append,
    ReadAccountStream,
    ReadUnderLock,
    Reconnect,
    Rollback,
    StoredAccount,
    UnderLock,
    WriterRequest,
)

Writing: TypeAlias = Generator[WriterRequest, Any, list[Answer]]
_NIL = UUID(int=0)


def write(batch: Sequence[Prepared], memory: Memory) -> Writing:
    """Answer a batch; answers in the order of the requests."""
    tries, poisoned = 0, False
    while True:
        try:
            return (yield from _fault(batch[0], memory) if poisoned else _attempt(batch, memory))
        except errors.ConnectionLost:
            memory.forget()
            yield Reconnect(tries)
            tries += 1
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
    accounts: dict[UUID, Account] = {}
    for account_id in {item.account_id for item in batch if item.account_id is not None}:
        stored = read.accounts.get(account_id)
        remembered = memory.get(account_id) if stored is not None or unmoved else None
        accounts[account_id] = yield from _load(account_id, stored, remembered)
    work = Batch(read, accounts, {**memory.holds, **read.holds})
    answers = [work.handle(item) for item in batch]
    append: Append = work.finish()
    yield Rollback() if append.empty else append
    memory.keep(accounts, append.holds, append.head.hash)
    memory.faults.extend(work.faults)
    return answers


def _question(batch: Sequence[Prepared], memory: Memory) -> ReadUnderLock:
    streams: dict[UUID, None] = {}
    for item in batch:
        for companion in (*item.request.on_accept, *item.request.on_refuse):
            streams[companion.stream_id] = None
    return ReadUnderLock(
        keys=[item.key_hash for item in batch],
        accounts={item.account_id: memory.known(item.account_id) for item in batch if item.account_id is not None},
        holds={item.hold_id: item.hold_id in memory.holds for item in batch if item.hold_id is not None},
        streams=list(streams),
        head_hash=memory.head_hash,
    )


def _clock_refusal(read: UnderLock) -> errors.ClockSkew | None:
    skew = abs(read.clock - read.own_clock)
    ahead = read.head.recorded_at - read.clock
    if skew > timedelta(seconds=limits.CLOCK_SKEW_MAX_S) or ahead > timedelta(seconds=limits.HEAD_AHEAD_MAX_S):
        return errors.ClockSkew(skew_ms=max(skew, ahead) // timedelta(milliseconds=1))
    return None


def _load(
    account_id: UUID, stored: StoredAccount | None, remembered: Account | None
) -> Generator[WriterRequest, Any, Account]:
    if stored is None:
        return remembered or Account(account_id=account_id, organisation_id=_NIL)
    if stored.state is None:
        assert remembered is not None and remembered.version == stored.version
        return remembered
    if stored.format == STATE_FORMAT:
        account = decode_account(stored.state)
        assert (account.version, account.hash) == (stored.version, stored.hash), "state and its row disagree"
        return account
    events: list[RecordedEvent] = yield ReadAccountStream(account_id)
    return replay(account_id, events)[0]


def replay(account_id: UUID, events: Sequence[RecordedEvent]) -> tuple[Account, OpenHolds]:
    """Account and all its holds, from the events of its stream alone."""
    account = Account(account_id=account_id, organisation_id=_NIL)
    holds: OpenHolds = {}
    for event in events:
        evolve(account, holds, account_event(event.state), event.recorded_at, event.position)
        account.hash = event.hash
        assert account.version == event.version, f"stream {account_id} has a gap at {event.version}"
    account.check()
    return account, holds


def _fault(item: Prepared, memory: Memory) -> Writing:
    """Answer a request that cannot be done: nothing of it is written."""
    read: UnderLock = yield _question([item], memory)
    yield Rollback()
    return [Answer(refused(errors.InternalError(), read.clock, item.request.subject_id))]
