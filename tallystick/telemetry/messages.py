"""Between dramatiq's messages: the sender's trace goes with a message, and its handling is part of that trace."""

from __future__ import annotations

from threading import local
from typing import Any

import dramatiq
from opentelemetry.context import attach, detach
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context

from tallystick.telemetry.carrier import context_of, current_traceparent
from tallystick.telemetry.core import Telemetry

OPTION = "traceparent"


class TracedMessages(dramatiq.Middleware):
    """Middleware of a broker. A message that was sent outside a trace (by a sweep) is handled without a span."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._here = local()

    def before_enqueue(self, broker: dramatiq.Broker, message: dramatiq.Message[Any], delay: int) -> None:
        """Put the current span into the message."""
        del broker, delay
        traceparent = current_traceparent()
        if traceparent is not None:
            message.options[OPTION] = traceparent

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        """Begin a span under the sender's."""
        del broker
        traceparent = message.options.get(OPTION)
        if traceparent is None:
            return
        span = self._telemetry.tracer.start_span(
            f"message {message.actor_name}", context_of(traceparent), SpanKind.CONSUMER
        )
        self._here.open = (span, attach(set_span_in_context(span)))

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: dramatiq.MessageProxy,
        *,
        result: Any = None,
        exception: BaseException | None = None,
    ) -> None:
        """End it."""
        del broker, result
        outcome = "done" if exception is None else "failed"
        self._telemetry.instruments.messages.add(1, {"actor": message.actor_name, "outcome": outcome})
        found: tuple[Span, Any] | None = getattr(self._here, "open", None)
        if found is None:
            return
        self._here.open = None
        span, token = found
        if exception is not None:
            span.set_status(Status(StatusCode.ERROR, type(exception).__name__))
        detach(token)
        span.end()

    def after_skip_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        """A message that was too old."""
        self.after_process_message(broker, message)


def message_middleware(telemetry: Telemetry) -> tuple[dramatiq.Middleware, ...]:
    """What a broker gets."""
    return (TracedMessages(telemetry),) if telemetry.on else ()
