"""Batches decided ahead, on their way: planned on the writer's thread, landed on another one beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import Context
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

from ledger import errors
from ledger.domain.verdicts import Answer
from ledger.writer.ahead import Asking
from ledger.writer.requests import Append, WriterRequest

_log = logging.getLogger(__name__)
Cargo = TypeVar("Cargo")
Answering = Callable[[WriterRequest], Any]
Answered = Callable[[Sequence[Answer]], None]


class Flight(Generic[Cargo]):
    """One batch: ``plan``, then ``land``, once each. ``cargo`` is whose it is; ``around`` is entered around both.

    Both run in one context, so that what watches the batch sees them as one though their threads are two.
    """

    def __init__(
        self, cargo: Cargo, core: Asking[list[Answer]], around: AbstractContextManager[Answered | None]
    ) -> None:
        self.cargo = cargo
        self._core = core
        self._manager = around
        self._around = ExitStack()
        self._answered: Answered | None = None
        self._context = Context()
        self._append: Append | None = None
        self._over = Event()
        self._landed = False

    @property
    def append(self) -> Append:
        """What it is to write."""
        assert self._append is not None, "not planned"
        return self._append

    @property
    def over(self) -> bool:
        """Whether it has ended, either way."""
        return self._over.is_set()

    def plan(self, look: Answering, pack: Callable[[Append], None]) -> None:
        """Decide, on what ``look`` answers, and make ready what is to be written.

        :raises Exception: it will not fly, whatever the reason.
        """
        self._context.run(self._plan, look)
        try:
            pack(self.append)
        except BaseException:
            self.drop()
            raise

    def land(self, answer: Answering, told: Callable[[Cargo, Sequence[Answer]], None]) -> None:
        """Append, and tell the answers. Nobody is told anything if it failed, or nobody knows: see ``wait``."""
        try:
            answers = self._context.run(self._land, answer)
        except errors.LedgerError as error:
            _log.info("a batch decided ahead is done again: %s", error)
        except Exception:  # noqa: BLE001  whatever it was, the batch is done again
            _log.exception("a batch decided ahead is done again")
        else:
            self._landed = True
            told(self.cargo, answers)
        finally:
            self._over.set()

    def drop(self) -> None:
        """Give up what was planned, before it is landed."""
        self._core.close()
        self._context.run(self._around.close)

    def wait(self) -> bool:
        """Wait for its end; whether it has landed."""
        self._over.wait()
        return self._landed

    def _plan(self, look: Answering) -> None:
        with ExitStack() as around:
            self._answered = around.enter_context(self._manager)
            question = next(self._core)
            while not isinstance(question, Append):
                question = self._core.send(look(question))
            self._append = question
            self._around = around.pop_all()

    def _land(self, answer: Answering) -> list[Answer]:
        with self._around:
            told = answer(self.append)
            try:
                self._core.send(told)
            except StopIteration as end:
                if self._answered is not None:
                    self._answered(end.value)
                return end.value
        raise AssertionError("it asks for more after its append")


class Runway(Generic[Cargo]):
    """A thread that lands flights in the order in which they come, whatever becomes of one."""

    def __init__(self, land: Callable[[Flight[Cargo]], None]) -> None:
        self._land = land
        self._coming: SimpleQueue[Flight[Cargo] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="ledger-appender", daemon=True)
        self._thread.start()

    def take(self, flight: Flight[Cargo]) -> None:
        """Land a flight."""
        self._coming.put(flight)

    def close(self) -> None:
        """Land what is coming, and end."""
        self._coming.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (flight := self._coming.get()) is not None:
            try:
                self._land(flight)
            except Exception:  # noqa: BLE001  those behind it wait for this thread
                _log.exception("whose batch it was could not be told")
