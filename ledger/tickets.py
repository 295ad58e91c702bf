"""Requests on their way to the writer, and where their callers wait: on a thread, an event loop or another process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Protocol

from ledger.domain.verdicts import Answer
from ledger.errors import LedgerError
from ledger.writer.prepare import Prepared

AnyFuture = Future[None] | asyncio.Future[None]


class Home(Protocol):
    """Where some callers wait. All that are told at once are told together: one wake-up."""

    def tell(self, tickets: Sequence[Ticket]) -> None:
        """These are settled. Must not raise."""
        ...


class Ticket:
    """Requests of one caller, queued together; taken in parts if the batch is full.

    Settled by ``answers``, or by an ``error``. Its parts may be settled in another order than they were taken: one
    whose acknowledgement was lost is answered after the one behind it. ``number`` is its home's own.
    """

    __slots__ = ("_parts", "_settled", "answers", "error", "future", "home", "items", "number", "taken")

    def __init__(
        self, items: Sequence[Prepared], home: Home, future: AnyFuture | None = None, *, number: int = 0
    ) -> None:
        self.items = items
        self.home = home
        self.future = future
        self.number = number
        self.taken = 0
        self.answers: list[Answer] = []
        self.error: LedgerError | None = None
        self._settled = 0
        self._parts: dict[int, Sequence[Answer]] | None = None

    @property
    def whole(self) -> bool:
        """Whether all of it is settled."""
        return self._settled == len(self.items)

    def settle(self, start: int, answers: Sequence[Answer]) -> None:
        """Take the answers of those of its requests that begin at a place."""
        self._settled += len(answers)
        if len(answers) == len(self.items):
            self.answers = list(answers)
            return
        if self._parts is None:
            self._parts = {}
        self._parts[start] = answers
        if self.whole:
            self.answers = [answer for place in sorted(self._parts) for answer in self._parts[place]]

    def fail(self, error: LedgerError, count: int) -> None:
        """Take an error for so many of its requests."""
        self._settled += count
        self.error = error

    def result(self) -> list[Answer]:
        """The answers.

        :raises LedgerError: the one that settled it instead.
        """
        if self.error is not None:
            raise self.error
        return self.answers


class Threads:
    """Home of callers that wait on threads."""

    def tell(self, tickets: Sequence[Ticket]) -> None:
        """See ``Home``."""
        for ticket in tickets:
            _settle(ticket)


class LoopHome:
    """Home of callers on one event loop, which is woken once for all of them."""

    __slots__ = ("loop",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LoopHome) and other.loop is self.loop

    def __hash__(self) -> int:
        return hash(self.loop)

    def tell(self, tickets: Sequence[Ticket]) -> None:
        """See ``Home``."""
        with suppress(RuntimeError):  # the loop was closed: its callers are gone
            self.loop.call_soon_threadsafe(_settle_all, tickets)


THREADS = Threads()


def tell(tickets: Iterable[Ticket]) -> None:
    """Wake the callers of settled tickets, each home once."""
    by_home: dict[Home, list[Ticket]] = {}
    for ticket in tickets:
        found = by_home.get(ticket.home)
        if found is None:
            by_home[ticket.home] = [ticket]
        else:
            found.append(ticket)
    for home, theirs in by_home.items():
        home.tell(theirs)


def _settle_all(tickets: Sequence[Ticket]) -> None:
    for ticket in tickets:
        _settle(ticket)


def _settle(ticket: Ticket) -> None:
    assert ticket.future is not None
    if not ticket.future.done():
        ticket.future.set_result(None)
