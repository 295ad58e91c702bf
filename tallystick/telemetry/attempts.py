"""Around attempts and nodes: an attempt is part of the trace of the request that ordered its job."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

import psycopg
from opentelemetry.trace import Link, SpanKind, get_current_span
from psycopg_pool import ConnectionPool

from tallystick.telemetry.carrier import context_of
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.logs import bound
from tallystick.telemetry.statements import TRACE_OF_STREAM
from workers.attempt.report import Report
from workers.attempt.work import Claim
from workers.nodes.port import (
    CancelAsked,
    Capabilities,
    Done,
    Executor,
    Fetch,
    Graph,
    Healthy,
    JobState,
    Live,
    OutputFile,
    Submission,
    Unreachable,
    Upload,
)

P = ParamSpec("P")
T = TypeVar("T")
_POOL_WAIT_S = 2.0


class AttemptObserver:
    """``workers.queue.turns.Observe``: a span under the job's own, linked to the message that started it."""

    def __init__(self, telemetry: Telemetry, pool: ConnectionPool[Any]) -> None:
        self._telemetry = telemetry
        self._pool = pool

    @contextlib.contextmanager
    def __call__(self, claim: Claim) -> Generator[Callable[[Report], None]]:
        """Around one attempt."""
        facts = {"job_id": str(claim.job_id), "attempt_id": str(claim.attempt_id), "node": claim.node}
        message = get_current_span().get_span_context()
        links = [Link(message)] if message.is_valid else []
        context = context_of(self._trace_of(claim.job_id))
        start = time.perf_counter()
        with (
            bound(**facts),
            self._telemetry.span("attempt", context, SpanKind.CONSUMER, links=links, attributes=facts) as span,
        ):

            def told(report: Report) -> None:
                span.set_attributes({"tallystick.result": report.result, "tallystick.verdict": report.verdict or ""})
                self._telemetry.instruments.attempts.add(1, {"gpu_class": claim.gpu_class, "result": report.result})

            yield told
        self._telemetry.instruments.attempt_time.record(time.perf_counter() - start, {"gpu_class": claim.gpu_class})

    def _trace_of(self, job_id: UUID) -> str | None:
        """The trace that the job was accepted in; a database that is away is no reason not to run it."""
        if not self._telemetry.tracing:
            return None
        try:
            with self._pool.connection(timeout=_POOL_WAIT_S) as connection:
                row = connection.execute(TRACE_OF_STREAM.sql.encode(), {"stream_id": job_id}).fetchone()
        except psycopg.Error:
            return None
        return None if row is None else row[0]


class TracedExecutor:
    """``workers.nodes.port.Executor`` that is seen. Polls are measured and leave no span."""

    def __init__(self, inner: Executor, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry

    @property
    def name(self) -> str:
        """See ``Executor``."""
        return self._inner.name

    def submit(self, attempt_id: UUID, graph: Graph) -> Submission:
        """See ``Executor``."""
        return self._seen("submit", self._inner.submit, attempt_id, graph)

    def look_up(self, attempt_id: UUID) -> JobState:
        """See ``Executor``."""
        return self._timed("look_up", self._inner.look_up, attempt_id)

    def fetch(self, file: OutputFile, *, bytes_max: int) -> Fetch:
        """See ``Executor``."""
        return self._seen("fetch", self._inner.fetch, file, bytes_max=bytes_max)

    def upload(self, name: str, content: bytes) -> Upload:
        """See ``Executor``."""
        return self._seen("upload", self._inner.upload, name, content)

    def cancel(self, attempt_id: UUID) -> CancelAsked | Unreachable:
        """See ``Executor``."""
        return self._seen("cancel", self._inner.cancel, attempt_id)

    def interrupt(self, attempt_id: UUID) -> Done | Unreachable:
        """See ``Executor``."""
        return self._seen("interrupt", self._inner.interrupt, attempt_id)

    def free(self) -> Done | Unreachable:
        """See ``Executor``."""
        return self._seen("free", self._inner.free)

    def capabilities(self) -> Capabilities | Unreachable:
        """See ``Executor``."""
        return self._timed("capabilities", self._inner.capabilities)

    def health(self) -> Healthy | Unreachable:
        """See ``Executor``."""
        return self._timed("health", self._inner.health)

    def watch(self, attempt_id: UUID, *, quiet_s: float) -> AbstractContextManager[Iterator[Live]]:
        """See ``Executor``."""
        return self._inner.watch(attempt_id, quiet_s=quiet_s)

    def _seen(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        facts = {"node": self.name}
        if not get_current_span().is_recording():
            return self._timed(what, call, *args, **kwargs)
        with self._telemetry.span(f"node {what}", kind=SpanKind.CLIENT, attributes=facts) as span:
            answer = self._timed(what, call, *args, **kwargs)
            span.set_attribute("tallystick.answer", type(answer).__name__)
            return answer

    def _timed(self, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        start = time.perf_counter()
        answer = call(*args, **kwargs)
        facts = {"node": self.name, "call": what, "answer": type(answer).__name__}
        self._telemetry.instruments.node_calls.record(time.perf_counter() - start, facts)
        return answer


def traced_executor(inner: Executor, telemetry: Telemetry) -> Executor:
    """The executor, seen where somebody looks."""
    return TracedExecutor(inner, telemetry) if telemetry.on else inner
