"""Jobs as the API sees them: quote, order, look, cancel. Synchronous; the organisation is part of every question."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from workers.generation.tools import JobParams
from workers.views import JobChanges, JobPage, JobView, Ordered, OutputView, Quote


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
