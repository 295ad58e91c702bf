"""The text form of a trace's context (W3C ``traceparent``), which travels with requests, events and messages."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, TraceFlags, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_HEADER = "traceparent"
_NOWHERE = Context()
_propagator = TraceContextTextMapPropagator()


def current_traceparent() -> str | None:
    """The current span as text; None outside a span that is kept."""
    return traceparent_of(get_current_span().get_span_context())


def traceparent_of(context: SpanContext) -> str | None:
    """A span's context as text; None for one that is not kept."""
    if not context.is_valid or not context.trace_flags & TraceFlags.SAMPLED:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def context_of(traceparent: str | None) -> Context:
    """What to start a child in; an empty context where the text is none or malformed."""
    if traceparent is None:
        return _NOWHERE
    return _propagator.extract({_HEADER: traceparent}, context=_NOWHERE)


def links_to(traceparents: Iterable[str | None]) -> list[Link]:
    """Links to the spans named, each once, malformed ones left out."""
    found = (get_current_span(context_of(text)).get_span_context() for text in dict.fromkeys(traceparents) if text)
    return [Link(context) for context in found if context.is_valid]
