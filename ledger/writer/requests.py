"""What the writer asks of its store, and what it is told. Each request is one or two round trips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from ledger.domain.account import Grant, Hold
from ledger.domain.budgets import Budget
from ledger.domain.events import BudgetUse
from ledger.domain.evolve import GrantKey

_TICK = timedelta(microseconds=1)


class Head(NamedTuple):
    """Where the log ends."""

    position: int
    hash: bytes
    recorded_at: datetime

    def next_time(self, clock: datetime) -> datetime:
        """When a batch behind it is recorded: later than it, or the log at the time of the head would change again."""
        return max(clock, self.recorded_at + _TICK)


class StreamHead(NamedTuple):
    """Where a stream ends; version 0 and zero bytes for one that does not exist.

    ``by_commands``: an account's or a budget's, whose events come from commands alone.
    """

    version: int
    hash: bytes
    by_commands: bool = False


class Known(NamedTuple):
    """What a writer remembers of an account; ``certain`` if it is current whenever the head is the known one."""

    version: int
    hash: bytes
    certain: bool


class StoredVerdict(NamedTuple):
    """A key's row."""

    digests: bytes
    verdict: bytes


class StoredAccount(NamedTuple):
    """An account's row; ``state`` is None when what the writer remembers is current.

    A certain account has no row in the answer while the head has not moved.
    """

    version: int
    hash: bytes
    format: int
    state: bytes | None


@dataclass(frozen=True, slots=True)
class ReadUnderLock:
    """Begin, take the append lock, then read in statements of their own.

    One statement that locks and reads would see the state from before the wait. What is certain is read only when the
    head's hash is not ``head_hash``. ``holds`` says of each named hold whether it is certain.
    """

    keys: Sequence[bytes]
    accounts: Mapping[UUID, Known]
    holds: Mapping[UUID, bool]
    streams: Sequence[UUID]
    head_hash: bytes


@dataclass(frozen=True, slots=True)
class ReadAhead:
    """The same without the lock and without what is certain, for a batch that is decided ahead.

    What is told holds only if the head, under the lock, is the one that the batch was decided on. Where nothing is
    asked for but the clock, it may be the one that the database told last, carried on.
    """

    keys: Sequence[bytes]
    accounts: Mapping[UUID, Known]
    holds: Sequence[UUID]
    streams: Sequence[UUID]


CLOCK_ALONE = ReadAhead(keys=(), accounts={}, holds=(), streams=())
"""Nothing but the clock."""


@dataclass(frozen=True, slots=True)
class UnderLock:
    """The read-back. ``clock`` is the database's, read under the lock; ``own_clock`` the writer's host's.

    ``waited_s`` is how long the lock was waited for. ``ReadAhead`` is answered by the same, with a head that may move.
    """

    head: Head
    clock: datetime
    own_clock: datetime
    verdicts: Mapping[bytes, StoredVerdict]
    accounts: Mapping[UUID, StoredAccount]
    holds: Mapping[UUID, Hold]
    streams: Mapping[UUID, StreamHead]
    waited_s: float

    def on(self, head: Head) -> UnderLock:
        """The same, with another head."""
        return replace(self, head=head)


@dataclass(frozen=True, slots=True)
class ReadMore:
    """Rows that few batches need, read under the lock: ended grants, budgets and what is used of them."""

    grants: Sequence[GrantKey]
    budgets: Sequence[UUID]
    usage: Sequence[BudgetUse]

    @property
    def empty(self) -> bool:
        """Whether nothing is wanted."""
        return not (self.grants or self.budgets or self.usage)


@dataclass(frozen=True, slots=True)
class More:
    """The answer to ``ReadMore``: what there is of it."""

    grants: Mapping[GrantKey, Grant] = field(default_factory=dict[GrantKey, Grant])
    budgets: Sequence[Budget] = ()
    usage: Mapping[BudgetUse, int] = field(default_factory=dict[BudgetUse, int])


@dataclass(frozen=True, slots=True)
class ReadRefusals:
    """How many refusals were kept for accounts on a day, and where the stream of the seals ends; under the lock."""

    accounts: Sequence[UUID]
    day: date
    seals: UUID


@dataclass(frozen=True, slots=True)
class Refusals:
    """The answer to ``ReadRefusals``; an account without any is left out."""

    kept: Mapping[UUID, int]
    seals: StreamHead


@dataclass(frozen=True, slots=True)
class ReadAccountStream:
    """A page of an account's events, to rebuild a foreign state; answered by ``RecordedEvent``s in order."""

    account_id: UUID
    after_version: int
    limit: int


class EventRow(NamedTuple):
    """An event as appended; the time of recording stands in ``Append``, and is the effective one if none is given."""

    stream_id: UUID
    version: int
    tag: str
    state: bytes
    position: int
    key_hash: bytes | None
    hash: bytes
    effective_at: datetime | None = None


class VerdictRow(NamedTuple):
    """A key and its verdict as appended."""

    key_hash: bytes
    digests: bytes
    verdict: bytes
    position: int


class AccountRow(NamedTuple):
    """An account's state as written; ``opened`` if it has no row yet."""

    account_id: UUID
    organisation_id: UUID
    version: int
    hash: bytes
    format: int
    state: bytes
    next_due_at: datetime | None
    opened: bool


class SnapshotRow(NamedTuple):
    """An account's state at an earlier version, for questions about the past."""

    account_id: UUID
    version: int
    position: int
    recorded_at: datetime
    format: int
    state: bytes


@dataclass(slots=True)
class Append:
    """A whole batch, applied and committed in one transaction.

    ``after`` is the position it follows: a hold opened behind it is new. ``head`` is where the log ends with it.
    ``decided_on`` is the hash of the head that it was decided on without the lock, and None if the lock is held; with
    it, the answer is for how many seconds the lock was waited for. It was decided as if ``absent_keys`` and
    ``absent_holds`` had no rows.
    ``traces`` are positions with the trace that they belong to: beside the log, in no hash. ``grants`` have ended, by
    account; ``usage`` and ``refusals`` are sums as they are now, by window and by day. ``packed`` is the store's own.
    """

    head: Head
    after: int
    decided_on: bytes | None = None
    absent_keys: Sequence[bytes] = ()
    absent_holds: Sequence[UUID] = ()
    events: list[EventRow] = field(default_factory=list[EventRow])
    verdicts: list[VerdictRow] = field(default_factory=list[VerdictRow])
    accounts: list[AccountRow] = field(default_factory=list[AccountRow])
    holds: list[Hold] = field(default_factory=list[Hold])
    traces: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    grants: list[tuple[UUID, Grant]] = field(default_factory=list[tuple[UUID, Grant]])
    snapshots: list[SnapshotRow] = field(default_factory=list[SnapshotRow])
    budgets: list[Budget] = field(default_factory=list[Budget])
    usage: list[tuple[BudgetUse, int]] = field(default_factory=list[tuple[BudgetUse, int]])
    refusals: list[tuple[UUID, date, int]] = field(default_factory=list[tuple[UUID, date, int]])
    packed: tuple[Any, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.events or self.verdicts)


@dataclass(frozen=True, slots=True)
class Rollback:
    """Give up the open transaction."""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Get a fresh connection, after a pause when tries have failed before."""

    tries: int


WriterRequest = ReadUnderLock | ReadAhead | ReadMore | ReadRefusals | ReadAccountStream | Append | Rollback | Reconnect
