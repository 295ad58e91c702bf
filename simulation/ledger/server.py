"""The database of several writers: tables as in the twin, one append lock, connections that break."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from ledger.errors import ConnectionLost
from ledger.store.memory import MemoryLedger
from ledger.writer.requests import Append, ReadUnderLock, Reconnect, UnderLock, WriterRequest
from simulation.clocks import SimulatedClock
from simulation.ledger.writers import Writer

LOCK_TIMEOUT_S = 5.0
IDLE_TIMEOUT_S = 2.0
FOREIGN, FOREIGN_STATE = 0, b"another format"
"""A format of state that no release reads, and such a state."""


class Waiting(Exception):
    """The append lock is another's."""


class Server:
    """Answers the questions of numbered writers; ``owner`` has the append lock."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.ledger = MemoryLedger(clock)
        self.database = self.ledger.database
        self.owner: Writer | None = None
        self._idle_since = 0.0

    def answer(self, writer: Writer, asked: WriterRequest) -> Any:
        """Answer a question.

        :raises Waiting: not yet.
        :raises ConnectionLost: the lock was not to be had in time, or the transaction lay idle for too long.
        """
        now_s = self.clock.monotonic_s()
        if isinstance(asked, Reconnect):
            self.leave(writer)
            return None
        if isinstance(asked, ReadUnderLock):
            self._lock(writer, now_s - writer.waits_since)
            read = self._ask(writer, asked)
            self._idle_since = now_s
            return replace(read, own_clock=writer.clock.now(), waited_s=now_s - writer.waits_since)
        if writer.read is not None and (self.owner is not writer or now_s - self._idle_since > IDLE_TIMEOUT_S):
            self.leave(writer)
            raise ConnectionLost("the transaction lay idle for too long")
        self._idle_since = now_s
        return self._ask(writer, asked)

    def look(self, writer: Writer, asked: WriterRequest) -> Any:
        """Answer a question of a batch that is decided ahead."""
        told = self._look(writer, asked)
        return replace(told, own_clock=writer.clock.now()) if isinstance(told, UnderLock) else told

    def fly(self, writer: Writer, append: Append, waited_s: float) -> None:
        """Append what was decided ahead.

        :raises Waiting: not yet.
        :raises ConnectionLost: the lock was not to be had in time.
        :raises Overtaken: somebody else was faster, or it took too long.
        """
        self._lock(writer, waited_s)
        try:
            self._ask(writer, append)
        finally:
            self.leave(writer)

    def _look(self, writer: Writer, asked: WriterRequest) -> Any:
        """The same as ``_ask``, beside an open transaction."""
        del writer
        return self.database.look(asked)

    def _ask(self, writer: Writer, asked: WriterRequest) -> Any:
        """Let a question take effect; ``writer`` is for whoever has a connection for each."""
        del writer
        return self.database.answer(asked)

    def idle(self) -> bool:
        """Whether the lock's owner has let it lie for so long that the database ends its transaction."""
        return self.owner is not None and self.clock.monotonic_s() - self._idle_since > IDLE_TIMEOUT_S

    def make_foreign(self, account_id: UUID) -> None:
        """Let an account's state be what this release cannot read."""
        row = self.database.accounts.get(account_id)
        if row is not None:
            self.database.accounts[account_id] = row._replace(format=FOREIGN, state=FOREIGN_STATE)

    def crowd(self, account_id: UUID, day: date, kept: int) -> None:
        """Let so many refusals have been kept for an account on a day."""
        self.database.refusals[account_id, day] = kept

    def leave(self, writer: Writer) -> None:
        """A connection ends, or its transaction."""
        if self.owner is writer:
            self.owner = None

    def _lock(self, writer: Writer, waited_s: float) -> None:
        if self.owner is not None and self.owner is not writer:
            if waited_s > LOCK_TIMEOUT_S:
                raise ConnectionLost("the lock was not to be had in time")
            raise Waiting
        self.owner = writer
