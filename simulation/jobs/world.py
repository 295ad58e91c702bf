"""Jobs on one thread from one seed: the real cores over twins, with crashes, lost answers and bad nodes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ledger.errors import ConnectionLost, NotDone, OutcomeUnknown
from ledger.sansio import Commit, Run, Sleep, Statement, Submit, Wake
from simulation.jobs.ends import check, check_end, job_of
from simulation.jobs.people import Doing, Moved, Took, shop, sweep, work
from simulation.jobs.stage import QUIET_AT_S, Luck, Stage
from simulation.jobs.twin import Transaction
from workers.attempt import effects
from workers.attempt.work import Claim
from workers.errors import StoreUnavailable
from workers.generation.asking import HoldOf, Now, Stream
from workers.generation.settle import SettlementStuck
from workers.limits import LEASE_S, OUTPUT_BYTES_MAX
from workers.nodes.collect import collect
from workers.nodes.faults import Fault
from workers.outputs import OutputRules

END_AT_S = 900.0
FAULTS = [fault for fault in Fault if fault is not Fault.LATE_ANSWER]
_RENEWED_EVERY_S = 5.0
_LEASE = timedelta(seconds=LEASE_S)
_MOVE = Statement("follower-move", "")


@dataclass
class Actor:
    """Somebody who does something over time: a worker, the sweeps, a customer. ``core`` is what it is about."""

    name: str
    core: Doing
    transaction: Transaction
    claim: Claim | None = None
    wakes_at_s: float = 0.0
    answer: Any = None
    error: Exception | None = None
    renewed_s: float = 0.0


class Simulation:
    """One run. ``run`` plays it to its end, checking after every step."""

    def __init__(self, luck: Luck, *, crash: float = 0.02, lost: float = 0.03) -> None:
        self.stage = Stage(luck)
        self.crash, self.lost = crash, lost
        self.actors: list[Actor] = [self._actor(f"worker-{n}") for n in range(3)]
        self.actors += [self._actor("sweeps"), self._actor("customer")]

    def _actor(self, name: str) -> Actor:
        core = {"sweeps": sweep, "customer": shop}.get(name, work)
        return Actor(
            name=name,
            core=core(self.stage),
            transaction=self.stage.database.begin(),
            wakes_at_s=self.stage.dice.fraction(),
        )

    def run(self) -> None:
        """Play to the end."""
        while self.stage.clock.monotonic_s() < END_AT_S and not self._over():
            actor = min(self.actors, key=lambda actor: actor.wakes_at_s)
            if actor.wakes_at_s > self.stage.clock.monotonic_s():
                self.stage.clock.pass_s(actor.wakes_at_s - self.stage.clock.monotonic_s())
            self._step(actor)
            while actor.transaction.open and actor in self.actors:
                self._step(actor)
            check(self.stage)
        check_end(self.stage)

    def _over(self) -> bool:
        if self.stage.clock.monotonic_s() < QUIET_AT_S:
            return False
        states = [job_of(self.stage, job_id) for job_id in self.stage.jobs]
        open_ = any(row["state"] != "ended" for row in self.stage.database.tables.attempts.values())
        settled = all(job is not None and job.end is not None for job in states)
        loose = [row for row in self.stage.database.tables.outputs.values() if not row["given"]]
        return settled and not open_ and not loose

    def _step(self, actor: Actor) -> None:
        """One effect of one actor, or its death."""
        actor.wakes_at_s = self.stage.clock.monotonic_s() + self.stage.dice.fraction() * 0.01
        self._mischief()
        try:
            effect = actor.core.throw(actor.error) if actor.error else actor.core.send(actor.answer)
        except (StopIteration, SettlementStuck, ConnectionLost, NotDone, OutcomeUnknown):
            self._die(actor)
            return
        actor.answer = actor.error = None
        if actor.name != "customer" and self.stage.dice.happens(self.crash):
            self._die(actor, before=True)
            return
        try:
            actor.answer = self._answer(actor, effect)
        except (ConnectionLost, NotDone, OutcomeUnknown, StoreUnavailable) as error:
            actor.error = error
        if actor.name != "customer" and self.stage.dice.happens(self.crash):
            self._die(actor)

    def _die(self, actor: Actor, *, before: bool = False) -> None:
        """A process is gone; another takes its place a little later."""
        self.stage.count("died before" if before else "died")
        actor.core.close()
        actor.transaction.rollback()
        fresh = self._actor(actor.name)
        fresh.wakes_at_s = self.stage.clock.monotonic_s() + self.stage.dice.fraction() * 5
        self.actors[self.actors.index(actor)] = fresh

    def _mischief(self) -> None:
        if self.stage.dice.happens(0.004):
            self.stage.dice.choose(list(self.stage.nodes.values())).script(
                self.stage.dice.choose(FAULTS), seconds=self.stage.dice.fraction() * 3
            )
        if self.stage.dice.happens(0.002):
            self.stage.dice.choose(list(self.stage.nodes.values())).kill()
        if self.stage.dice.happens(0.001):
            self.stage.clock.pass_s(self.stage.dice.fraction() * 2 * LEASE_S)
        self.stage.objects.away = self.stage.dice.happens(0.01)

    def _answer(self, actor: Actor, effect: Any) -> Any:
        match effect:
            case Run(statement, params):
                self._may_lose(actor)
                return actor.transaction.run(statement, params)
            case Moved(position):
                actor.transaction.run(_MOVE, {"position": position})
                return None
            case Commit():
                return self._commit(actor)
            case Submit(asked):
                return self._submit(asked)
            case Sleep(seconds) | effects.Rest(seconds):
                actor.wakes_at_s = self.stage.clock.monotonic_s() + seconds
                return None
            case Wake() | effects.Listen() | effects.Tell():
                return None
            case Took(claim):
                actor.claim = claim
                return None
            case _:
                return self._answer_more(actor, effect)

    def _answer_more(self, actor: Actor, effect: Any) -> Any:
        match effect:
            case Stream(stream_id):
                self._may_lose(actor)
                return self.stage.ledger.stream(stream_id)
            case HoldOf(hold_id):
                return self.stage.ledger.hold(hold_id)
            case Now():
                return self.stage.clock.now()
            case effects.Put(key, content, mime):
                return self.stage.objects.put(key, content, mime=mime)
            case effects.Erase(key):
                return self.stage.objects.delete(key)
            case effects.Pulse():
                return self._pulse(actor)
            case _:
                return self._answer_node(actor, effect)

    def _answer_node(self, actor: Actor, effect: Any) -> Any:
        assert actor.claim is not None
        node, attempt_id = self.stage.nodes[actor.claim.node], actor.claim.attempt_id
        match effect:
            case effects.LookUp():
                return node.look_up(attempt_id)
            case effects.Post(graph):
                return node.submit(attempt_id, graph)
            case effects.CancelNode():
                return node.cancel(attempt_id)
            case effects.FreeMemory():
                return node.free()
            case effects.Gather(completed, tool, images):
                rules = OutputRules(count=images, bytes_max=OUTPUT_BYTES_MAX)
                return collect(node, completed, dict.fromkeys(tool.outputs, images), rules)
            case _:
                raise AssertionError(effect)

    def _may_lose(self, actor: Actor) -> None:
        if self.stage.dice.happens(self.lost):
            actor.transaction.rollback()
            raise ConnectionLost("before")

    def _commit(self, actor: Actor) -> None:
        self._may_lose(actor)
        actor.transaction.commit()
        if self.stage.dice.happens(self.lost):
            raise ConnectionLost("the acknowledgement")

    def _submit(self, asked: Any) -> Any:
        if self.stage.dice.happens(self.lost):
            raise NotDone("withdrawn")
        answer = self.stage.ledger.submit(asked)
        if self.stage.dice.happens(self.lost):
            raise OutcomeUnknown("the acknowledgement")
        return answer

    def _pulse(self, actor: Actor) -> effects.Vitals:
        """The heart, as it would have beaten until now: it renews every five seconds, and reads."""
        claim, now_s = actor.claim, self.stage.clock.monotonic_s()
        assert claim is not None
        tables = self.stage.database.tables
        row = tables.attempts[claim.attempt_id]
        lost = row["token"] != claim.token or row["state"] == "ended"
        if not lost and now_s - actor.renewed_s >= _RENEWED_EVERY_S:
            row["lease_until"] = max(row["lease_until"], self.stage.clock.now() + _LEASE)
            actor.renewed_s = now_s
        return effects.Vitals(
            now_s=now_s,
            lost=lost,
            cancel_asked=claim.job_id in tables.cancels,
            job_ended=claim.job_id in tables.ended,
            heard_s=None,
            preview_s=None,
        )
