"""Where spans and measurements go: to a collector (OTLP), to whoever scrapes us (Prometheus), or nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider as RealMeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace import TracerProvider as RealTracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, NoOpTracerProvider, SpanKind, TraceFlags, TracerProvider
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from ledger.limits import BATCH_COMMANDS_MAX
from tallystick import __version__
from tallystick.errors import ServiceError
from tallystick.settings import Settings

_METRICS_EVERY_MS = 15_000
_EXPORT_TIMEOUT_S = 2


@dataclass(kw_only=True)
class Providers:
    """What makes tracers and meters. ``metrics_url`` is where Prometheus may ask; ``closers`` flush and stop."""

    tracers: TracerProvider = field(default_factory=NoOpTracerProvider)
    meters: MeterProvider = field(default_factory=NoOpMeterProvider)
    metrics_url: str | None = None
    closers: list[Callable[[], Any]] = field(default_factory=list[Callable[[], Any]])


class LinkedSampler(Sampler):
    """Keeps what is linked to a kept span: a batch is kept where one of its requests is. Else ``others`` decides."""

    def __init__(self, others: Sampler) -> None:
        self._others = others

    def should_sample(  # noqa: PLR0913, PLR0917  # the library's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """See ``Sampler``."""
        if any(link.context.trace_flags & TraceFlags.SAMPLED for link in links or ()):
            return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)
        return self._others.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """See ``Sampler``."""
        return f"LinkedSampler({self._others.get_description()})"


def providers_for(settings: Settings, component: str) -> Providers:
    """What the settings ask for; without a collector and a metrics port, nothing.

    :raises ServiceError: the metrics port cannot be had.
    """
    resource = Resource.create(
        {"service.name": "tallystick", "service.version": __version__, "service.component": component}
    )
    found = Providers()
    readers: list[MetricReader] = []
    if settings.otlp_endpoint is not None:
        readers.append(_collector(found, resource, settings.otlp_endpoint, settings.trace_percent))
    if settings.metrics_port is not None:
        readers.append(_prometheus(found, settings.host, settings.metrics_port))
    if readers:
        meters = RealMeterProvider(readers, resource=resource, shutdown_on_exit=False)
        found.meters = meters
        found.closers.insert(0, meters.shutdown)
    return found


def _collector(found: Providers, resource: Resource, endpoint: str, percent: int) -> MetricReader:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415  half a second
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  likewise

    spans = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=_EXPORT_TIMEOUT_S)
    tracers = tracer_provider(resource, percent)
    tracers.add_span_processor(BatchSpanProcessor(spans))
    found.tracers = tracers
    found.closers.append(tracers.shutdown)
    metrics = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=_EXPORT_TIMEOUT_S)
    return PeriodicExportingMetricReader(metrics, export_interval_millis=_METRICS_EVERY_MS)


def tracer_provider(resource: Resource | None = None, percent: int = 100) -> RealTracerProvider:
    """Makes tracers that keep a share of the traces begun here, and every one that a caller keeps."""
    return RealTracerProvider(
        sampler=LinkedSampler(ParentBased(TraceIdRatioBased(percent / 100))),
        resource=resource,
        span_limits=SpanLimits(max_links=BATCH_COMMANDS_MAX),
        shutdown_on_exit=False,
    )


def _prometheus(found: Providers, host: str, port: int) -> MetricReader:
    import prometheus_client as client  # noqa: PLC0415  most processes do without
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415  likewise

    registry = client.CollectorRegistry()
    for collector in (client.ProcessCollector, client.PlatformCollector, client.GCCollector):
        collector(registry=registry)
    try:
        server, thread = client.start_http_server(port, host, registry)
    except OSError as error:
        raise ServiceError("metrics", f"port {port} on {host}: {error.strerror}") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    found.metrics_url = f"http://{host}:{server.server_port}/metrics"
    found.closers.append(stop)
    return PrometheusMetricReader(registry=registry, scope_info_enabled=False)
