"""Around the ledger's writer: one span a batch, linked to every request in it, with its lock wait and its commit."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, get_current_span

from ledger.domain.verdicts import Answer
from ledger.flights import Answered
from ledger.writer.prepare import Prepared
from ledger.writer.requests import Append, ReadAhead, ReadUnderLock, UnderLock, WriterRequest
from ledger.writer_thread import Observer
from tallystick.telemetry.carrier import links_to
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.ledger import outcome_of


class BatchObserver:
    """``ledger.writer_thread.Observer``."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._instruments = telemetry.instruments

    @contextlib.contextmanager
    def batch(self, batch: Sequence[Prepared]) -> Generator[Answered]:
        """Around a batch. It is a trace of its own, begun where one of its requests is traced."""
        self._instruments.ledger_batch.record(len(batch))
        links = links_to(item.request.traceparent for item in batch)
        facts = {"tallystick.requests": len(batch)}
        try:
            if not links:
                yield partial(self._count, batch)
                return
            with self._telemetry.span("ledger batch", Context(), links=links, attributes=facts):
                yield partial(self._count, batch)
        except Exception:
            self._instruments.ledger_unknown.add(len(batch))
            raise

    def _count(self, batch: Sequence[Prepared], answers: Sequence[Answer]) -> None:
        outcomes = (outcome_of(item.request, answer) for item, answer in zip(batch, answers, strict=True))
        for outcome, count in Counter(outcomes).items():
            self._instruments.ledger_answers.add(count, {"outcome": outcome})

    def step(self, request: WriterRequest, answer: Callable[[WriterRequest], Any]) -> Any:
        """Around one question to the store."""
        match request:
            case ReadUnderLock():
                return self._read(request, answer)
            case ReadAhead():
                return self._read_ahead(request, answer)
            case Append():
                return self._append(request, answer)
            case _:
                get_current_span().add_event(type(request).__name__.lower())
                return answer(request)

    def _read(self, request: ReadUnderLock, answer: Callable[[WriterRequest], Any]) -> Any:
        with self._span("ledger lock and read") as span:
            start = time.perf_counter()
            read: UnderLock = answer(request)
            self._instruments.ledger_read.record(time.perf_counter() - start)
            self._waited(span, read.waited_s)
            return read

    def _read_ahead(self, request: ReadAhead, answer: Callable[[WriterRequest], Any]) -> Any:
        with self._span("ledger read ahead"):
            start = time.perf_counter()
            read = answer(request)
            self._instruments.ledger_read.record(time.perf_counter() - start)
            return read

    def _waited(self, span: Span, waited_s: float) -> None:
        self._instruments.ledger_lock_wait.record(waited_s)
        span.set_attribute("tallystick.lock_wait_s", waited_s)

    def _append(self, request: Append, answer: Callable[[WriterRequest], Any]) -> Any:
        with self._span("ledger commit") as span:
            span.set_attributes(
                {"tallystick.events": len(request.events), "tallystick.position": request.head.position}
            )
            start = time.perf_counter()
            waited_s: float | None = answer(request)
            self._instruments.ledger_commit.record(time.perf_counter() - start)
            if waited_s is not None:
                self._waited(span, waited_s)
            return waited_s

    @contextlib.contextmanager
    def _span(self, name: str) -> Generator[Span]:
        """A child of the batch's span, where there is one."""
        batch = get_current_span()
        if not batch.is_recording():
            yield batch
            return
        with self._telemetry.span(name) as span:
            yield span


def batch_observer(telemetry: Telemetry) -> Observer | None:
    """What the ledger's writer is watched by, where somebody looks."""
    return BatchObserver(telemetry) if telemetry.on else None
