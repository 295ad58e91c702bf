"""Traces as text, and which are kept."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN_CONTEXT, get_current_span

from tallystick.settings import Settings
from tallystick.telemetry.carrier import context_of, current_traceparent, links_to, traceparent_of
from tallystick.telemetry.core import OFF, Telemetry
from tallystick.telemetry.ledger import traced_ledger
from tallystick.telemetry.messages import message_middleware
from tallystick.telemetry.providers import Providers, providers_for, tracer_provider
from tallystick.telemetry.writer import batch_observer

KEPT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NOT_KEPT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def test_a_context_survives_its_text() -> None:
    assert traceparent_of(get_current_span(context_of(KEPT)).get_span_context()) == KEPT


@pytest.mark.parametrize("text", [None, "", "00", "00-0-0-01", "ff-" + KEPT[3:], KEPT[:-2] + "zz", "\0" * 55])
def test_what_is_no_context_is_none(text: str | None) -> None:
    assert not get_current_span(context_of(text)).get_span_context().is_valid
    assert links_to([text]) == []


def test_a_trace_that_is_not_kept_is_not_carried() -> None:
    assert traceparent_of(INVALID_SPAN_CONTEXT) is None
    assert traceparent_of(get_current_span(context_of(NOT_KEPT)).get_span_context()) is None
    assert current_traceparent() is None


def test_links_name_each_span_once() -> None:
    assert len(links_to([KEPT, KEPT, None])) == 1


def test_what_is_linked_to_a_kept_span_is_kept_and_a_callers_decision_holds() -> None:
    spans = InMemorySpanExporter()
    tracers = tracer_provider(percent=0)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    tracer = Telemetry(Providers(tracers=tracers)).tracer
    for name, context, links in [
        ("ours", None, []),
        ("theirs, kept", context_of(KEPT), []),
        ("theirs, not kept", context_of(NOT_KEPT), []),
        ("linked", None, links_to([KEPT])),
        ("linked to one not kept", None, links_to([NOT_KEPT])),
    ]:
        tracer.start_span(name, context, links=links).end()
    assert {span.name for span in spans.get_finished_spans()} == {"theirs, kept", "linked"}


def test_where_nothing_is_configured_nothing_is_wrapped() -> None:
    telemetry = Telemetry(providers_for(Settings(), "api"))
    ledger = object()
    assert not telemetry.on and not OFF.on
    assert traced_ledger(ledger, telemetry) is ledger  # type: ignore[arg-type, comparison-overlap]
    assert batch_observer(telemetry) is None
    assert message_middleware(telemetry) == ()
    telemetry.close()


def test_a_span_keeps_the_kind_of_an_exception_and_nothing_of_what_it_says() -> None:
    spans = InMemorySpanExporter()
    tracers = tracer_provider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    telemetry = Telemetry(Providers(tracers=tracers))
    with pytest.raises(ValueError, match="a fox"), telemetry.span("order"):
        raise ValueError("a prompt about a fox")
    (span,) = spans.get_finished_spans()
    assert span.status.description == "ValueError" and not span.status.is_ok
    assert "fox" not in span.to_json()
