"""Jobs on one thread from one seed: the real cores over twins, with crashes, lost answers and bad nodes."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from ledger.domain import commands
from ledger.domain.codec import RecordedEvent
from ledger.errors import ConnectionLost, NotDone, OutcomeUnknown
from ledger.ids import uuid7
from ledger.sansio import Commit, Run, Sleep, Statement, Submit, Wake
from ledger.store.memory import MemoryLedger
from tests.support.jobs_twin import Transaction, TwinDatabase
from tests.support.ledger import CREDIT, ManualClock, grant, request
from workers.attempt import effects
from workers.attempt.core import run_attempt
from workers.attempt.work import Claim, Work
from workers.catalogue import shipped
from workers.errors import StoreUnavailable
from workers.generation import events
from workers.generation.asking import HoldOf, Now, Stream
from workers.generation.job import Job, fold
from workers.generation.reserve import at_accept, ensure_hold, hold_id_of
from workers.generation.settle import SettlementStuck, Withdrawn, settle
from workers.limits import LEASE_S, OUTPUT_BYTES_MAX
from workers.nodes.collect import collect
from workers.nodes.faults import Fault
from workers.nodes.memory import MemoryNode
from workers.objects.memory import MemoryObjects
from workers.outputs import OutputRules
from workers.queue import sweeps
from workers.queue.follower import JobsFollower
from workers.queue.turns import claim_one

ROOT = Path(__file__).parents[2]
SLOTS, CLASS = 2, "standard"
QUIET_AT_S = 120.0
"""From here on nothing goes wrong any more, so that everything can end."""

END_AT_S = 900.0
FAULTS = [fault for fault in Fault if fault is not Fault.LATE_ANSWER]


@cache
def _classes() -> Any:
    return json.loads((ROOT / "workers" / "standin" / "object_info.json").read_text())


_LEASE = timedelta(seconds=LEASE_S)
_MOVE = Statement("follower-move", "")


@dataclass(frozen=True)
class _Took:
    """A worker says which attempt it has."""

    claim: Claim | None


@dataclass(frozen=True)
class _Moved:
    """The follower moves its position."""

    position: int


class Dice:
    """Ids and chances of one run, all from its seed."""

    def __init__(self, seed: int, clock: ManualClock) -> None:
        self.random = Random(seed)
        self._clock = clock

    def new(self) -> UUID:
        return uuid7(round(self._clock.now().timestamp() * 1000), self.random.randbytes(10))

    def happens(self, chance: float) -> bool:
        return self._clock.monotonic_s() < QUIET_AT_S and self.random.random() < chance


@dataclass
class Actor:
    """Somebody who does something over time: a worker, the sweeps, a customer. ``core`` is what it is about."""

    name: str
    core: Generator[Any, Any, Any]
    transaction: Transaction
    claim: Claim | None = None
    wakes_at_s: float = 0.0
    answer: Any = None
    error: Exception | None = None
    renewed_s: float = 0.0


class Simulation:
    """One run. ``run`` plays it to its end, checking after every step."""

    def __init__(self, seed: int, *, crash: float = 0.02, lost: float = 0.03) -> None:
        self.clock = ManualClock()
        self.dice = Dice(seed, self.clock)
        self.crash, self.lost = crash, lost
        self.ledger = MemoryLedger(self.clock)
        self.database = TwinDatabase(self.clock)
        self.objects = MemoryObjects()
        self.catalogue = shipped()
        self.nodes = {f"node-{n}": self._node(f"node-{n}") for n in range(SLOTS)}
        self.account_id, self.organisation_id = self.dice.new(), self.dice.new()
        self.jobs: list[UUID] = []
        self.counts: dict[str, int] = {}
        self._checked = 0
        self._open_account()
        self.actors: list[Actor] = [self._actor(f"worker-{n}") for n in range(3)]
        self.actors += [self._actor("sweeps"), self._actor("customer")]

    # --- the world

    def _node(self, name: str) -> MemoryNode:
        needs = [self.catalogue.offered()[0].needs("sdxl")]
        self.database.tables.nodes[name] = {"name": name, "state": "ready", "attempt_id": None, "can": needs}
        return MemoryNode(name, clock=self.clock, wait=self.clock.pass_s, classes=_classes(), step_s=0.1)

    def _open_account(self) -> None:
        command = commands.OpenAccount(account_id=self.account_id, organisation_id=self.organisation_id)
        self.ledger.submit(request(command))
        grant(self.ledger, self.account_id, 20 * CREDIT)

    def _actor(self, name: str) -> Actor:
        core = {"sweeps": self._sweep, "customer": self._shop}.get(name, self._work)
        return Actor(name=name, core=core(), transaction=self.database.begin(), wakes_at_s=self.dice.random.random())

    def _work(self) -> Generator[Any, Any, None]:
        """A worker: claim, run, again."""
        while True:
            claim = yield from claim_one(CLASS, sorted(self.nodes), self.dice)
            if claim is None:
                yield Sleep(1.0)
                continue
            yield _Took(claim)
            report = yield from run_attempt(Work(claim, self.catalogue, rate_micro_hour=1_000_000))
            self._count(f"{report.result}:{report.verdict}")
            yield _Took(None)

    def _sweep(self) -> Generator[Any, Any, None]:
        """The follower and the sweeps, each second; and the operator who brings nodes back."""
        follower = JobsFollower()
        while True:
            yield from self._follow(follower)
            yield from sweeps.end_overdue()
            yield from sweeps.end_cancelled()
            yield from sweeps.sweep_outputs(age_s=60.0)
            self._bring_back()
            yield Sleep(1.0)

    def _follow(self, follower: JobsFollower) -> Generator[Any, Any, None]:
        position = self.database.tables.position
        recorded = self.ledger.log(after=position, limit=100)
        if recorded:
            yield from follower.fold(recorded)
            yield _Moved(recorded[-1].position)
            yield Commit()

    def _bring_back(self) -> None:
        for name, row in self.database.tables.nodes.items():
            if row["state"] != "ready" and row["attempt_id"] is None and self.dice.random.random() < 0.2:
                self.nodes[name].restart()
                row["state"] = "ready"

    def _shop(self) -> Generator[Any, Any, None]:
        """A customer: some orders, some cancels."""
        for n in range(self.dice.random.randint(1, 4)):
            job_id = self.dice.new()
            self.jobs.append(job_id)
            yield from self._order(job_id, f"order-{n}", price_ucr=self.dice.random.choice((0, CREDIT)))
            yield Sleep(self.dice.random.random() * 20)
            if self.dice.happens(0.3):
                yield from self._cancel(self.dice.random.choice(self.jobs))
        while True:
            yield Sleep(1000.0)

    def _order(self, job_id: UUID, key: str, *, price_ucr: int) -> Generator[Any, Any, None]:
        tool = self.catalogue.offered()[0]
        accepted = events.JobAccepted(
            job_id=job_id,
            organisation_id=self.organisation_id,
            account_id=self.account_id,
            tool=tool.name,
            tool_version=tool.version,
            model="sdxl",
            quality="draft",
            width=64,
            height=64,
            images=self.dice.random.randint(1, 2),
            seed=7,
            seed_given=self.dice.random.random() < 0.5,
            price_ucr=price_ucr,
            price_version=1,
            gpu_class=CLASS,
            queue_limit_s=self.dice.random.choice((30, 300)),
            run_limit_s=60,
            expected_ms=3000,
            inputs_mac="00",
            hold_id=hold_id_of(job_id, 1) if price_ucr else None,
        )
        self.database.tables.inputs[job_id] = {"prompt": "a", "negative_prompt": "", "accepted": False}
        want = at_accept(accepted, key=key, body={"n": key}, now=self.clock.now())
        while True:
            try:
                yield from ensure_hold(want)
            except (NotDone, OutcomeUnknown):
                yield Sleep(0.5)
            else:
                return

    def _cancel(self, job_id: UUID) -> Generator[Any, Any, None]:
        """As the service does: the wish first, then the end where nobody has the job."""
        self.database.tables.cancels.add(job_id)
        row = self.database.tables.queue.get(job_id)
        if row is None or row["attempt_id"] is None:
            yield from settle(job_id, Withdrawn(attempt_id=None))

    # --- time and effects

    def run(self) -> None:
        """Play to the end."""
        while self.clock.monotonic_s() < END_AT_S and not self._over():
            actor = min(self.actors, key=lambda actor: actor.wakes_at_s)
            if actor.wakes_at_s > self.clock.monotonic_s():
                self.clock.pass_s(actor.wakes_at_s - self.clock.monotonic_s())
            self._step(actor)
            while actor.transaction.open and actor in self.actors:
                self._step(actor)
            self.check()
        self.check_end()

    def _over(self) -> bool:
        if self.clock.monotonic_s() < QUIET_AT_S:
            return False
        states = [self._job(job_id) for job_id in self.jobs]
        open_ = any(row["state"] != "ended" for row in self.database.tables.attempts.values())
        settled = all(job is not None and job.end is not None for job in states)
        loose = [row for row in self.database.tables.outputs.values() if not row["given"]]
        return settled and not open_ and not loose

    def _step(self, actor: Actor) -> None:
        """One effect of one actor, or its death."""
        actor.wakes_at_s = self.clock.monotonic_s() + self.dice.random.random() * 0.01
        self._mischief()
        try:
            effect = actor.core.throw(actor.error) if actor.error else actor.core.send(actor.answer)
        except (StopIteration, SettlementStuck, ConnectionLost, NotDone, OutcomeUnknown):
            self._die(actor)
            return
        actor.answer = actor.error = None
        if actor.name != "customer" and self.dice.happens(self.crash):
            self._die(actor, before=True)
            return
        try:
            actor.answer = self._answer(actor, effect)
        except (ConnectionLost, NotDone, OutcomeUnknown, StoreUnavailable) as error:
            actor.error = error
        if actor.name != "customer" and self.dice.happens(self.crash):
            self._die(actor)

    def _die(self, actor: Actor, *, before: bool = False) -> None:
        """A process is gone; another takes its place a little later."""
        self._count("died before" if before else "died")
        actor.core.close()
        actor.transaction.rollback()
        fresh = self._actor(actor.name)
        fresh.wakes_at_s = self.clock.monotonic_s() + self.dice.random.random() * 5
        self.actors[self.actors.index(actor)] = fresh

    def _mischief(self) -> None:
        if self.dice.happens(0.004):
            self.dice.random.choice(list(self.nodes.values())).script(
                self.dice.random.choice(FAULTS), seconds=self.dice.random.random() * 3
            )
        if self.dice.happens(0.002):
            self.dice.random.choice(list(self.nodes.values())).kill()
        if self.dice.happens(0.001):
            self.clock.pass_s(self.dice.random.random() * 2 * LEASE_S)
        self.objects.away = self.dice.happens(0.01)

    def _answer(self, actor: Actor, effect: Any) -> Any:
        match effect:
            case Run(statement, params):
                self._may_lose(actor)
                return actor.transaction.run(statement, params)
            case _Moved(position):
                actor.transaction.run(_MOVE, {"position": position})
                return None
            case Commit():
                return self._commit(actor)
            case Submit(asked):
                return self._submit(asked)
            case Sleep(seconds) | effects.Rest(seconds):
                actor.wakes_at_s = self.clock.monotonic_s() + seconds
                return None
            case Wake() | effects.Listen() | effects.Tell():
                return None
            case _Took(claim):
                actor.claim = claim
                return None
            case _:
                return self._answer_more(actor, effect)

    def _answer_more(self, actor: Actor, effect: Any) -> Any:
        match effect:
            case Stream(stream_id):
                self._may_lose(actor)
                return self.ledger.stream(stream_id)
            case HoldOf(hold_id):
                return self.ledger.hold(hold_id)
            case Now():
                return self.clock.now()
            case effects.Put(key, content, mime):
                return self.objects.put(key, content, mime=mime)
            case effects.Erase(key):
                return self.objects.delete(key)
            case effects.Pulse():
                return self._pulse(actor)
            case _:
                return self._answer_node(actor, effect)

    def _answer_node(self, actor: Actor, effect: Any) -> Any:
        assert actor.claim is not None
        node, attempt_id = self.nodes[actor.claim.node], actor.claim.attempt_id
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
        if self.dice.happens(self.lost):
            actor.transaction.rollback()
            raise ConnectionLost("before")

    def _commit(self, actor: Actor) -> None:
        self._may_lose(actor)
        actor.transaction.commit()
        if self.dice.happens(self.lost):
            raise ConnectionLost("the acknowledgement")

    def _submit(self, asked: Any) -> Any:
        if self.dice.happens(self.lost):
            raise NotDone("withdrawn")
        answer = self.ledger.submit(asked)
        if self.dice.happens(self.lost):
            raise OutcomeUnknown("the acknowledgement")
        return answer

    def _pulse(self, actor: Actor) -> effects.Vitals:
        """The heart, as it would have beaten until now: it renews every five seconds, and reads."""
        claim, now_s = actor.claim, self.clock.monotonic_s()
        assert claim is not None
        tables = self.database.tables
        row = tables.attempts[claim.attempt_id]
        lost = row["token"] != claim.token or row["state"] == "ended"
        if not lost and now_s - actor.renewed_s >= 5.0:
            row["lease_until"] = max(row["lease_until"], self.clock.now() + _LEASE)
            actor.renewed_s = now_s
        return effects.Vitals(
            now_s=now_s,
            lost=lost,
            cancel_asked=claim.job_id in tables.cancels,
            job_ended=claim.job_id in tables.ended,
            heard_s=None,
            preview_s=None,
        )

    # --- what must hold

    def check(self) -> None:
        """After every step, of what was appended by it: invariants 47 and 48."""
        head = self.ledger.head()
        for item in self.ledger.log(after=self._checked, limit=head - self._checked) if head > self._checked else []:
            self._checked = item.position
            if item.tag == "workers.job-succeeded.v1":
                self._check_given(item)

    def _check_given(self, item: RecordedEvent) -> None:
        event = events.job_event(item.state)
        assert isinstance(event, events.JobSucceeded)
        rows = self.database.tables.outputs
        for output in event.outputs:
            row = rows[output.output_id]
            assert row["sha256"] == output.sha256
            assert row["object_key"] in self.objects.objects, "charged without its picture"

    def check_end(self) -> None:
        """At the end: every job ended once, nothing held, a picture for each charge and a charge for each picture."""
        given: set[str] = set()
        charged_ucr = 0
        for job_id in self.jobs:
            job = self._job(job_id)
            assert job is not None and job.end is not None, f"job {job_id} never ended"
            charged_ucr += job.charged_ucr
            self._check_hold(job)
            if isinstance(job.end, events.JobSucceeded):
                given |= {self.database.tables.outputs[output.output_id]["object_key"] for output in job.end.outputs}
            self._count(job.phase)
        balance = self.ledger.balance(self.account_id)
        assert balance is not None
        assert (balance.held_ucr, balance.open_holds) == (0, 0)
        assert balance.posted_ucr == 20 * CREDIT - charged_ucr
        assert set(self.objects.objects) == given
        assert all(row["state"] == "ended" for row in self.database.tables.attempts.values())

    def _check_hold(self, job: Job) -> None:
        if job.hold_id is None:
            assert job.charged_ucr == 0
            return
        hold = self.ledger.hold(job.hold_id)
        assert hold is not None
        paid = job.accepted.price_ucr if isinstance(job.end, events.JobSucceeded) else 0
        assert (hold.committed_ucr, job.charged_ucr) == (paid, paid)
        assert hold.state in ({"committed"} if paid else {"released", "expired"})

    def _job(self, job_id: UUID) -> Job | None:
        return fold(self.ledger.stream(job_id))

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
