"""The ledger in memory: the same writer over dictionaries. For tests, the simulator and small tools."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from threading import Lock
from typing import Any, Literal
from uuid import UUID

import msgspec

from ledger import errors, limits
from ledger.as_of import AsOf
from ledger.domain.account import STATE_FORMAT, Grant, Hold, decode_account
from ledger.domain.budgets import Budget
from ledger.domain.codec import RecordedEvent, is_of_commands
from ledger.domain.events import BudgetUse
from ledger.domain.evolve import GrantKey
from ledger.domain.verdicts import Answer
from ledger.ports import Balance, Clock, HoldView, Request
from ledger.store.past_memory import MemoryPast
from ledger.views import balance_view, hold_view
from ledger.writer.chain import GENESIS
from ledger.writer.core import run, write
from ledger.writer.loading import replay
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import (
    AccountRow,
    Append,
    Head,
    Known,
    More,
    ReadAccountStream,
    ReadAhead,
    ReadMore,
    ReadRefusals,
    ReadUnderLock,
    Reconnect,
    Refusals,
    Rollback,
    SnapshotRow,
    StoredAccount,
    StoredVerdict,
    StreamHead,
    UnderLock,
    WriterRequest,
)

Moment = Literal["before", "after"]
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class MemoryDatabase:
    """Tables of the ledger as dictionaries; answers the writer's requests. ``fail`` may raise before each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.events: list[RecordedEvent] = []
        self.streams: dict[UUID, list[RecordedEvent]] = {}
        self.verdicts: dict[bytes, StoredVerdict] = {}
        self.accounts: dict[UUID, AccountRow] = {}
        self.holds: dict[UUID, Hold] = {}
        self.traces: dict[int, str] = {}
        self.grants: dict[GrantKey, Grant] = {}
        self.snapshots: dict[tuple[UUID, int], SnapshotRow] = {}
        self.budgets: dict[UUID, Budget] = {}
        self.usage: dict[BudgetUse, int] = {}
        self.refusals: dict[tuple[UUID, date], int] = {}
        self.head = Head(0, GENESIS, _BEGINNING)
        self.fail: Callable[[WriterRequest, Moment], None] = lambda _request, _moment: None

    def answer(self, request: WriterRequest) -> Any:
        """Answer one request. ``fail`` is called before and after, and may raise (a lost acknowledgement)."""
        self.fail(request, "before")
        answer = self._answer(request)
        self.fail(request, "after")
        return answer

    def _answer(self, request: WriterRequest) -> Any:
        match request:
            case ReadUnderLock():
                moved = self.head.hash != request.head_hash
                known = {one: seen for one, seen in request.accounts.items() if moved or not seen.certain}
                return self._read(request, known, [one for one, sure in request.holds.items() if moved or not sure])
            case ReadAhead():
                return self._read(request, request.accounts, request.holds)
            case ReadMore():
                return self._read_more(request)
            case ReadRefusals():
                kept = {one: self.refusals.get((one, request.day), 0) for one in request.accounts}
                return Refusals({one: count for one, count in kept.items() if count}, self._stream_head(request.seals))
            case ReadAccountStream():
                stream = self.streams.get(request.account_id, [])
                return stream[request.after_version : request.after_version + request.limit]
            case Append():
                return self._append(request)
            case Rollback() | Reconnect():
                return None

    look = answer
    """The twin answers one question at a time, whoever asks."""

    def pack(self, append: Append) -> None:
        """Nothing needs to be made ready."""

    def _read(
        self, request: ReadUnderLock | ReadAhead, accounts: Mapping[UUID, Known], holds: Iterable[UUID]
    ) -> UnderLock:
        now = self._clock.now()
        return UnderLock(
            head=self.head,
            clock=now,
            own_clock=now,
            verdicts={key: self.verdicts[key] for key in request.keys if key in self.verdicts},
            accounts={
                one: _stored(self.accounts[one], known) for one, known in accounts.items() if one in self.accounts
            },
            holds={one: msgspec.structs.replace(self.holds[one]) for one in holds if one in self.holds},
            streams={stream_id: self._stream_head(stream_id) for stream_id in request.streams},
            waited_s=0.0,
        )

    def _read_more(self, request: ReadMore) -> More:
        return More(
            {key: msgspec.structs.replace(self.grants[key]) for key in request.grants if key in self.grants},
            [msgspec.structs.replace(self.budgets[one]) for one in request.budgets if one in self.budgets],
            {use: self.usage[use] for use in request.usage if use in self.usage},
        )

    def _stream_head(self, stream_id: UUID) -> StreamHead:
        events = self.streams.get(stream_id)
        if not events:
            return StreamHead(0, GENESIS)
        return StreamHead(events[-1].version, events[-1].hash, is_of_commands(events[-1].tag))

    def _append(self, batch: Append) -> float | None:
        if batch.decided_on is not None:
            self._check_decided(batch)
        self._check_new(batch)
        recorded_at = batch.head.recorded_at
        for row in batch.events:
            event = RecordedEvent(
                row.position,
                row.stream_id,
                row.version,
                row.tag,
                row.state,
                recorded_at,
                row.effective_at or recorded_at,
                row.key_hash,
                row.hash,
            )
            self.events.append(event)
            self.streams.setdefault(row.stream_id, []).append(event)
        self.verdicts.update({row.key_hash: StoredVerdict(row.digests, row.verdict) for row in batch.verdicts})
        self.accounts.update({row.account_id: row for row in batch.accounts})
        self.holds.update({hold.hold_id: msgspec.structs.replace(hold) for hold in batch.holds})
        self.traces.update(batch.traces)
        self.grants.update(
            {(account_id, grant.grant_id): msgspec.structs.replace(grant) for account_id, grant in batch.grants}
        )
        self.snapshots.update({(row.account_id, row.version): row for row in batch.snapshots})
        self.budgets.update({budget.budget_id: msgspec.structs.replace(budget) for budget in batch.budgets})
        self.usage.update(batch.usage)
        self.refusals.update({(account_id, day): count for account_id, day, count in batch.refusals})
        self.head = batch.head
        return None if batch.decided_on is None else 0.0

    def _check_new(self, batch: Append) -> None:
        """All or none: what is refused leaves nothing, as a transaction would."""
        keys = [row.key_hash for row in batch.verdicts]
        if len(set(keys)) < len(keys) or any(key in self.verdicts for key in keys):
            raise errors.BatchRefused("a key is taken")
        versions = {row.stream_id: len(self.streams.get(row.stream_id, ())) for row in batch.events}
        for position, row in enumerate(batch.events, len(self.events) + 1):
            versions[row.stream_id] += 1
            if (row.position, row.version) != (position, versions[row.stream_id]):
                raise errors.BatchRefused("a position or version is taken")

    def _check_decided(self, batch: Append) -> None:
        since_s = (self._clock.now() - batch.head.recorded_at).total_seconds()
        if batch.decided_on != self.head.hash or not -limits.HEAD_AHEAD_MAX_S <= since_s <= limits.AHEAD_MAX_S:
            raise errors.Overtaken("the log does not end where the batch was decided")
        if any(key in self.verdicts for key in batch.absent_keys) or any(
            one in self.holds for one in batch.absent_holds
        ):
            raise errors.Overtaken("what should be absent is there")


