"""The world of the ledger: several writers over one database, beside a model that knows what must come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from ledger import errors, limits
from ledger.domain.verdicts import Answer
from ledger.ports import Request
from ledger.writer.core import write
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import Append, ReadAccountStream, ReadUnderLock, Reconnect, Rollback
from simulation.clocks import SimulatedClock
from simulation.followers.crew import Crew
from simulation.found import Wrong, differences, must, same
from simulation.ledger import checks
from simulation.ledger.flights import Flights
from simulation.ledger.looking import look
from simulation.ledger.saying import halved, named, short, traced
from simulation.ledger.server import Server, Waiting
from simulation.ledger.steps import (
    Crash,
    Crowd,
    Die,
    Fly,
    Follow,
    Foreign,
    Give,
    Jump,
    Look,
    Pass,
    Restart,
    Step,
    Turn,
)
from simulation.ledger.writers import Batch, Read, Segment, Told, Writer
from simulation.model.answering import Model

SECRET = b"simulated"


class World:
    """Everything of one run. ``apply`` takes a step, and raises ``Wrong`` where something does not hold."""

    def __init__(self, *, writers: int = 3, remembered: int = 1_000, server: Server | None = None) -> None:
        self.server = server or Server(SimulatedClock())
        self.clock = self.server.clock
        self.model = Model()
        self._remembered = remembered
        self.writers = [Writer(n, Memory(remembered), SimulatedClock()) for n in range(writers)]
        self.counts: Counter[str] = Counter()
        self.unknown: list[Batch] = []
        self.checks = checks.Checks(self.server.database)
        self.crew = Crew(self.server.database)
        self.flights = Flights(self.server, self.model, self.counts, SECRET)

    def apply(self, step: Step) -> None:
        """Take a step."""
        match step:
            case Give(writer, requests):
                self.writers[writer % len(self.writers)].inbox.append(requests)
            case Turn() | Fly():
                self._go_on(step)
            case Crash(writer):
                self._crash(self.writers[writer % len(self.writers)])
            case Restart():
                self._restart()
            case Pass(seconds):
                self._pass(seconds)
            case Jump(writer, seconds):
                clock = self.clock if writer is None else self.writers[writer % len(self.writers)].clock
                clock.apart_s += seconds
            case Look():
                look(step, self.server.ledger, self.model, max(self.clock.now(), self.model.book.recorded_at))
            case Crowd() | Foreign():
                self._intrude(step)
            case Follow() | Die():
                self._follow(step)

    def _go_on(self, step: Turn | Fly) -> None:
        writer = self.writers[step.writer % len(self.writers)]
        if isinstance(step, Turn):
            self._turn(writer, step.fate)
        else:
            self.flights.fly(writer, step.fate, self._committed, self._compare)

    def _intrude(self, step: Crowd | Foreign) -> None:
        """What others have done to an account's rows."""
        if isinstance(step, Foreign):
            self.server.make_foreign(step.account_id)
        elif self._at_rest() and step.account_id in self.model.book.accounts:
            day = max(self.clock.now(), self.model.book.recorded_at).date()
            self.model.refusals[step.account_id, day] = limits.REFUSALS_KEPT_PER_ACCOUNT_DAY - 2
            self.server.crowd(step.account_id, day, limits.REFUSALS_KEPT_PER_ACCOUNT_DAY - 2)

    def _at_rest(self) -> bool:
        """Whether no writer has read what it has not used yet."""
        ahead = any(writer.ahead or writer.flights for writer in self.writers)
        return self.server.owner is None and not ahead

    def _follow(self, step: Follow | Die) -> None:
        if isinstance(step, Die):
            self.counts["followers crashed"] += 1
            self.crew.crash(step.process)
        else:
            self.crew.step(step.process, step.follower, step.limit)

    def settle(self) -> None:
        """Let everybody finish, with nothing going wrong, and check the whole."""
        for clock in (self.clock, *(writer.clock for writer in self.writers)):
            clock.apart_s = 0.0
        self._pass(3_600.0)
        for _ in range(10_000):
            busy = [writer for writer in self.writers if writer.busy]
            if not busy:
                break
            for writer in busy:
                self._turn(writer, "well")
                self.flights.fly(writer, "well", self._committed, self._compare)
        else:
            raise Wrong("stuck", "writers never finish")
        self.checks.whole(self.model)
        self.crew.finish(self.model)

    def _pass(self, seconds: float) -> None:
        for clock in (self.clock, *(writer.clock for writer in self.writers)):
            clock.pass_s(seconds)

    def _crash(self, writer: Writer) -> None:
        if writer.core is not None or writer.flights:
            self.counts["writers crashed"] += 1
        if writer.core is not None:
            writer.core.close()
            self.unknown.append(writer.batch)
        self.unknown += self.flights.crash(writer)
        self.server.leave(writer)
        writer.clear()
        writer.memory = Memory(self._remembered)

    def _restart(self) -> None:
        self.counts["database restarts"] += 1
        if self.server.owner is not None:
            self.server.leave(self.server.owner)
        for writer in self.writers:
            self.flights.restart(writer)
            at_rest = Rollback | Reconnect | Append if writer.ahead else Rollback | Reconnect
            if writer.core is not None and not isinstance(writer.asked, at_rest):
                writer.told = Told(error=errors.ConnectionLost("the database restarts"))

    # --- one writer's turn

    def _turn(self, writer: Writer, fate: str) -> None:
        self.flights.settle(writer)
        if writer.ahead:
            self.flights.turn(writer, fate)
        elif writer.core is None and writer.inbox and self.flights.may_begin(writer):
            self.flights.begin(writer)
        elif writer.core is not None or not writer.flights:
            self._turn_with_care(writer, fate)

    def _turn_with_care(self, writer: Writer, fate: str) -> None:
        if writer.core is None:
            if not writer.inbox:
                return
            self._begin(writer)
        elif writer.told is not None:
            self._deliver(writer, fate)
        if writer.core is not None and writer.told is None:
            self._perform(writer, fate)

    def _begin(self, writer: Writer) -> None:
        writer.careful = max(0, writer.careful - 1)
        writer.batch = writer.inbox.popleft()
        writer.core = write([prepare(request, SECRET) for request in writer.batch], writer.memory)
        writer.segments = [Segment(0, len(writer.batch))]
        self._advance(writer, Told())

    def _deliver(self, writer: Writer, fate: str) -> None:
        told = writer.told
        assert told is not None
        if fate == "lost" and told.error is None and not isinstance(writer.asked, Rollback | Reconnect):
            self.counts["acknowledgements lost" if isinstance(writer.asked, Append) else "answers lost"] += 1
            told = Told(error=errors.ConnectionLost("lost on the way back"))
        if isinstance(told.error, errors.ConnectionLost):
            self.server.leave(writer)
            writer.read = writer.hoped = None
            if isinstance(writer.asked, Append) and writer.lose(limits.APPENDS_LOST_MAX):
                self.counts["batches done one by one"] += 1
        if isinstance(writer.asked, Append) and told.error is None:
            assert writer.hoped is not None
            self._finish_segment(writer, writer.hoped)
        self._advance(writer, told)

    def _finish_segment(self, writer: Writer, answers: Sequence[Answer]) -> None:
        writer.done += answers
        writer.segments.pop()
        writer.read = writer.hoped = None

    def _advance(self, writer: Writer, told: Told) -> None:
        """Give the core its answer; note its next question, or compare its answers."""
        assert writer.core is not None
        writer.told = None
        writer.waits_since = self.clock.monotonic_s()
        try:
            writer.asked = writer.core.throw(told.error) if told.error else writer.core.send(told.answer)
        except StopIteration as end:
            self._compare(writer, writer.batch, end.value, writer.done)
            writer.clear()
            return
        except Exception as error:
            raise Wrong(f"the core raises {type(error).__name__}", repr(error)) from error
        if writer.segments[-1].fault:
            writer.memory.faults.clear()
        if isinstance(writer.asked, ReadUnderLock):
            must("batch cut otherwise", holds=len(writer.asked.keys) == len(writer.segment), detail=writer.asked)

    def _perform(self, writer: Writer, fate: str) -> None:
        asked = writer.asked
        assert asked is not None
        if fate == "cut" and not isinstance(asked, Rollback | Reconnect):
            self.counts["connections cut"] += 1
            self.server.leave(writer)
            writer.told = Told(error=errors.ConnectionLost("cut"))
        elif fate == "refused" and isinstance(asked, Append):
            self.counts["batches refused"] += 1
            writer.refused = True
            writer.told = Told(error=errors.BatchRefused("by content"))
        elif isinstance(asked, Rollback):
            self._roll_back(writer)
        else:
            self._answer(writer, asked)

    def _answer(self, writer: Writer, asked: Any) -> None:
        before = self.server.database.head
        if isinstance(asked, ReadUnderLock) and self.server.idle():
            self._end_idle()
        try:
            answer = self.server.answer(writer, asked)
        except Waiting:
            self.counts["waits for the lock"] += 1
            return
        except errors.ConnectionLost as error:
            self.counts["time-outs"] += 1
            writer.told = Told(error=error)
            return
        except errors.LedgerError as error:
            raise Wrong("database refuses", f"{error}: {asked}") from error
        writer.told = Told(answer)
        if isinstance(asked, ReadUnderLock):
            writer.read = Read(answer.clock, answer.own_clock)
        elif isinstance(asked, Append):
            writer.hoped = self._predict(writer)
            self.server.leave(writer)
            self._committed(asked, before.position)

    def _end_idle(self) -> None:
        """The database ends a transaction that lies idle; what was read in it is still what it was then."""
        owner = self.server.owner
        assert owner is not None and owner.read is not None
        self.counts["idle transactions ended"] += 1
        self.server.leave(owner)
        if owner.hoped is None and not owner.segments[-1].fault:
            model = deepcopy(self.model)
            owner.hoped = model.batch(owner.segment, owner.read.clock, owner.read.own_clock)
            owner.stale = bool(model.book.fresh)

    def _predict(self, writer: Writer) -> list[Answer]:
        assert writer.read is not None
        return self.model.batch(writer.segment, writer.read.clock, writer.read.own_clock)

    def _committed(self, append: Append, before: int) -> None:
        self.counts["batches"] += 1
        said = [(row.stream_id, row.tag) for row in append.events]
        same("events", said=[tag for _, tag in said], expected=[tag for _, tag in self.model.book.fresh])
        same("streams", said=said, expected=self.model.book.fresh)
        self.checks.appended(append, before)
        self.crew.appended(append)
        self.checks.against(self.model, {row.account_id for row in append.accounts})

    def _roll_back(self, writer: Writer) -> None:
        """Nothing can be lost of it; what comes next tells why it was."""
        assert writer.core is not None
        if writer.refused:
            writer.refused, writer.read, writer.hoped = False, None, None  # the database may have ended it meanwhile
            writer.split()
            self.server.leave(writer)
            self._advance(writer, Told())
            writer.memory.faults.clear()
            return
        must("rolled back after the end", holds=bool(writer.segments), detail=writer.memory.faults)
        read, segment, top = writer.read, writer.segment, writer.segments[-1]
        must("fault of ours", holds=top.fault or not writer.memory.faults, detail=writer.memory.faults)
        try:
            following = writer.core.send(None)
        except StopIteration as end:
            self._finish_unwritten(writer, read, segment)
            self._compare(writer, writer.batch, end.value, writer.done)
            writer.clear()
        else:
            must("fault of ours", holds=not writer.memory.faults, detail=[traced(one) for one in writer.memory.faults])
            if isinstance(following, ReadAccountStream):
                writer.read = writer.hoped = None
            elif read is not None and halved(following, segment):
                writer.split()
            else:
                self._finish_unwritten(writer, read, segment)
            writer.asked, writer.told, writer.waits_since = following, None, self.clock.monotonic_s()
        self.server.leave(writer)

    def _finish_unwritten(self, writer: Writer, read: Read | None, segment: Batch) -> None:
        if read is None:
            return  # rolled back outside the lock, while an account was rebuilt
        if writer.segments[-1].fault:
            self._finish_segment(writer, [self.model.given_up(segment[0], read.clock)])
            return
        if writer.hoped is not None:
            must("events", holds=not writer.stale, detail="something was to be written")
            self._finish_segment(writer, writer.hoped)
            return
        answers = self._predict(writer)
        same("events", said=[], expected=self.model.book.fresh)
        self._finish_segment(writer, answers)

    def _compare(self, writer: Writer, batch: Batch, answers: Sequence[Answer], meant: Sequence[Answer]) -> None:
        must("fault of ours", holds=not writer.memory.faults, detail=writer.memory.faults)
        for request, said, expected in zip(batch, answers, meant, strict=True):
            self._count(request, said)
            if said != expected:
                kind = f"answer to {type(request.command).__name__}: {short(said)} for {short(expected)}"
                raise Wrong(kind, f"{request.key}: {differences(said, expected)}")

    def _count(self, request: Request, answer: Answer) -> None:
        self.counts[named(request, answer)] += 1
