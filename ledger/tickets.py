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

    Settled by ``answers``, or by the first ``error``; ``settled`` counts how much of it is.
    ``number`` is its home's own.
    """

    __slots__ = ("answers", "error", "future", "home", "items", "number", "settled", "taken")

    def __init__(
        self, items: Sequence[Prepared], home: Home, future: AnyFuture | None = None, *, number: int = 0
    ) -> None:
        self.items = items
        self.home = home
        self.future = future
        self.number = number
        self.taken = 0
        self.settled = 0
        self.answers: list[Answer] = []
        self.error: LedgerError | None = None

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
