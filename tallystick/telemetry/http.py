"""Around the HTTP application: a span, a measurement and a line of log for each request, by route and never by path."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

from opentelemetry.trace import Span, SpanKind, StatusCode

from api.identity import HEADER, name_request
from ledger.ports import Ids
from tallystick.telemetry.carrier import context_of
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.logs import bound

_log = logging.getLogger(__name__)
_FAULT = 500
_UNROUTED = "(none)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_QUIET = frozenset({"/health", "/healthz", "/ready", "/readyz", "/livez"})

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class SeenApplication:
    """An ASGI application that is seen. ``traceparent`` is taken from the caller; the path and its query go nowhere."""

    def __init__(self, inner: Application, telemetry: Telemetry, ids: Ids) -> None:
        self._inner = inner
        self._telemetry = telemetry
        self._ids = ids

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        named = name_request(scope, self._ids)
        others = [(name, value) for name, value in scope["headers"] if name != HEADER]
        scope["headers"] = [*others, (HEADER, named.encode("ascii"))]
        with bound(request_id=named):
            await self._see(scope, receive, send)

    async def _see(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        answer = _Answer(send)
        context = context_of(_header(scope, b"traceparent"))
        with self._telemetry.span(method, context, SpanKind.SERVER) as span:
            try:
                await self._inner(scope, receive, answer.send)
            finally:
                self._tell(span, method, _route(scope), answer)

    def _tell(self, span: Span, method: str, route: str, answer: _Answer) -> None:
        status = answer.status
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route})
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= _FAULT:
            span.set_status(StatusCode.ERROR)
        seconds = answer.seconds()
        facts = {"http.request.method": method, "http.route": route, "http.response.status_code": status or 0}
        self._telemetry.instruments.http.record(seconds, facts)
        level = logging.DEBUG if route in _QUIET else logging.INFO
        extra = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        _log.log(level, "answered" if status is not None else "went away", extra=extra)


class _Answer:
    """Watches what is sent: the status, and when it was done (of a live stream: when it began)."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start = time.perf_counter()
        self._began: float | None = None
        self._live = False
        self.status: int | None = None

    async def send(self, message: Any) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            self._began = time.perf_counter()
            headers = cast("list[tuple[bytes, bytes]]", message.get("headers", []))
            self._live = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
        await self._send(message)

    def seconds(self) -> float:
        """How long it took."""
        until = self._began if self._live and self._began is not None else time.perf_counter()
        return until - self._start


def _header(scope: Scope, name: bytes) -> str | None:
    found = next((value for key, value in scope["headers"] if key == name), None)
    return None if found is None else cast("bytes", found).decode("latin-1")


def _route(scope: Scope) -> str:
    """The template of the route that answered; one name for everything that fits none."""
    return cast("str", scope.get("path_template")) or _UNROUTED
