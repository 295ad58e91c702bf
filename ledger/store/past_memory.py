"""The past in memory, by looking at everything: slow, and plain enough to be believed."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Protocol
from uuid import UUID

from ledger.as_of import Late, Point
from ledger.domain.account import STATE_FORMAT, Grant, Hold
from ledger.domain.codec import RecordedEvent, account_event
from ledger.domain.evolve import GrantKey
from ledger.effective import posted_change
from ledger.ports import Clock
from ledger.writer.requests import AccountRow, Head, SnapshotRow


class Tables(Protocol):
    """What is looked at of ``ledger.store.memory.MemoryDatabase``."""

    events: list[RecordedEvent]
    streams: dict[UUID, list[RecordedEvent]]
    accounts: dict[UUID, AccountRow]
    holds: dict[UUID, Hold]
    grants: dict[GrantKey, Grant]
    snapshots: dict[tuple[UUID, int], SnapshotRow]
    head: Head


class MemoryPast:
    """``ledger.as_of.Past`` over dictionaries."""

    def __init__(self, database: Tables, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def head(self) -> Point:
        """See ``Past``."""
        head = self._database.head
        return Point(head.position, max(self._clock.now(), head.recorded_at))

    def event(self, position: int) -> RecordedEvent | None:
        """See ``Past``."""
        return next(iter(self._database.events[position - 1 : position]), None)

    def position_at(self, at: datetime, until: int) -> int:
        """See ``Past``."""
        return sum(event.recorded_at <= at for event in self._database.events[:until])

    def snapshot(self, account_id: UUID, position: int) -> bytes | None:
        """See ``Past``."""
        rows = (row for (one, _), row in self._database.snapshots.items() if one == account_id)
        fit = [row for row in rows if row.position <= position and row.format == STATE_FORMAT]
        return max(fit, key=lambda row: row.position).state if fit else None

    def page(self, account_id: UUID, after_version: int, until: int, limit: int) -> list[RecordedEvent]:
        """See ``Past``."""
        stream = self._database.streams.get(account_id, [])[after_version : after_version + limit]
        return [event for event in stream if event.position <= until]

    def page_back(self, account_id: UUID, version: int, limit: int) -> list[RecordedEvent]:
        """See ``Past``."""
        return self._database.streams[account_id][:version][: -limit - 1 : -1]

    def ended_grant(self, account_id: UUID, grant_id: UUID) -> Grant | None:
        """See ``Past``."""
        return self._database.grants.get((account_id, grant_id))

    def end_moves(self, account_id: UUID, grant_id: UUID, after: int, until: int) -> list[RecordedEvent]:
        """See ``Past``: all events; whoever asks tells which name the grant."""
        del grant_id
        return list(islice(reversed(self._database.streams[account_id][:until]), until - after))

    def hold_row(self, hold_id: UUID) -> Hold | None:
        """See ``Past``."""
        return self._database.holds.get(hold_id)

    def late(self, account_id: UUID, at: datetime) -> Late | None:
        """See ``Past``."""
        stream = self._database.streams.get(account_id, [])
        if account_id not in self._database.accounts:
            return None
        changes = (
            posted_change(account_event(event.state))
            for event in stream
            if event.effective_at <= at < event.recorded_at
        )
        return Late(self._database.head.position, sum(changes))
