"""Drives the writer on a thread: a bounded queue in, answers out.

Callers wait for the commit of their batch, or until their deadline: what is still queued then is withdrawn, what was
taken is unknown.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from threading import Condition, Thread
from typing import Any, Protocol

from ledger import errors, limits
from ledger.domain.verdicts import Answer
from ledger.ports import Request
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared, prepare
from ledger.writer.requests import WriterRequest

_log = logging.getLogger(__name__)


class Store(Protocol):
    """Answers the writer's requests; see ``ledger.store.connection.WriterStore``."""

    def answer(self, request: WriterRequest) -> Any:
        """Answer one request."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


class Ticket:
    """Requests of one caller, queued together; taken in parts if the batch is full.

    The caller waits on a thread, or on the event ``loop`` that is named.
    """

    __slots__ = ("answers", "future", "items", "loop", "taken")

    def __init__(
        self, items: Sequence[Prepared], future: AnyFuture, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self.items = items
        self.taken = 0
        self.answers: list[Answer | errors.LedgerError] = []
        self.future = future
        self.loop = loop

    @property
    def settled(self) -> bool:
        """Whether every request has its answer."""
        return len(self.answers) == len(self.items)


AnyFuture = Future[None] | asyncio.Future[None]


class Observer(Protocol):
    """Sees the writer at work, for spans and metrics. What it does itself must not fail."""

    def batch(self, batch: Sequence[Prepared]) -> AbstractContextManager[Any]:
        """Wrap one batch, from the first question to the store until its commit or end."""
        ...

    def step(self, request: WriterRequest, answer: Callable[[WriterRequest], Any]) -> Any:
        """Wrap one question to the store: returns what ``answer`` returns, lets through what it raises."""
        ...


class Unobserved:
    """``Observer`` that sees nothing."""

    def batch(self, batch: Sequence[Prepared]) -> AbstractContextManager[Any]:
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
        ticket = Ticket([prepare(request, self._secret) for request in requests], future)
        self._enqueue(ticket)
        try:
            future.result(timeout_s)
        except TimeoutError:
            self._withdraw(ticket)
            raise errors.OutcomeUnknown("the deadline passed while the request was being written") from None
        return _answers(ticket)

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """The same for a caller on an event loop; the caller's own time-out cancels nothing that was taken."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        ticket = Ticket([prepare(request, self._secret) for request in requests], future, loop)
        self._enqueue(ticket)
        await future
        return _answers(ticket)

    def close(self) -> None:
        """Finish the batch in hand, refuse what is queued, give up the connection."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout=limits.SUBMIT_TIMEOUT_S)
        self._store.close()

    def _enqueue(self, ticket: Ticket) -> None:
        with self._wake:
            if self._closing:
                raise errors.NotDone("the writer is stopping")
            if self._queued + len(ticket.items) > limits.QUEUE_COMMANDS_MAX:
                raise errors.NotDone("the writer's queue is full")
            self._queue.append(ticket)
            self._queued += len(ticket.items)
            self._wake.notify()

    def _withdraw(self, ticket: Ticket) -> None:
        with self._wake:
            if ticket.taken == 0 and ticket in self._queue:
                self._queue.remove(ticket)
                self._queued -= len(ticket.items)
                raise errors.NotDone("the deadline passed while the request was queued")

    def _work(self) -> None:
        while taken := self._take():
            batch = [item for _, items in taken for item in items]
            answers = self._write(batch)
            start = 0
            for ticket, items in taken:
                ticket.answers.extend(answers[start : start + len(items)])
                start += len(items)
            tell([ticket for ticket, _ in taken if ticket.settled])

    def _write(self, batch: Sequence[Prepared]) -> Sequence[Answer | errors.LedgerError]:
        try:
            with self._observer.batch(batch):
                answers = run(write(batch, self._memory), self._answer)
        except Exception as error:  # noqa: BLE001  whatever it was, callers are told that they must ask again
            _log.exception("a batch of %d requests has no known outcome", len(batch))
            self._memory.forget()
            return [errors.OutcomeUnknown(str(error))] * len(batch)
        for fault in self._memory.faults:
            _log.error("a request failed with a fault of ours", exc_info=fault)
        self._memory.faults.clear()
        return answers

    def _answer(self, request: WriterRequest) -> Any:
        if self._closing and not _finishes(request):
            raise _Stopped("the writer stopped")
        return self._observer.step(request, self._store.answer)

    def _take(self) -> list[tuple[Ticket, Sequence[Prepared]]]:
        with self._wake:
            while not self._queue and not self._closing:
                self._wake.wait()
            if self._closing:
                self._refuse_queued()
                return []
            return list(self._fill())

    def _fill(self) -> Iterator[tuple[Ticket, Sequence[Prepared]]]:
        count, size = 0, 0
        while self._queue and count < limits.BATCH_COMMANDS_MAX and size < limits.BATCH_BYTES_MAX:
            ticket = self._queue[0]
            items = ticket.items[ticket.taken : ticket.taken + limits.BATCH_COMMANDS_MAX - count]
            ticket.taken += len(items)
            if ticket.taken == len(ticket.items):
                self._queue.popleft()
            count += len(items)
            size += sum(item.size for item in items)
            self._queued -= len(items)
            yield ticket, items

    def _refuse_queued(self) -> None:
        for ticket in self._queue:
            missing = len(ticket.items) - len(ticket.answers)
            ticket.answers.extend([errors.NotDone("the writer is stopping")] * missing)
        tell(list(self._queue))
        self._queue.clear()


class _Stopped(Exception):
    """The program ends while the database is away: the batch's outcome is unknown."""


def _finishes(request: WriterRequest) -> bool:
    return type(request).__name__ in {"Append", "Rollback"}


def tell(tickets: Sequence[Ticket]) -> None:
    """Wake the callers whose answers are all there; a loop is woken once for all its callers."""
    by_loop: dict[asyncio.AbstractEventLoop, list[AnyFuture]] = {}
    for ticket in tickets:
        if ticket.loop is None:
            ticket.future.set_result(None)
        else:
            by_loop.setdefault(ticket.loop, []).append(ticket.future)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: its callers are gone
            loop.call_soon_threadsafe(_wake_futures, futures)


def _wake_futures(futures: Sequence[AnyFuture]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)


def _answers(ticket: Ticket) -> list[Answer]:
    for answer in ticket.answers:
        if isinstance(answer, errors.LedgerError):
            raise answer
    return [answer for answer in ticket.answers if isinstance(answer, Answer)]
