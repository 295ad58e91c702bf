"""The writer, sans I/O: a batch of requests in, an answer for each out, whatever the database does in between.

One transaction a batch: lock, read back, decide in memory, append, commit, and only then answer. A batch that the
database refuses for its content is run again in halves until the culprit stands alone. After a lost acknowledgement
the same batch runs again: its keys, read under the lock, tell what had taken effect. One whose append ends the
connection each time is done one by one, so that a request that cannot be written holds up nobody else for long.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from ledger import errors, limits
from ledger.domain.verdicts import Answer, refused
from ledger.writer.batch import replay
from ledger.writer.deciding import clock_refusal, decide_batch, keep, streams_of
from ledger.writer.loading import ForeignState, rebuild
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared
from ledger.writer.requests import ReadUnderLock, Reconnect, Rollback, UnderLock, WriterRequest

Writing: TypeAlias = Generator[WriterRequest, Any, list[Answer]]


class _AppendLost(errors.ConnectionLost):
    """The connection ended over the append: nobody knows whether it took effect."""


def write(batch: Sequence[Prepared], memory: Memory) -> Writing:
    """Answer a batch; answers in the order of the requests."""
    tries, lost, poisoned = 0, 0, False
    foreign: UUID | None = None
    while True:
        try:
            if foreign is not None:
                account_id, foreign = foreign, None
                yield Rollback()
                yield from rebuild(account_id, memory)
            return (yield from _fault(batch[0], memory) if poisoned else _attempt(batch, memory))
        except errors.ConnectionLost as error:
            memory.forget()
            yield Reconnect(tries)
            tries += 1
            lost += isinstance(error, _AppendLost)
            if lost >= limits.APPENDS_LOST_MAX and len(batch) > 1:
                return (yield from _one_by_one(batch, memory))
            if lost >= limits.APPENDS_LOST_MAX and not poisoned:
                memory.faults.append(error)
                poisoned = True
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


def _one_by_one(batch: Sequence[Prepared], memory: Memory) -> Writing:
    answers: list[Answer] = []
    for item in batch:
        answers += yield from write([item], memory)
    return answers


def _attempt(batch: Sequence[Prepared], memory: Memory) -> Writing:
    read: UnderLock = yield _question(batch, memory)
    if refusal := clock_refusal(read):
        yield Rollback()
        return [Answer(refused(refusal, read.clock, item.request.subject_id)) for item in batch]
    unmoved = memory.see(read.head)
    decided = yield from decide_batch(batch, read, memory, unmoved=unmoved)
    try:
        yield Rollback() if decided.append.empty else decided.append
    except errors.ConnectionLost as error:
        raise _AppendLost(str(error)) from error
    keep(decided, read, memory)
    return decided.answers


def _question(batch: Sequence[Prepared], memory: Memory) -> ReadUnderLock:
    return ReadUnderLock(
        keys=[item.key_hash for item in batch],
        accounts={account_id: memory.known(account_id) for item in batch for account_id in item.accounts},
        holds={hold_id: hold_id in memory.holds for item in batch for hold_id in item.holds},
        streams=streams_of(batch),
        head_hash=memory.head_hash,
    )


def _fault(item: Prepared, memory: Memory) -> Writing:
    """Answer a request that cannot be done: nothing of it is written, unless only the acknowledgement was lost."""
    read: UnderLock = yield _question([item], memory)
    yield Rollback()
    if (seen := read.verdicts.get(item.key_hash)) is not None and not item.request.dry_run:
        return [replay(item, seen, read.clock)]
    return [Answer(refused(errors.InternalError(), read.clock, item.request.subject_id))]
