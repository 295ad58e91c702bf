"""Drives the writer on threads: a bounded queue in, answers out.

One thread takes batches and decides them; while nobody else writes, another appends those before meanwhile. A batch
that could not be decided ahead, or was overtaken, is done with care: under the lock, after all before it.

Callers wait for the commit of their batch, or until their deadline: what is still queued then is withdrawn, what was
taken is unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from threading import Condition, Thread
from typing import Any, NamedTuple, Protocol

from ledger import errors, limits
from ledger.domain.verdicts import Answer
from ledger.flights import Answered, Flight, Runway
from ledger.ports import Request
from ledger.tickets import THREADS, Home, LoopHome, Ticket, tell
from ledger.writer.ahead import FLIGHTS_MAX, WithCare, may_go_ahead, write_ahead
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared, prepare
from ledger.writer.requests import Append, Reconnect, WriterRequest

_log = logging.getLogger(__name__)
_FEW = 8
"""A batch so small, with nobody behind it, is appended on the thread that decided it: a lone caller waits for less."""


class Store(Protocol):
    """Answers the writer's requests; see ``ledger.store.connection.WriterStore``."""

    def answer(self, request: WriterRequest) -> Any:
        """Answer one request."""
        ...

    def look(self, request: WriterRequest) -> Any:
        """Answer one request of a batch that is decided ahead, while ``answer`` may be at work on another thread."""
        ...

    def pack(self, append: Append) -> None:
        """Make ready what ``answer`` will write of a batch that was decided ahead: without I/O."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


class Part(NamedTuple):
    """What a batch has of a ticket: ``items``, which begin at the ticket's place ``start``."""

    ticket: Ticket
    start: int
    items: Sequence[Prepared]


Taken = list[Part]
"""Whose a batch is."""


class Observer(Protocol):
    """Sees the writer at work, for spans and metrics. What it does itself must not fail."""

    def batch(self, batch: Sequence[Prepared]) -> AbstractContextManager[Answered | None]:
        """Wrap one batch, from the first question to the store until its commit or end, in one context.

        What the block is given is called with the batch's answers, if there are any. A batch that was overtaken has
        none, and is wrapped again when it is done with care.
        """
        ...

    def step(self, request: WriterRequest, answer: Callable[[WriterRequest], Any]) -> Any:
        """Wrap one question to the store: returns what ``answer`` returns, lets through what it raises."""
        ...


class Unobserved:
    """``Observer`` that sees nothing."""

    def batch(self, batch: Sequence[Prepared]) -> AbstractContextManager[Answered | None]:
        """See ``Observer``."""
        assert batch
        return nullcontext()

    def step(self, request: WriterRequest, answer: Callable[[WriterRequest], Any]) -> Any:
        """See ``Observer``."""
        return answer(request)


