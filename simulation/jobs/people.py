"""Who does something over time: workers, the sweeps with the follower, a customer."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from ledger.errors import NotDone, OutcomeUnknown
from ledger.sansio import Commit, Sleep
from simulation.jobs.stage import CLASS, CREDIT, Stage
from workers.attempt.core import run_attempt
from workers.attempt.work import Claim, Work
from workers.generation import events
from workers.generation.reserve import at_accept, ensure_hold, hold_id_of
from workers.generation.settle import Withdrawn, settle
from workers.queue import sweeps
from workers.queue.follower import JobsFollower
from workers.queue.turns import claim_one

_REPAIRED, _SEED_GIVEN = 0.2, 0.5
Doing = Generator[Any, Any, None]


@dataclass(frozen=True)
class Took:
    """A worker says which attempt it has."""

    claim: Claim | None


@dataclass(frozen=True)
class Moved:
    """The follower moves its position."""

    position: int


def work(stage: Stage) -> Doing:
    """A worker: claim, run, again."""
    while True:
        claim = yield from claim_one(CLASS, sorted(stage.nodes), stage.dice)
        if claim is None:
            yield Sleep(1.0)
            continue
        yield Took(claim)
        report = yield from run_attempt(Work(claim, stage.catalogue, rate_micro_hour=1_000_000))
        stage.count(f"{report.result}:{report.verdict}")
        yield Took(None)


def sweep(stage: Stage) -> Doing:
    """The follower and the sweeps, each second; and the operator who brings nodes back."""
    follower = JobsFollower()
    while True:
        yield from _follow(stage, follower)
        yield from sweeps.end_overdue()
        yield from sweeps.end_cancelled()
        yield from sweeps.sweep_outputs(age_s=60.0)
        _bring_back(stage)
        yield Sleep(1.0)


def _follow(stage: Stage, follower: JobsFollower) -> Doing:
    position = stage.database.tables.position
    recorded = stage.ledger.log(after=position, limit=100)
    if recorded:
        yield from follower.fold(recorded)
        yield Moved(recorded[-1].position)
        yield Commit()


def _bring_back(stage: Stage) -> None:
    for name, row in stage.database.tables.nodes.items():
        if row["state"] != "ready" and row["attempt_id"] is None and stage.dice.fraction() < _REPAIRED:
            stage.nodes[name].restart()
            row["state"] = "ready"


def shop(stage: Stage) -> Doing:
    """A customer: some orders, some cancels."""
    for n in range(stage.dice.between(1, 4)):
        job_id = stage.dice.new()
        stage.jobs.append(job_id)
        yield from _order(stage, job_id, f"order-{n}", price_ucr=stage.dice.choose((0, CREDIT)))
        yield Sleep(stage.dice.fraction() * 20)
        if stage.dice.happens(0.3):
            yield from _cancel(stage, stage.dice.choose(stage.jobs))
    while True:
        yield Sleep(1000.0)


def _order(stage: Stage, job_id: UUID, key: str, *, price_ucr: int) -> Doing:
    tool = stage.catalogue.offered()[0]
    accepted = events.JobAccepted(
        job_id=job_id,
        organisation_id=stage.organisation_id,
        account_id=stage.account_id,
        tool=tool.name,
        tool_version=tool.version,
        model="sdxl",
        quality="draft",
        width=64,
        height=64,
        images=stage.dice.between(1, 2),
        seed=7,
        seed_given=stage.dice.fraction() < _SEED_GIVEN,
        price_ucr=price_ucr,
        price_version=1,
        gpu_class=CLASS,
        queue_limit_s=stage.dice.choose((30, 300)),
        run_limit_s=60,
        expected_ms=3000,
        inputs_mac="00",
        hold_id=hold_id_of(job_id, 1) if price_ucr else None,
    )
    stage.database.tables.inputs[job_id] = {"prompt": "a", "negative_prompt": "", "accepted": False}
    want = at_accept(accepted, key=key, body={"n": key}, now=stage.clock.now())
    while True:
        try:
            yield from ensure_hold(want)
        except (NotDone, OutcomeUnknown):
            yield Sleep(0.5)
        else:
            return


def _cancel(stage: Stage, job_id: UUID) -> Doing:
    """As the service does: the wish first, then the end where nobody has the job."""
    stage.database.tables.cancels.add(job_id)
    row = stage.database.tables.queue.get(job_id)
    if row is None or row["attempt_id"] is None:
        yield from settle(job_id, Withdrawn(attempt_id=None))
