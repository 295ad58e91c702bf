"""Around followers: one span a batch of events, linked to the requests that wrote them, and a count."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, Follower
from ledger.sansio import Row, Run
from tallystick.telemetry.carrier import links_to
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.logs import bound
from tallystick.telemetry.statements import TRACES_OF_EVENTS


class TracedFollower:
    """``ledger.follower.Follower`` that is seen. What it wakes carries its span on."""

    def __init__(self, inner: Follower, telemetry: Telemetry) -> None:
        self._inner = inner
        self._telemetry = telemetry

    @property
    def name(self) -> str:
        """See ``Follower``."""
        return self._inner.name

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """See ``Follower``. A batch of events that nobody traces is folded without a span."""
        links = (yield from self._links(events)) if self._telemetry.tracing else []
        with bound(follower=self.name):
            if links:
                yield from self._seen(events, links)
            else:
                yield from self._inner.fold(events)
        self._telemetry.instruments.folded.add(len(events), {"follower": self.name})

    def _links(self, events: Sequence[RecordedEvent]) -> Generator[Run, Any, list[Link]]:
        first, last = events[0].position, events[-1].position
        rows: list[Row] = yield Run(TRACES_OF_EVENTS, {"first": first, "last": last})
        return links_to(row["traceparent"] for row in rows)

    def _seen(self, events: Sequence[RecordedEvent], links: list[Link]) -> Fold:
        facts = {"tallystick.events": len(events), "tallystick.position": events[-1].position}
        name = f"follow {self.name}"
        with self._telemetry.span(name, Context(), SpanKind.CONSUMER, links=links, attributes=facts):
            yield from self._inner.fold(events)


def traced_followers(followers: Iterable[Follower], telemetry: Telemetry) -> tuple[Follower, ...]:
    """The followers, seen where somebody looks."""
    if not telemetry.on:
        return tuple(followers)
    return tuple(TracedFollower(follower, telemetry) for follower in followers)
