"""What one process uses to be seen: begun once from the settings, handed to the wiring, closed at the end."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from threading import Thread

from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, NoOpMeterProvider, Observation
from opentelemetry.trace import INVALID_SPAN, Link, NoOpTracerProvider, Span, SpanKind, StatusCode
from opentelemetry.util.types import Attributes

from tallystick import __version__
from tallystick.settings import Settings
from tallystick.telemetry.instruments import Instruments
from tallystick.telemetry.providers import Providers, providers_for

_log = logging.getLogger(__name__)
CLOSE_S = 2.0
"""How long the end of a process waits for a collector that does not answer."""

Reading = tuple[float, Mapping[str, str]]
"""A value with its labels."""


class Telemetry:
    """Tracer, instruments and gauges of one process. ``tracing`` and ``measuring`` say whether anybody looks."""

    def __init__(self, providers: Providers | None = None) -> None:
        found = providers or Providers()
        self.tracing = not isinstance(found.tracers, NoOpTracerProvider)
        self.measuring = not isinstance(found.meters, NoOpMeterProvider)
        self.tracer = found.tracers.get_tracer("tallystick", __version__)
        self.metrics_url = found.metrics_url
        self._meter = found.meters.get_meter("tallystick", __version__)
        self.instruments = Instruments(self._meter)
        self._closers = found.closers

    @property
    def on(self) -> bool:
        """Whether anybody looks at all; if not, nothing needs to be wrapped."""
        return self.tracing or self.measuring

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        links: Sequence[Link] = (),
        attributes: Attributes = None,
    ) -> Generator[Span]:
        """A current span for the block; without ``context`` a child of the current one.

        Of an exception it keeps the kind alone: messages and stacks may hold what a customer wrote.
        """
        if not self.tracing:
            yield INVALID_SPAN
            return
        with self.tracer.start_as_current_span(
            name,
            context,
            kind,
            links=links,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except Exception as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise

    def gauge(self, name: str, unit: str, meaning: str, read: Callable[[], Sequence[Reading]]) -> None:
        """Have a value read whenever somebody asks for the metrics; ``read`` must not raise and not wait long."""

        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, labels) for value, labels in read()]

        self._meter.create_observable_gauge(name, [observe], unit, meaning)

    def close(self) -> None:
        """Send what is left and stop, within ``CLOSE_S``.

        Each on a thread of its own, which does not keep the process: what is left goes in many requests, and the
        library waits for each, and tries again.
        """
        threads = [Thread(target=close, name="telemetry-close", daemon=True) for close in self._closers]
        for thread in threads:
            thread.start()
        ends = time.monotonic() + CLOSE_S
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            _log.warning("the collector does not answer in time: what it was not sent is lost")


OFF = Telemetry()
"""Nobody looks."""


@contextlib.contextmanager
def telemetry(settings: Settings, component: str) -> Generator[Telemetry]:
    """Telemetry of a process, closed with the block.

    :param component: ``api``, ``worker`` or ``followers``, as traces name it.
    :raises tallystick.errors.ServiceError: the metrics port cannot be had.
    """
    found = Telemetry(providers_for(settings, component))
    try:
        yield found
    finally:
        found.close()
