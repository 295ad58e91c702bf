"""Jobs as the API sees them: quote, order, look, cancel. Synchronous; the organisation is part of every question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from msgspec.structs import replace

from ledger.domain.codec import RecordedEvent
from ledger.ports import Ids
from ledger.sansio import Row, Statement
from workers import statements
from workers.catalogue import Catalogue
from workers.driving import CoreDriver, Rows, Surroundings
from workers.errors import JobUnknown
from workers.generation.events import JobSucceeded
from workers.generation.job import Job, fold
from workers.generation.settle import Withdrawn, settle
from workers.generation.tools import JobParams
from workers.limits import PAGE_MAX
from workers.objects.port import ObjectStore
from workers.ordering import Order, Ordering
from workers.progress import Progress
from workers.viewing import changes_of, job_view, output_views, place_view, row_outputs, row_view
from workers.views import ENDED, JobChanges, JobPage, JobState, JobView, Ordered, OutputView, Quote


class Jobs(Protocol):
    """The port behind the job routes."""

    def quote(self, organisation_id: UUID, account_id: UUID, params: JobParams) -> Quote:
        """Price a request without running it.

        :raises InvalidInputs: outside the tool's bounds.
        """
        ...

    def generate(
        self, organisation_id: UUID, account_id: UUID, key: str, params: JobParams, key_id: UUID | None = None
    ) -> Ordered:
        """Order a job under the caller's idempotency key; hold and acceptance are one append.

        :raises InvalidInputs: outside the tool's bounds; nothing was stored under the key.
        :raises OrderRefused: the ledger refused (402 facts in ``facts``; ``idempotency-key-conflict`` has ``field``).
        :raises ledger.errors.NotDone, ledger.errors.OutcomeUnknown: ask again with the same key.
        """
        ...

    def get(self, organisation_id: UUID, job_id: UUID) -> JobView:
        """One job, as of now (read from its stream, not from a read model that may lag).

        :raises JobUnknown: none of this organisation's.
        """
        ...

    def list(
        self, organisation_id: UUID, *, after: int | None = None, limit: int = 50, state: str | None = None
    ) -> JobPage:
        """Jobs newest first; ``after`` is ``JobPage.next_after``. Lags the log by the jobs follower."""
        ...

    def cancel(self, organisation_id: UUID, job_id: UUID) -> JobView:
        """Ask for a job's end: at once where it waits, within about a second where it runs; an ended job stays.

        :raises JobUnknown: none of this organisation's.
        """
        ...

    def outputs(self, organisation_id: UUID, job_id: UUID) -> tuple[OutputView, ...]:
        """Pictures of a job with fresh links; empty before it succeeded.

        :raises JobUnknown: none of this organisation's.
        """
        ...

    def job_changes(self, organisation_id: UUID, job_id: UUID, after_position: int = 0) -> JobChanges:
        """State changes after a log position, for live streams that resume.

        :raises JobUnknown: none of this organisation's.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class JobsParts:
    """What the service stands on."""

    around: Surroundings
    catalogue: Catalogue
    objects: ObjectStore
    progress: Progress
    ids: Ids


