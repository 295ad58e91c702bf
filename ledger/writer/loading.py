"""An account's state for a batch: remembered, read, or rebuilt from its events.

State of another release is rebuilt outside the lock, page by page, and caught up under it. An account in which a
newer release has written what this one cannot read is refused, and no other.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain.account import STATE_FORMAT, Account, decode_account
from ledger.domain.codec import RecordedEvent, account_event
from ledger.domain.evolve import Rows, evolve, evolve_sums
from ledger.writer.memory import Memory
from ledger.writer.requests import ReadAccountStream, Rollback, StoredAccount, WriterRequest

PAGE = 1_000
_NIL = UUID(int=0)
Loading = Generator[WriterRequest, Any, Account]


class ForeignState(Exception):
    """A state of another format, which takes longer to rebuild than the lock may be held."""

    def __init__(self, account_id: UUID) -> None:
        super().__init__(str(account_id))
        self.account_id = account_id


def load(account_id: UUID, stored: StoredAccount | None, remembered: Account | None, memory: Memory) -> Loading:
    """The account as of the head, where what is remembered does not tell it.

    :raises ForeignState: it must be rebuilt first.
    """
    if stored is None:
        return empty(account_id)
    if stored.state is None:
        assert remembered is not None and remembered.version == stored.version
        return remembered
    if account_id in memory.unreadable:
        return empty(account_id)
    if stored.format == STATE_FORMAT:
        account = decode_account(stored.state)
        assert (account.version, account.hash) == (stored.version, stored.hash), "state and its row disagree"
        return account
    account = memory.get(account_id)
    if account is None:
        raise ForeignState(account_id)
    try:
        yield from _catch_up(account, memory, under_lock=True)
    except KeyError:  # a grant came back that had ended before: only a replay from the first event knows it
        memory.drop(account_id)
        raise ForeignState(account_id) from None
    assert account_id in memory.unreadable or account.version == stored.version, "the stream ends elsewhere"
    return account


def rebuild(account_id: UUID, memory: Memory) -> Generator[WriterRequest, Any, None]:
    """Replay an account outside the lock and remember it."""
    account = empty(account_id)
    yield from _catch_up(account, memory, under_lock=False)
    memory.put(account)


def _catch_up(account: Account, memory: Memory, *, under_lock: bool) -> Generator[WriterRequest, Any, None]:
    rows = Rows()
    while True:
        page: Sequence[RecordedEvent] = yield ReadAccountStream(account.account_id, account.version, PAGE)
        if not under_lock:
            yield Rollback()
        try:
            apply(account, rows, page)
        except msgspec.ValidationError:
            memory.unreadable.add(account.account_id)
            return
        if len(page) < PAGE:
            return


def apply(account: Account, rows: Rows, events: Sequence[RecordedEvent]) -> None:
    """Apply events to an account alone.

    :raises msgspec.ValidationError: one that this release does not know.
    """
    for event in events:
        evolve_sums(account, rows, account_event(event.state))
        account.hash = event.hash
        assert account.version == event.version, f"stream {account.account_id} has a gap at {event.version}"


def replay(account_id: UUID, events: Sequence[RecordedEvent]) -> tuple[Account, Rows]:
    """Account, all its holds and its ended grants, from the events of its stream alone."""
    account, rows = empty(account_id), Rows()
    for event in events:
        evolve(account, rows, account_event(event.state), event.recorded_at, event.position)
        account.hash = event.hash
        assert account.version == event.version, f"stream {account_id} has a gap at {event.version}"
    account.check()
    return account, rows


def empty(account_id: UUID) -> Account:
    """An account that was not opened yet."""
    return Account(account_id=account_id, organisation_id=_NIL)
