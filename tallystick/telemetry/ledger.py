"""Around the ledger's port: a span for every request, and counts of what was answered and how jobs ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from opentelemetry.trace import Span, SpanKind, StatusCode

from ledger.domain.codec import RecordedEvent
from ledger.domain.verdicts import Answer, Done
from ledger.errors import LedgerError
from ledger.limits import SUBMIT_TIMEOUT_S
from ledger.ports import Balance, HoldView, PostedEffective, Request
from ledger.serving import ServingLedger
from tallystick.telemetry.carrier import traceparent_of
from tallystick.telemetry.core import Telemetry

_JOB_END = re.compile(r"workers\.job-(succeeded|failed|cancelled|expired)\.v\d+")


class TracedLedger:
    """``ledger.ports.Ledger`` that is seen. Requests carry their span to the writer and into ``event_traces``."""

    def __init__(self, inner: ServingLedger, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry
        self._instruments = telemetry.instruments

    def submit(self, request: Request, *, timeout_s: float = SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self.submit_many([request], timeout_s=timeout_s)[0]

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``LedgerWriter``."""
        operation = requests[0].operation if requests else "nothing"
        facts = {"tallystick.operation": operation, "tallystick.requests": len(requests)}
        with self._telemetry.span(f"ledger {operation}", kind=SpanKind.CLIENT, attributes=facts) as span:
            try:
                answers = self._inner.submit_many(_carrying(requests, span), timeout_s=timeout_s)
            except LedgerError as error:
                self._count(requests, type(error).__name__)
                raise
            self._tell(span, requests, answers)
        return answers

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """The same on an event loop."""
        operation = requests[0].operation if len(requests) == 1 else "many"
        facts = {"tallystick.operation": operation, "tallystick.requests": len(requests)}
        with self._telemetry.span(f"ledger {operation}", kind=SpanKind.CLIENT, attributes=facts) as span:
            try:
                answers = await self._inner.submit_async(_carrying(requests, span))
            except LedgerError as error:
                self._count(requests, type(error).__name__)
                raise
            self._tell(span, requests, answers)
        return answers

    def _tell(self, span: Span, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        for request, answer in zip(requests, answers, strict=True):
            outcome = outcome_of(request, answer)
            self._count([request], outcome)
            if isinstance(answer.verdict, Done):
                span.set_attribute("tallystick.position", answer.verdict.position)
                if not answer.replayed and not request.dry_run:
                    self._count_ends(request)
            else:
                span.set_attribute("tallystick.refused", outcome)
                span.set_status(StatusCode.ERROR if outcome == "internal-error" else StatusCode.UNSET)

    def _count(self, requests: Sequence[Request], outcome: str) -> None:
        for request in requests:
            self._instruments.ledger_requests.add(1, {"operation": request.operation, "outcome": outcome})

    def _count_ends(self, request: Request) -> None:
        for companion in request.on_accept:
            for event in companion.events:
                if found := _JOB_END.fullmatch(event.tag):
                    self._instruments.jobs_ended.add(1, {"end": found[1]})

    def balance(self, account_id: UUID) -> Balance | None:
        """See ``LedgerReader``."""
        return self._inner.balance(account_id)

    def open_holds(self, account_id: UUID, *, limit: int) -> list[HoldView]:
        """See ``LedgerReader``."""
        return self._inner.open_holds(account_id, limit=limit)

    def hold(self, hold_id: UUID) -> HoldView | None:
        """See ``LedgerReader``."""
        return self._inner.hold(hold_id)

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        return self._inner.stream(stream_id, after_version=after_version, limit=limit)

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        return self._inner.log(after=after, limit=limit)

    def head(self) -> int:
        """See ``LedgerReader``."""
        return self._inner.head()

    def balance_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> Balance | None:
        """See ``PastReader``."""
        return self._inner.balance_at(account_id, position=position, recorded_at=recorded_at)

    def open_holds_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None, limit: int
    ) -> list[HoldView]:
        """See ``PastReader``."""
        return self._inner.open_holds_at(account_id, position=position, recorded_at=recorded_at, limit=limit)

    def hold_at(
        self, hold_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> HoldView | None:
        """See ``PastReader``."""
        return self._inner.hold_at(hold_id, position=position, recorded_at=recorded_at)

    def posted_effective(self, account_id: UUID, at: datetime) -> PostedEffective | None:
        """See ``PastReader``."""
        return self._inner.posted_effective(account_id, at)


def traced_ledger(inner: ServingLedger, telemetry: Telemetry) -> ServingLedger:
    """The ledger, seen where somebody looks."""
    return TracedLedger(inner, telemetry) if telemetry.on else inner


def outcome_of(request: Request, answer: Answer) -> str:
    """``done``, ``replayed``, ``tried`` (a dry run that would be done), or the code of the refusal."""
    if not isinstance(answer.verdict, Done):
        return answer.verdict.code
    if answer.replayed:
        return "replayed"
    return "tried" if request.dry_run else "done"


def _carrying(requests: Sequence[Request], span: Span) -> Sequence[Request]:
    traceparent = traceparent_of(span.get_span_context())
    if traceparent is None:
        return requests
    return [msgspec.structs.replace(request, traceparent=traceparent) for request in requests]