class JobsService:
    """See ``Jobs``."""

    def __init__(self, parts: JobsParts) -> None:
        self._around = parts.around
        self._objects = parts.objects
        self._progress = parts.progress
        self._ordering = Ordering(parts.around, parts.catalogue, parts.ids)

    def quote(self, organisation_id: UUID, account_id: UUID, params: JobParams) -> Quote:
        """See ``Jobs``."""
        del organisation_id  # prices are the same for all, so far
        return self._ordering.quote(account_id, params)

    def generate(
        self, organisation_id: UUID, account_id: UUID, key: str, params: JobParams, key_id: UUID | None = None
    ) -> Ordered:
        """See ``Jobs``."""
        order = Order(organisation_id=organisation_id, account_id=account_id, key=key, params=params, key_id=key_id)
        taken = self._ordering.order(order)
        return Ordered(
            job=self.get(organisation_id, taken.job_id),
            replayed=taken.replayed,
            available_ucr=taken.available_ucr,
            held_ucr=taken.held_ucr,
        )

    def get(self, organisation_id: UUID, job_id: UUID) -> JobView:
        """See ``Jobs``."""
        job, _recorded = self._load(organisation_id, job_id)
        return self._view(job)

    def list(
        self, organisation_id: UUID, *, after: int | None = None, limit: int = 50, state: str | None = None
    ) -> JobPage:
        """See ``Jobs``."""
        limit = max(1, min(limit, PAGE_MAX))
        known = {"accepted": "queued"}.get(state, state) if state else None
        facts = {"organisation_id": organisation_id, "after": after, "state": known, "limit": limit + 1}
        rows = self._read(statements.LIST, facts)
        now = self._around.clock.now()
        jobs = tuple(
            row_view(row, outputs=output_views(self._objects, row["job_id"], row["attempt_id"], row_outputs(row), now))
            for row in rows[:limit]
        )
        return JobPage(jobs=jobs, next_after=rows[limit - 1]["accepted_position"] if len(rows) > limit else None)

    def cancel(self, organisation_id: UUID, job_id: UUID) -> JobView:
        """See ``Jobs``."""
        job, _recorded = self._load(organisation_id, job_id)
        if job.end is not None:
            return self._view(job)
        facts = {"job_id": job_id, "organisation_id": organisation_id}
        self._read(statements.ASK_CANCEL, facts)
        # from here on nobody claims it; a worker that has it reads the wish at its next heartbeat
        if self._standing(facts)["attempt_id"] is None:
            settled = CoreDriver(self._around).drive(settle(job_id, Withdrawn(attempt_id=None)))
            if settled.job is not None and settled.job.end is not None:
                self._read(statements.FORGET_CANCEL, facts)
        return self.get(organisation_id, job_id)

    def outputs(self, organisation_id: UUID, job_id: UUID) -> tuple[OutputView, ...]:
        """See ``Jobs``."""
        job, _recorded = self._load(organisation_id, job_id)
        return self._outputs(job)

    def job_changes(self, organisation_id: UUID, job_id: UUID, after_position: int = 0) -> JobChanges:
        """See ``Jobs``."""
        job, recorded = self._load(organisation_id, job_id)
        return JobChanges(changes=tuple(changes_of(recorded, after_position)), ended=job.end is not None)

    def _load(self, organisation_id: UUID, job_id: UUID) -> tuple[Job, list[RecordedEvent]]:
        """Read a job's stream; another organisation's job is as unknown as none."""
        recorded = self._around.ledger.stream(job_id)
        if not recorded or not recorded[0].tag.startswith("workers.job-"):
            raise JobUnknown
        job = fold(recorded)
        if job is None or job.accepted.organisation_id != organisation_id:
            raise JobUnknown
        return job, recorded

    def _view(self, job: Job) -> JobView:
        facts = {"job_id": job.job_id, "organisation_id": job.accepted.organisation_id}
        texts = self._read(statements.INPUTS, facts)
        view = job_view(job, state=self._state(job, facts), outputs=self._outputs(job))
        return replace(
            view,
            prompt=texts[0]["prompt"] if texts else None,
            negative_prompt=texts[0]["negative_prompt"] if texts else None,
            queue=self._place(view.state, facts),
            progress=self._progress.latest(job.job_id) if view.state == "running" else None,
        )

    def _state(self, job: Job, facts: dict[str, Any]) -> JobState:
        if job.phase in ENDED:
            return job.phase
        standing = self._standing(facts)
        if standing["cancel_asked"]:
            return "cancelling"
        if job.phase == "running":
            return "running"
        return "queued" if standing["queued"] else "accepted"

    def _place(self, state: JobState, facts: dict[str, Any]) -> Any:
        rows = self._read(statements.PLACE, facts) if state == "queued" else []
        return place_view(rows[0]) if rows else None

    def _outputs(self, job: Job) -> tuple[OutputView, ...]:
        end = job.end
        if not isinstance(end, JobSucceeded):
            return ()
        return output_views(self._objects, job.job_id, end.attempt_id, end.outputs, self._around.clock.now())

    def _standing(self, facts: dict[str, Any]) -> Row:
        return self._read(statements.STANDING, facts)[0]

    def _read(self, statement: Statement, facts: dict[str, Any]) -> list[Row]:
        rows = Rows(self._around.pool)
        try:
            found = rows.run(statement, facts)
            rows.commit()
        finally:
            rows.give_back()
        return found
