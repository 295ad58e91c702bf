"""Telemetry that a test can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.providers import Providers, tracer_provider


class SeenTelemetry(Telemetry):
    """Keeps spans and measurements in memory."""

    def __init__(self, percent: int = 100) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = tracer_provider(percent=percent)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        super().__init__(Providers(tracers=tracers, meters=MeterProvider([self._reader], shutdown_on_exit=False)))

    def spans(self, name: str = "") -> list[ReadableSpan]:
        """Ended spans whose name begins so."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(name)]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Labels and value (a histogram's count) of an instrument."""
        return [
            (dict(point.attributes), getattr(point, "value", None) or getattr(point, "count", 0))
            for point in self._points(name)
        ]

    def value(self, name: str, **labels: Any) -> float:
        """The sum over all points with these labels."""
        return sum(value for found, value in self.points(name) if labels.items() <= found.items())

    def _points(self, name: str) -> Iterator[Any]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        yield from metric.data.data_points


def trace_id(span: ReadableSpan) -> int:
    """The trace that a span is part of."""
    assert span.context is not None
    return span.context.trace_id


def span_id(span: ReadableSpan) -> int:
    """The span's own id."""
    assert span.context is not None
    return span.context.span_id


def linked(span: ReadableSpan) -> set[int]:
    """Ids of the spans that it is linked to."""
    return {link.context.span_id for link in span.links}


def is_child(span: ReadableSpan, parent: ReadableSpan) -> bool:
    """Whether one span was begun in the other."""
    return span.parent is not None and span.parent.span_id == span_id(parent)
