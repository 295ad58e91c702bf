"""A batch decided ahead: on what the batches before it will leave, while those are still being appended.

Nothing is believed of it. What those before write is laid over what the tables say; the append takes the lock and
writes only if the log ends where it was decided, within a second. Where no key has come twice for a while, the tables
are not even asked: keys and the holds to be opened are taken to be new, and the append looks, under the lock, whether
they are. Whatever else happens, the batch is forgotten and ``ledger.writer.core.write`` does it with care, once those
before it have ended: it looks its keys up under the lock.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from ledger import limits
from ledger.domain.commands import DebitCredits, HoldCredits
from ledger.domain.verdicts import Answer
from ledger.writer.deciding import Decided, clock_refusal, decide_batch, keep, streams_of
from ledger.writer.loading import ForeignState
from ledger.writer.memory import Memory
from ledger.writer.overlay import overlaid
from ledger.writer.prepare import Prepared
from ledger.writer.requests import CLOCK_ALONE, Append, ReadAccountStream, ReadAhead, UnderLock, WriterRequest

FLIGHTS_MAX = 2
"""Batches on their way: one that is being appended, one behind it, so that neither thread waits for the other."""
_OPENING = (HoldCredits, DebitCredits)
T = TypeVar("T")
Asking = Generator[WriterRequest, Any, T]


class WithCare(Exception):
    """A batch cannot be decided ahead. Nothing that is remembered has changed."""


def may_go_ahead(memory: Memory, after: int = limits.AHEAD_AFTER) -> bool:
    """Whether it is worth trying: nobody else has written during the last so many batches under the lock."""
    return memory.undisturbed >= after


def write_ahead(
    batch: Sequence[Prepared], memory: Memory, before: Sequence[Append], trust_after: int = limits.AHEAD_AFTER
) -> Asking[list[Answer]]:
    """Answer a batch. Its one ``Append`` is to be done when those ``before`` are committed, on any thread.

    ``before`` are the batches on their way, the oldest first. Between two questions the memory is this batch's alone;
    after the ``Append`` was asked for it is not touched again, so that the next batch may be decided on it.
    ``trust_after``: so many batches without a key that was there already, and keys are taken to be new.

    :raises WithCare: it must be done under the lock.
    :raises Exception: it was not written, or nobody knows: forget the memory and do it under the lock.
    """
    if memory.head is None:
        raise WithCare
    question = _question(batch, memory)
    trusting = memory.unrepeated >= trust_after and _can_trust(batch, question)
    read: UnderLock = overlaid(question, (yield CLOCK_ALONE if trusting else question), before)
    read = read.on(memory.head)
    if clock_refusal(read):
        raise WithCare
    try:
        decided = yield from _over(decide_batch(batch, read, memory, unmoved=True), before)
    except ForeignState as found:
        raise WithCare from found
    if decided.append.empty:
        raise WithCare
    if decided.faults:
        raise decided.faults[0]
    keep(decided, read, memory)
    memory.unrepeated = 0 if read.verdicts else memory.unrepeated + 1
    append = _as_it_is(decided, on=read.head.hash)
    if trusting:
        append.absent_keys = [key for key in question.keys if key not in read.verdicts]
        append.absent_holds = [hold_id for hold_id in question.holds if hold_id not in read.holds]
    yield append
    return decided.answers


def _question(batch: Sequence[Prepared], memory: Memory) -> ReadAhead:
    accounts = [account_id for item in batch for account_id in item.accounts if not memory.is_certain(account_id)]
    return ReadAhead(
        keys=[item.key_hash for item in batch],
        accounts={account_id: memory.known(account_id) for account_id in accounts},
        holds=[hold_id for item in batch for hold_id in item.holds if hold_id not in memory.holds],
        streams=streams_of(batch),
    )


def _can_trust(batch: Sequence[Prepared], question: ReadAhead) -> bool:
    """Whether nothing that a batch names needs to be read, but for keys and holds that should not be there."""
    if question.accounts or question.streams:
        return False
    opening = [item for item in batch if type(item.request.command) in _OPENING and not item.request.linked]
    opened = [hold_id for item in opening for hold_id in item.holds]
    return not question.holds or set(question.holds) <= set(opened)


def _over(asking: Asking[T], before: Sequence[Append]) -> Asking[T]:
    """Ask the same, and lay over every answer what those ``before`` write."""
    try:
        question = next(asking)
        while True:
            if isinstance(question, ReadAccountStream):
                asking.close()
                raise WithCare
            question = asking.send(overlaid(question, (yield question), before))
    except StopIteration as end:
        return end.value


def _as_it_is(decided: Decided, *, on: bytes) -> Append:
    """The append with holds of its own: the next batch changes those that are remembered."""
    append = decided.append
    append.decided_on = on
    append.holds = [replace(hold) for hold in append.holds]
    return append