def _stored(row: AccountRow, known: Known) -> StoredAccount:
    current = known[:2] == (row.version, row.hash)
    return StoredAccount(row.version, row.hash, row.format, None if current else row.state)


class MemoryLedger(AsOf):
    """``ledger.ports.Ledger`` in memory; safe from many threads, one batch a request."""

    def __init__(self, clock: Clock, *, secret: bytes = b"twin") -> None:
        self.database = MemoryDatabase(clock)
        super().__init__(self._past)
        self._clock = clock
        self._secret = secret
        self._memory = Memory()
        self._lock = Lock()

    @contextmanager
    def _past(self) -> Generator[MemoryPast]:
        with self._lock:
            yield MemoryPast(self.database, self._clock)

    def submit(self, request: Request, *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self.submit_many([request], timeout_s=timeout_s)[0]

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``LedgerWriter``; the whole sequence is one batch."""
        assert timeout_s > 0
        batch = [prepare(request, self._secret) for request in requests]
        with self._lock:
            return run(write(batch, self._memory), self.database.answer)

    def balance(self, account_id: UUID) -> Balance | None:
        """See ``LedgerReader``."""
        with self._lock:
            row = self.database.accounts.get(account_id)
            if row is None:
                return None
            readable = row.format == STATE_FORMAT
            stream = self.database.streams[account_id]
            account = decode_account(row.state) if readable else replay(account_id, stream)[0]
            head = self.database.head
            at = max(self._clock.now(), head.recorded_at)
            return balance_view(account, log_position=head.position, at=at)

    def open_holds(self, account_id: UUID, *, limit: int) -> list[HoldView]:
        """See ``LedgerReader``."""
        with self._lock:
            holds = [hold for hold in self.database.holds.values() if hold.account_id == account_id]
        found = [hold for hold in holds if hold.state == "open"]
        found.sort(key=lambda hold: hold.opened_position, reverse=True)
        return [hold_view(hold) for hold in found[:limit]]

    def hold(self, hold_id: UUID) -> HoldView | None:
        """See ``LedgerReader``."""
        with self._lock:
            found = self.database.holds.get(hold_id)
        return hold_view(found) if found else None

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        with self._lock:
            return self.database.streams.get(stream_id, [])[after_version : after_version + limit]

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        with self._lock:
            return self.database.events[after : after + limit]

    def head(self) -> int:
        """See ``LedgerReader``."""
        with self._lock:
            return self.database.head.position