class WriterThread:
    """The queue and the thread behind ``LedgerWriter``. Close it to stop: what is queued then is not done."""

    def __init__(self, store: Store, secret: bytes, *, observer: Observer | None = None) -> None:
        self._store = store
        self._secret = secret
        self._observer: Observer = observer or Unobserved()
        self._memory = Memory()
        self._queue: deque[Ticket] = deque()
        self._queued = 0
        self._wake = Condition()
        self._closing = False
        self._flights: deque[Flight[Taken]] = deque()
        self._runway = Runway[Taken](self._land)
        self._thread = Thread(target=self._work, name="ledger-writer", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """How many requests wait for a batch."""
        return self._queued

    def submit(self, request: Request, *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> Answer:
        """See ``ledger.ports.LedgerWriter``."""
        return self.submit_many([request], timeout_s=timeout_s)[0]

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``ledger.ports.LedgerWriter``."""
        if not requests:
            return []
        future: Future[None] = Future()
        ticket = Ticket([prepare(request, self._secret) for request in requests], THREADS, future)
        self._enqueue(ticket)
        try:
            future.result(timeout_s)
        except TimeoutError:
            if self.withdraw(ticket):
                raise errors.NotDone("the deadline passed while the request was queued") from None
            raise errors.OutcomeUnknown("the deadline passed while the request was being written") from None
        return ticket.result()

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """The same for a caller on an event loop; the caller's own time-out cancels nothing that was taken."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        ticket = Ticket([prepare(request, self._secret) for request in requests], LoopHome(loop), future)
        self._enqueue(ticket)
        await future
        return ticket.result()

    @property
    def closing(self) -> bool:
        """Whether it takes nothing more."""
        return self._closing

    def enqueue(self, tickets: Sequence[Ticket]) -> int:
        """Queue tickets in order; how many of them there was room for. Their homes are told when they are settled."""
        with self._wake:
            if self._closing:
                return 0
            for count, ticket in enumerate(tickets):
                if self._queued + len(ticket.items) > limits.QUEUE_COMMANDS_MAX:
                    self._wake.notify()
                    return count
                self._queue.append(ticket)
                self._queued += len(ticket.items)
            self._wake.notify()
        return len(tickets)

    def withdraw(self, ticket: Ticket) -> bool:
        """Take a ticket out of the queue; False if any of it was taken already."""
        with self._wake:
            if ticket.taken or ticket not in self._queue:
                return False
            self._queue.remove(ticket)
            self._queued -= len(ticket.items)
        return True

    def forget(self, home: Home) -> None:
        """Take all tickets of a home out of the queue: nobody waits for them any more."""
        with self._wake:
            kept = [ticket for ticket in self._queue if ticket.taken or ticket.home is not home]
            dropped = sum(len(ticket.items) for ticket in self._queue) - sum(len(ticket.items) for ticket in kept)
            self._queue = deque(kept)
            self._queued -= dropped

    def close(self) -> None:
        """Finish the batch in hand, refuse what is queued, give up the connection."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout=limits.SUBMIT_TIMEOUT_S)
        self._store.close()

    def _enqueue(self, ticket: Ticket) -> None:
        if not self.enqueue([ticket]):
            raise errors.NotDone("the writer is stopping" if self._closing else "the writer's queue is full")

    def _work(self) -> None:
        while (taken := self._take()) or not self._closing:
            if taken:
                self._do(taken)
            else:
                self._wait_for_flights(FLIGHTS_MAX)
        self._wait_for_flights(0)
        self._runway.close()

    def _do(self, taken: Taken) -> None:
        """Do a batch: ahead if that can be, else with care when those before it have ended."""
        batch = _items(taken)
        self._wait_for_flights(FLIGHTS_MAX)
        flight = self._planned(taken, batch) if may_go_ahead(self._memory) else None
        landed = self._wait_for_flights(0 if flight is None else FLIGHTS_MAX - 1)
        if not landed or flight is None:
            if flight is not None:
                flight.drop()
            _settle(taken, self._write(batch))
        elif len(batch) <= _FEW and not self._queue and not self._flights:
            flight.land(self._answer, _settle)
            self._flights.append(flight)
            self._wait_for_flights(0)
        else:
            self._flights.append(flight)
            self._runway.take(flight)

    def _planned(self, taken: Taken, batch: Sequence[Prepared]) -> Flight[Taken] | None:
        before = [flight.append for flight in self._flights]
        flight = Flight(taken, write_ahead(batch, self._memory, before), self._observer.batch(batch))
        try:
            flight.plan(self._look, self._store.pack)
        except WithCare:
            return None
        except Exception as error:  # noqa: BLE001  whatever it was comes again with care, or is gone
            _log.info("a batch is not decided ahead: %r", error)
            self._memory.forget()
            return None
        return flight

    def _wait_for_flights(self, most: int) -> bool:
        """Wait until so many batches are on their way; False if any had to be done again, as then none is."""
        while self._flights and (self._flights[0].over or len(self._flights) > most):
            if not self._flights[0].wait():
                self._do_again()
                return False
            self._flights.popleft()
        return True

    def _do_again(self) -> None:
        """A batch has failed on its way: let all of them end, and do those that failed with care, in their order."""
        failed = [flight for flight in self._flights if not flight.wait()]
        self._flights.clear()
        self._memory.forget()
        for flight in failed:
            _settle(flight.cargo, self._write(_items(flight.cargo)))

    def _land(self, flight: Flight[Taken]) -> None:
        flight.land(self._answer, _settle)
        with self._wake:
            self._wake.notify()

    def _write(self, batch: Sequence[Prepared]) -> Sequence[Answer] | errors.LedgerError:
        try:
            with self._observer.batch(batch) as answered:
                answers = run(write(batch, self._memory), self._answer)
                if answered is not None:
                    answered(answers)
        except Exception as error:  # noqa: BLE001  whatever it was, callers are told that they must ask again
            _log.exception("a batch of %d requests has no known outcome", len(batch))
            self._memory.forget()
            return errors.OutcomeUnknown(str(error))
        for fault in self._memory.faults:
            _log.error("a request failed with a fault of ours", exc_info=fault)
        self._memory.faults.clear()
        return answers

    def _answer(self, request: WriterRequest) -> Any:
        if self._closing and isinstance(request, Reconnect):
            raise _Stopped("the writer stopped")
        return self._observer.step(request, self._store.answer)

    def _look(self, request: WriterRequest) -> Any:
        return self._observer.step(request, self._store.look)

    def _take(self) -> Taken:
        """The next batch; nothing if the one on its way has ended first, or if the writer stops."""
        with self._wake:
            while not (self._queue or self._closing or (self._flights and self._flights[0].over)):
                self._wake.wait()
            if self._closing:
                self._refuse_queued()
                return []
            return list(self._fill())

    def _fill(self) -> Iterator[Part]:
        count, size = 0, 0
        while self._queue and count < limits.BATCH_COMMANDS_MAX and size < limits.BATCH_BYTES_MAX:
            ticket = self._queue[0]
            items, start = ticket.items, ticket.taken
            if start or len(items) > limits.BATCH_COMMANDS_MAX - count:
                items = items[start : start + limits.BATCH_COMMANDS_MAX - count]
            ticket.taken = start + len(items)
            if ticket.taken == len(ticket.items):
                self._queue.popleft()
            count += len(items)
            for item in items:
                size += item.size
            yield Part(ticket, start, items)
        self._queued -= count

    def _refuse_queued(self) -> None:
        """A ticket of which a part was written has no known outcome; one that was never taken is not done."""
        refused, self._queue = list(self._queue), deque()
        self._queued = 0
        for ticket in refused:
            kind = errors.OutcomeUnknown if ticket.taken else errors.NotDone
            ticket.error = ticket.error or kind("the writer is stopping")
        tell(refused)


def _items(taken: Taken) -> list[Prepared]:
    return [item for part in taken for item in part.items]


def _settle(taken: Taken, answers: Sequence[Answer] | errors.LedgerError) -> None:
    """Hand every caller its part."""
    first = 0
    for part in taken:
        last = first + len(part.items)
        if isinstance(answers, errors.LedgerError):
            part.ticket.fail(answers, len(part.items))
        else:
            part.ticket.settle(part.start, answers[first:last])
        first = last
    tell(part.ticket for part in taken if part.ticket.whole)


class _Stopped(Exception):
    """The program ends while the database is away: the batch's outcome is unknown."""
