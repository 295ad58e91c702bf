"""What one attempt works on, and its rows: each write is one statement under the attempt's token, tried until told."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.errors import ConnectionLost
from ledger.sansio import Commit, Row, Run, Sleep, Statement
from workers.attempt import statements
from workers.attempt.effects import Acting, Pulse, Vitals
from workers.catalogue import Catalogue
from workers.generation.events import StoredOutput
from workers.generation.job import Job
from workers.generation.tools import Graph, Inputs, Tool
from workers.limits import DETAIL_CHARS_MAX, FAILURES_MAX, LEASE_S, RECHECK_S, SEED_MAX

SUSPECT = "suspect-black"
"""Code of an attempt whose picture was black or of one colour."""

_PAUSE_S = 0.25


class Claim(Struct, frozen=True, kw_only=True):
    """An attempt that this worker holds, as its row says. ``outputs`` are set once all of them are stored."""

    attempt_id: UUID
    job_id: UUID
    organisation_id: UUID
    n: int
    node: str
    gpu_class: str
    state: str
    token: UUID
    outputs: tuple[StoredOutput, ...] = ()

    @classmethod
    def of(cls, row: Row) -> Claim:
        """Read a row of ``statements.CLAIM`` or ``TAKE_OVER``."""
        return msgspec.convert({**row, "outputs": row["outputs"] or []}, cls)


class Fenced(Exception):
    """The lease went to somebody else: nothing more may be done for this attempt."""


class Closing(Struct, frozen=True, kw_only=True):
    """How an attempt's rows end. ``wait_s``: before its job may be claimed again; None, never: it has ended.

    ``node_state`` moves the node, ``cannot`` takes a capability from it, ``failed`` and ``good`` count on it.
    """

    verdict: str
    detail: str = ""
    duplicated: bool = False
    avoid: bool = False
    gpu_class: str | None = None
    wait_s: float | None = None
    failed: bool = False
    good: bool = False
    cannot: str | None = None
    node_state: str | None = None
    reason: str = ""


class Work:
    """One attempt in hand: its claim, its job, and what was learned on the way. Changes only in its core."""

    def __init__(self, claim: Claim, catalogue: Catalogue, *, rate_micro_hour: int = 0) -> None:
        self.claim = claim
        self._catalogue = catalogue
        self._rate_micro_hour = rate_micro_hour
        self._job: Job | None = None
        self.began_s = 0.0
        self.run_limit_s = 0.0
        self.started = False
        self.sent = claim.state != "claimed"
        self.cancel_asked = False

    def adopt(self, job: Job) -> None:
        """Take up the job that the attempt is for; whatever is asked of the work later stands on it."""
        self._job = job
        self.run_limit_s = float(job.accepted.run_limit_s)

    @property
    def job(self) -> Job:
        """The job as it was when the attempt was taken up."""
        assert self._job is not None
        return self._job

    @property
    def runnable(self) -> bool:
        """Whether this worker knows the job's tool."""
        return self._catalogue.knows(self.job.accepted.tool, self.job.accepted.tool_version)

    @property
    def tool(self) -> Tool:
        """The version of the tool that the job was priced with."""
        return self._catalogue.tool(self.job.accepted.tool, self.job.accepted.tool_version)

    @property
    def template(self) -> Graph:
        """The tool's graph."""
        return self._catalogue.graph(self.tool)

    @property
    def needs(self) -> str:
        """What a node must be able to run for it."""
        return self.tool.needs(self.job.accepted.model)

    @property
    def seed(self) -> int:
        """The seed of this attempt: another than the job's only where ours gave black and none was asked for."""
        accepted = self.job.accepted
        if accepted.seed_given or self.job.last_code != SUSPECT:
            return accepted.seed
        return (accepted.seed + len(self.job.requeued)) % (SEED_MAX + 1)

    def inputs(self, *, prompt: str = "", negative_prompt: str = "") -> Inputs:
        """The job's inputs; texts are wanted for the graph alone."""
        accepted = self.job.accepted
        return Inputs(
            prompt=prompt,
            negative_prompt=negative_prompt,
            width=accepted.width,
            height=accepted.height,
            images=accepted.images,
            model=accepted.model,
            quality=accepted.quality,
            seed=self.seed,
        )

    def cost_micro(self, gpu_ms: int) -> int:
        """What node time costs us, in 10⁻⁶ of the book currency."""
        return gpu_ms * self._rate_micro_hour // 3_600_000

    @property
    def names(self) -> dict[str, Any]:
        """Parameters that every statement of the attempt takes."""
        return {"attempt_id": self.claim.attempt_id, "token": self.claim.token, "lease_s": LEASE_S}


def encode_outputs(outputs: tuple[StoredOutput, ...]) -> str:
    """Outputs as JSON text."""
    return msgspec.json.encode(outputs).decode()


def transact(statement: Statement, params: dict[str, Any]) -> Acting[list[Row]]:
    """Run one statement in a transaction of its own, again after a lost connection: each may be run twice."""
    while True:
        try:
            rows: list[Row] = yield Run(statement, params)
            yield Commit()
        except ConnectionLost:
            yield Sleep(_PAUSE_S)
        else:
            return rows


def pulse(work: Work) -> Acting[Vitals]:
    """Feel the heartbeat.

    :raises Fenced: the attempt is no longer ours.
    """
    vitals: Vitals = yield Pulse()
    if vitals.lost:
        raise Fenced
    work.cancel_asked = work.cancel_asked or vitals.cancel_asked or vitals.job_ended
    return vitals


def own(work: Work, statement: Statement, **params: Any) -> Acting[Row]:
    """Write to the attempt under its token.

    :raises Fenced: the token is somebody else's, or the attempt has moved on.
    """
    rows = yield from transact(statement, {**work.names, **params})
    if not rows:
        raise Fenced
    return rows[0]


def node_time(work: Work) -> Acting[int]:
    """Milliseconds on the node so far, 0 where nothing was sent; stands still from the first call on."""
    row = yield from own(work, statements.NODE_TIME)
    return max(0, int(row["gpu_ms"]))


def close(work: Work, closing: Closing) -> Acting[None]:
    """End the attempt's row, free its slot, and let its job wait again unless it has ended."""
    facts = {name: getattr(closing, name) for name in closing.__struct_fields__}
    facts["avoid"] = [work.claim.node] if closing.avoid else []
    facts["detail"] = closing.detail.replace("\0", "")[:DETAIL_CHARS_MAX]
    bounds = {"failures_max": FAILURES_MAX, "recheck_s": RECHECK_S}
    yield from transact(statements.CLOSE, {**work.names, **facts, **bounds})
