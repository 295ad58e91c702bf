"""Replays the log: positions, versions, hashes, and the state that the events say. One object per account and hold."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.checks.finding import Finding
from ledger.domain.account import Account, encode_account
from ledger.domain.budgets import Budget, Budgets, budget_of
from ledger.domain.codec import NewEvent, RecordedEvent, account_event, is_account_event, tag_of
from ledger.domain.events import BudgetSet
from ledger.domain.evolve import Rows, evolve
from ledger.limits import SNAPSHOT_EVERY
from ledger.writer.chain import GENESIS, Link

_NIL = UUID(int=0)
_BUDGET_SET = tag_of(BudgetSet)
_budget_decoder = msgspec.json.Decoder(BudgetSet)


class Stream:
    """Where a stream ends, and where that is in the log; its account, if it is one's."""

    __slots__ = ("account", "hash", "position", "version")

    def __init__(self) -> None:
        self.version = 0
        self.hash: bytes = GENESIS
        self.position = 0
        self.account: Account | None = None


class Snapshot(NamedTuple):
    """An account's state at one of the versions that are kept."""

    account_id: UUID
    version: int
    position: int
    recorded_at: datetime
    state: bytes


class Replay:
    """Ends of all streams and state of all accounts, as the events say."""

    def __init__(self) -> None:
        self.position = 0
        self.log_hash: bytes = GENESIS
        self.streams: dict[int, Stream] = {}
        """By the number that a stream's id is: an id itself takes ten times as long to look up."""
        self.accounts: dict[UUID, Account] = {}
        self.rows = Rows()
        self.budgets = Budgets()
        self.snapshots: list[Snapshot] = []
        self.touched: dict[int, Stream] = {}
        self.stream = Stream()
        self._links = Links()

    def take(self, event: RecordedEvent) -> Finding | None:
        """Take the next event, of ``stream``; what is wrong with it."""
        position, _, version, tag, *_, digest = event
        stream = self.streams.get(event.stream_id.int)
        if stream is None:
            stream = self.streams[event.stream_id.int] = Stream()
        if position != self.position + 1:
            return Finding(self.position + 1, f"missing: the log goes on at {position}")
        if version != stream.version + 1:
            return Finding(position, f"stream {event.stream_id} jumps from {stream.version} to {version}")
        if digest != self._links.hash_of(event, stream.hash, self.log_hash):
            return Finding(position, "its hash does not fit what is stored")
        self.position = stream.position = position
        self.log_hash = stream.hash = digest
        stream.version, self.stream = version, stream
        if is_account_event(tag):
            return self._evolve(event, stream)
        return self._set_budget(event) if tag == _BUDGET_SET else None

    def check_touched(self) -> Finding | None:
        """Check the sums of the accounts that were touched since the last call."""
        touched, self.touched = self.touched, {}
        for stream in touched.values():
            assert stream.account is not None
            try:
                stream.account.check()
            except AssertionError as error:
                return Finding(stream.position, f"account {stream.account.account_id}: {error}")
        return None

    def _evolve(self, event: RecordedEvent, stream: Stream) -> Finding | None:
        account = stream.account
        if account is None:
            account = stream.account = Account(account_id=event.stream_id, organisation_id=_NIL)
            self.accounts[event.stream_id] = account
        try:
            said = account_event(event.state)
            hold = evolve(account, self.rows, said, event.recorded_at, event.position)
            if hold is not None and hold.budgets:
                self.budgets.apply(said, hold.budgets)
        except (AssertionError, KeyError, msgspec.ValidationError) as error:
            return Finding(event.position, f"account {event.stream_id}: {error}")
        account.hash = event.hash
        self.touched[event.stream_id.int] = stream
        if account.version % SNAPSHOT_EVERY == 0:
            state = encode_account(account)
            one = Snapshot(account.account_id, account.version, event.position, event.recorded_at, state)
            self.snapshots.append(one)
        return None

    def _set_budget(self, event: RecordedEvent) -> Finding | None:
        try:
            budget: Budget = budget_of(_budget_decoder.decode(event.state), event.version, event.hash)
        except msgspec.ValidationError as error:
            return Finding(event.position, f"budget {event.stream_id}: {error}")
        self.budgets.known[budget.budget_id] = budget
        return None


class Links:
    """Hashes that events must have; events of one batch share their times, which are turned into numbers once."""

    __slots__ = ("_effective_at", "_link", "_recorded_at")

    def __init__(self) -> None:
        self._recorded_at: datetime = datetime.min.replace(tzinfo=UTC)
        self._effective_at: datetime = self._recorded_at
        self._link = Link(self._recorded_at, self._effective_at)

    def hash_of(self, event: RecordedEvent, stream_hash: bytes, log_hash: bytes) -> bytes:
        """See ``ledger.writer.chain.expected_hash``."""
        position, stream_id, version, tag, state, recorded_at, effective_at, key_hash, _ = event
        if recorded_at != self._recorded_at or effective_at != self._effective_at:
            self._recorded_at, self._effective_at = recorded_at, effective_at
            self._link = Link(recorded_at, effective_at)
        return self._link.hash(
            NewEvent(tag, state),
            position=position,
            stream_id=stream_id,
            version=version,
            key_hash=key_hash,
            stream_hash=stream_hash,
            log_hash=log_hash,
        )
