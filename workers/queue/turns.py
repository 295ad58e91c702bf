"""A turn: somebody said that a slot of a class may be free, so claim, run, and look again until nothing is left."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from threading import Event

import psycopg

from ledger.errors import LedgerError
from ledger.ports import Ids
from ledger.sansio import Commit, Core, Row, Run
from workers.attempt.driver import Workshop, run
from workers.attempt.report import Report
from workers.attempt.work import Claim
from workers.driving import CoreDriver
from workers.generation.settle import SettlementStuck
from workers.limits import LEASE_S, RUN_LEAST_S, SETTLE_MARGIN_S
from workers.queue import statements

_log = logging.getLogger(__name__)

Observe = Callable[[Claim], AbstractContextManager[Callable[[Report], None]]]
"""Wraps one attempt, for spans and metrics; what it gives is told the report."""


def unobserved(_claim: Claim) -> AbstractContextManager[Callable[[Report], None]]:
    """Nobody watches."""
    return nullcontext(lambda _report: None)


class Turns:
    """Takes turns, on as many threads as call it. ``stop`` ends them after the attempts in hand."""

    def __init__(self, workshop: Workshop, ids: Ids, observe: Observe = unobserved) -> None:
        self._workshop = workshop
        self._ids = ids
        self._observe = observe
        self._stopping = Event()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping.set()

    def take(self, gpu_class: str) -> int:
        """Run attempts of a class until none can be claimed; how many."""
        done = 0
        while not self._stopping.is_set():
            claim = self._claim(gpu_class)
            if claim is None:
                break
            self._run(claim)
            done += 1
        return done

    def _claim(self, gpu_class: str) -> Claim | None:
        nodes = sorted(self._workshop.nodes)
        try:
            return CoreDriver(self._workshop.around).drive(claim_one(gpu_class, nodes, self._ids))
        except (psycopg.errors.UniqueViolation, LedgerError) as error:
            _log.warning("nothing was claimed: %s", error)
            return None

    def _run(self, claim: Claim) -> None:
        """Run one attempt. Whatever goes wrong with it here, its lease lapses and somebody takes it over."""
        try:
            with self._observe(claim) as told:
                report = run(self._workshop, claim)
                told(report)
        except (SettlementStuck, LedgerError, psycopg.Error) as error:
            _log.warning("attempt %s was left to whoever takes it over: %s", claim.attempt_id, error)
            return
        if report.node_state is not None:
            _log.warning("node %s is %s after %s", claim.node, report.node_state, report.verdict)
        _log.info("attempt %s of job %s: %s", claim.attempt_id, claim.job_id, report.result)


def claim_one(gpu_class: str, nodes: list[str], ids: Ids) -> Core[Claim | None]:
    """Take over an attempt whose worker died, or else claim the best job with a free slot; None for neither."""
    facts = {"gpu_class": gpu_class, "nodes": nodes, "lease_s": LEASE_S, "token": ids.new()}
    rows: list[Row] = yield Run(statements.TAKE_OVER, facts)
    if not rows:
        least_s = SETTLE_MARGIN_S + RUN_LEAST_S
        rows = yield Run(statements.CLAIM, {**facts, "attempt_id": ids.new(), "least_s": least_s})
    yield Commit()
    return Claim.of(rows[0]) if rows else None
