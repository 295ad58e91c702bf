"""A writer's process in the world: its batches, its memory, the question it waits for."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ledger.domain.verdicts import Answer
from ledger.ports import Request
from ledger.writer.ahead import Asking
from ledger.writer.core import Writing
from ledger.writer.memory import Memory
from ledger.writer.prepare import Prepared
from ledger.writer.requests import Append, WriterRequest
from simulation.clocks import SimulatedClock

Batch = tuple[Request, ...]


@dataclass(slots=True)
class Segment:
    """A run of requests of the batch that the core works at once.

    ``fault``: one that is given up; ``lost``: so many connections ended over its append.
    """

    start: int
    end: int
    fault: bool = False
    lost: int = 0


@dataclass(slots=True)
class Told:
    """What the database has answered, and the writer does not know yet."""

    answer: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Read:
    """The clocks that a batch was read at."""

    clock: datetime
    own_clock: datetime


@dataclass(slots=True)
class Flight:
    """A batch that was decided ahead, on its way to the database; ``failed`` when it is known to be done again.

    The next one goes on then: it may still land, if only the answer was lost.
    """

    batch: Batch
    core: Asking[list[Answer]]
    append: Append
    read: Read
    waits_since: float
    told: Told | None = None
    hoped: list[Answer] | None = None
    failed: bool = False


@dataclass(slots=True)
class Writer:
    """One process. ``ahead``: the batch in hand is being decided ahead; ``careful``: so many next ones must not be.

    ``done`` are predicted answers of finished segments, ``hoped`` those of one that was
    appended.
    """

    number: int
    memory: Memory
    clock: SimulatedClock
    inbox: deque[Batch] = field(default_factory=deque[Batch])
    batch: Batch = ()
    prepared: list[Prepared] = field(default_factory=list[Prepared])
    core: Writing | None = None
    ahead: bool = False
    careful: int = 0
    flights: list[Flight] = field(default_factory=list[Flight])
    asked: WriterRequest | None = None
    told: Told | None = None
    waits_since: float = 0.0
    segments: list[Segment] = field(default_factory=list[Segment])
    read: Read | None = None
    hoped: list[Answer] | None = None
    done: list[Answer] = field(default_factory=list[Answer])
    refused: bool = False
    stale: bool = False

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return self.core is not None or bool(self.inbox) or bool(self.flights)

    @property
    def flying(self) -> Flight | None:
        """The flight whose turn it is."""
        return next((flight for flight in self.flights if not flight.failed), None)

    @property
    def segment(self) -> Batch:
        """The requests that it works at now."""
        top = self.segments[-1]
        return self.batch[top.start : top.end]

    def clear(self) -> None:
        """Nothing in hand."""
        self.core, self.asked, self.told, self.read, self.hoped = None, None, None, None, None
        self.batch, self.segments, self.done, self.refused, self.ahead = (), [], [], False, False

    def split(self) -> None:
        """The database refused the segment: it is tried in halves, a single one given up."""
        top = self.segments.pop()
        if top.end - top.start == 1:
            self.segments.append(Segment(top.start, top.end, fault=True))
            return
        middle = top.start + (top.end - top.start) // 2
        self.segments += [Segment(middle, top.end), Segment(top.start, middle)]

    def lose(self, most: int) -> bool:
        """The connection ended over the segment's append: after so many it is tried one by one; whether it is now."""
        top = self.segments[-1]
        top.lost += 1
        if top.lost < most or top.fault:
            return False
        self.segments.pop()
        single = top.end - top.start == 1
        self.segments += [Segment(one, one + 1, fault=single) for one in reversed(range(top.start, top.end))]
        return True
