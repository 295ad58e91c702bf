"""A batch decided ahead on its way: what watches it sees one batch, though two threads work at it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest

from ledger import errors
from ledger.domain.verdicts import Answer, Done
from ledger.flights import Answered, Flight, Runway
from ledger.writer.requests import CLOCK_ALONE, Append, Head, WriterRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
watched: ContextVar[str] = ContextVar("watched", default="nobody")


class Watch:
    """What is entered around a batch; ``seen`` is what happened, and who was watching."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def note(self, what: str) -> None:
        self.seen.append((what, watched.get()))

    @contextmanager
    def around(self) -> Iterator[Answered]:
        token = watched.set("us")
        try:
            yield lambda answers: self.note(f"{len(answers)} answers")
        finally:
            watched.reset(token)
            self.note("over")

    def look(self, request: WriterRequest) -> Any:
        self.note(type(request).__name__)

    def answer(self, request: WriterRequest) -> Any:
        self.note(type(request).__name__)

    def refuse(self, _request: WriterRequest) -> Any:
        raise errors.Overtaken("by somebody")


def done() -> Answer:
    return Answer(Done(position=1, account_version=1, posted_ucr=0, held_ucr=0, frozen_ucr=0, recorded_at=NOW))


def core() -> Generator[WriterRequest, Any, list[Answer]]:
    yield CLOCK_ALONE
    yield Append(Head(1, bytes(32), NOW), 0, decided_on=bytes(32))
    return [done()]


def planned(watch: Watch) -> Flight[str]:
    flight = Flight("ours", core(), watch.around())
    flight.plan(watch.look, lambda append: watch.note(f"pack after {append.after}"))
    assert watch.seen == [("ReadAhead", "us"), ("pack after 0", "nobody")] and not flight.over
    watch.seen.clear()
    return flight


def test_it_is_planned_on_one_thread_and_landed_on_another_in_one_context() -> None:
    watch, told = Watch(), list[tuple[str, Sequence[Answer]]]()
    flight = planned(watch)
    thread = Thread(target=flight.land, args=(watch.answer, lambda *what: told.append(what)))
    thread.start()
    assert flight.wait() and flight.over
    thread.join()
    assert watch.seen == [("Append", "us"), ("1 answers", "us"), ("over", "nobody")]
    assert told == [("ours", [done()])] and watched.get() == "nobody"


def test_nobody_is_told_of_one_that_fails() -> None:
    watch = Watch()
    flight = planned(watch)
    flight.land(watch.refuse, lambda *_: watch.note("told"))
    assert not flight.wait() and flight.over
    assert watch.seen == [("over", "nobody")]


def test_one_that_is_dropped_is_watched_no_longer() -> None:
    watch = Watch()
    planned(watch).drop()
    assert watch.seen == [("over", "nobody")]


def test_they_land_in_the_order_in_which_they_come() -> None:
    watch, landed = Watch(), list[Flight[str]]()
    runway = Runway[str](landed.append)
    flights = [Flight(str(number), core(), watch.around()) for number in range(5)]
    for flight in flights:
        runway.take(flight)
    runway.close()
    assert landed == flights


def test_one_that_cannot_be_packed_is_watched_no_longer() -> None:
    def fail(_append: Append) -> None:
        raise OverflowError("too large")

    watch = Watch()
    with pytest.raises(OverflowError):
        Flight("ours", core(), watch.around()).plan(watch.look, fail)
    assert watch.seen == [("ReadAhead", "us"), ("over", "nobody")]


def test_those_behind_one_that_nobody_can_be_told_of_still_land() -> None:
    watch, landed = Watch(), list[Flight[str]]()

    def land(flight: Flight[str]) -> None:
        landed.append(flight)
        if len(landed) == 1:
            raise ConnectionResetError("nobody there")

    runway = Runway[str](land)
    for number in range(3):
        runway.take(Flight(str(number), core(), watch.around()))
    runway.close()
    assert [flight.cargo for flight in landed] == ["0", "1", "2"]
