"""Batches that writers decide ahead, and their way to the database: with everything that can overtake them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ledger import errors
from ledger.domain.verdicts import Answer
from ledger.writer.ahead import FLIGHTS_MAX, WithCare, may_go_ahead, write_ahead
from ledger.writer.prepare import prepare
from ledger.writer.requests import Append
from simulation.clocks import SimulatedClock
from simulation.found import Wrong
from simulation.ledger.saying import traced
from simulation.ledger.server import Server, Waiting
from simulation.ledger.writers import Batch, Flight, Read, Told, Writer
from simulation.model.answering import Model

Committed = Callable[[Append, int], None]
Compare = Callable[[Writer, Batch, Sequence[Answer], Sequence[Answer]], None]


class Flights:
    """The way of all batches that are decided ahead. ``committed`` looks at one, ``compare`` at its answers."""

    def __init__(self, server: Server, model: Model, counts: Counter[str], secret: bytes) -> None:
        self._server = server
        self._model = model
        self._counts = counts
        self._secret = secret
        self._clock: SimulatedClock = server.clock

    def may_begin(self, writer: Writer) -> bool:
        """Whether the writer's next batch is decided ahead."""
        return not writer.careful and may_go_ahead(writer.memory, after=1)

    def begin(self, writer: Writer) -> None:
        """Begin to decide a batch ahead."""
        writer.batch, writer.ahead = writer.inbox.popleft(), True
        before = [flight.append for flight in writer.flights]
        prepared = [prepare(request, self._secret) for request in writer.batch]
        writer.core = write_ahead(prepared, writer.memory, before, trust_after=1)
        self._advance(writer, Told())

    def turn(self, writer: Writer, fate: str) -> None:
        """Go on with the batch that is being decided ahead."""
        if writer.told is not None:
            told = writer.told if fate != "lost" else Told(error=errors.ConnectionLost("lost on the way back"))
            self._advance(writer, told)
        if writer.ahead and not isinstance(writer.asked, Append):
            self._perform(writer, fate)

    def settle(self, writer: Writer) -> None:
        """Let a batch take off where there is room; if one before has failed, all that failed are done with care."""
        decided = writer.ahead and isinstance(writer.asked, Append)
        if any(flight.failed for flight in writer.flights):
            if writer.flying is None and (decided or not writer.ahead):
                self._do_again(writer)
        elif decided and len(writer.flights) < FLIGHTS_MAX:
            assert writer.core is not None and writer.read is not None and isinstance(writer.asked, Append)
            flight = Flight(writer.batch, writer.core, writer.asked, writer.read, self._clock.monotonic_s())
            writer.flights.append(flight)
            self._counts["behind another on its way"] += len(writer.flights) - 1
            writer.clear()

    def _do_again(self, writer: Writer) -> None:
        writer.memory.forget()
        if writer.ahead:
            self._give_up(writer)
        writer.inbox.extendleft(flight.batch for flight in reversed(writer.flights))
        writer.careful += len(writer.flights)
        writer.flights.clear()

    def fly(self, writer: Writer, fate: str, committed: Committed, compare: Compare) -> None:
        """Take a flight one step further."""
        self.settle(writer)
        flight = writer.flying
        if flight is None:
            return
        if flight.told is None:
            self._append(writer, flight, fate, committed)
        elif fate == "lost" or flight.told.error is not None:
            self._counts["flights failed"] += 1
            flight.failed = True
        else:
            assert flight.hoped is not None
            compare(writer, flight.batch, _answers(flight), flight.hoped)
            self._counts["flights landed"] += 1
            writer.flights.remove(flight)
        self.settle(writer)

    def crash(self, writer: Writer) -> list[Batch]:
        """Forget all that is on its way; whose outcome nobody knows."""
        flights, writer.flights, writer.careful = writer.flights, [], 0
        for flight in flights:
            flight.core.close()
        return [flight.batch for flight in flights]

    def restart(self, writer: Writer) -> None:
        """The database restarts: what has reached it breaks."""
        if writer.flying is not None:
            writer.flying.told = Told(error=errors.ConnectionLost("the database restarts"))

    def _advance(self, writer: Writer, told: Told) -> None:
        assert writer.core is not None
        writer.told = None
        try:
            writer.asked = writer.core.throw(told.error) if told.error else writer.core.send(told.answer)
        except WithCare:
            self._counts["not decided ahead"] += 1
            self._give_up(writer)
        except errors.LedgerError:
            writer.memory.forget()
            self._give_up(writer)
        except Exception as error:
            if not self._disturbed(writer):
                raise Wrong(f"ahead: {type(error).__name__}", traced(error)) from error
            writer.memory.forget()
            self._give_up(writer)
        self.settle(writer)

    def _disturbed(self, writer: Writer) -> bool:
        """Whether others have written, so that what was read may not fit what is remembered."""
        heads = {writer.memory.head_hash}
        for flight in writer.flights:
            heads |= {flight.append.decided_on or b"", flight.append.head.hash}
        return self._server.database.head.hash not in heads

    def _give_up(self, writer: Writer) -> None:
        """The batch in hand is done with care, when the one before it has ended."""
        assert writer.core is not None
        writer.core.close()
        writer.inbox.appendleft(writer.batch)
        writer.careful += 1
        writer.clear()

    def _perform(self, writer: Writer, fate: str) -> None:
        asked = writer.asked
        assert asked is not None
        if fate == "cut":
            self._counts["connections cut"] += 1
            writer.told = Told(error=errors.ConnectionLost("cut"))
            return
        answer: Any = self._server.look(writer, asked)
        if writer.read is None:
            writer.read = Read(answer.clock, answer.own_clock)
        writer.told = Told(answer)

    def _append(self, writer: Writer, flight: Flight, fate: str, committed: Committed) -> None:
        if fate in {"cut", "refused"}:
            kind = errors.ConnectionLost if fate == "cut" else errors.BatchRefused
            flight.told = Told(error=kind(fate))
            return
        before = self._server.database.head.position
        try:
            self._server.fly(writer, flight.append, self._clock.monotonic_s() - flight.waits_since)
        except Waiting:
            self._counts["waits for the lock"] += 1
        except errors.LedgerError as error:
            self._counts[f"flights: {type(error).__name__}"] += 1
            flight.told = Told(error=error)
        else:
            flight.hoped = self._model.batch(flight.batch, flight.read.clock, flight.read.own_clock)
            committed(flight.append, before)
            flight.told = Told(0.0)


def _answers(flight: Flight) -> list[Answer]:
    try:
        flight.core.send(0.0)
    except StopIteration as end:
        return end.value
    raise Wrong("ahead", "it asks for more after its append")
