"""Around the HTTP application: a span, a measurement and a line of log for each request, by route and never by path."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, cast

from opentelemetry.trace import Span, SpanKind, StatusCode

from api.identity import header, name_request
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
        answer = _Answer(send)
        with bound(request_id=name_request(scope, self._ids)):
            if self._telemetry.on:
                await self._see(scope, receive, answer)
            else:
                await self._pass(scope, receive, answer)

    async def _see(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        method = _method(scope)
        context = context_of(_header(scope, b"traceparent"))
        with self._telemetry.span(method, context, SpanKind.SERVER) as span:
            try:
                await self._pass(scope, receive, answer)
            finally:
                self._tell(span, method, _route(scope), answer)

    async def _pass(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._inner(scope, receive, answer.send)
        finally:
            answer.end()
            _log_line(_method(scope), _route(scope), answer)

    def _tell(self, span: Span, method: str, route: str, answer: _Answer) -> None:
        status = answer.status
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.request.method": method, "http.route": route})
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= _FAULT:
            span.set_status(StatusCode.ERROR)
        facts = {"http.request.method": method, "http.route": route, "http.response.status_code": status or 0}
        self._telemetry.instruments.http.record(answer.seconds, facts)


class _Answer:
    """Watches what is sent: the status, and in ``seconds`` when it was done (of a live stream: when it began)."""

    __slots__ = ("_ended_s", "_send", "_start_s", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start_s = time.perf_counter()
        self._ended_s: float | None = None
        self.status: int | None = None

    async def send(self, message: Any) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            if _is_live(message.get("headers", ())):
                self.end()
        await self._send(message)

    def end(self) -> None:
        """It is done, if it was not before."""
        if self._ended_s is None:
            self._ended_s = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long it took."""
        assert self._ended_s is not None, "asked before it was done"
        return self._ended_s - self._start_s


def _is_live(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.startswith(b"text/event-stream")
    return False


def _log_line(method: str, route: str, answer: _Answer) -> None:
    level = logging.DEBUG if route in _QUIET else logging.INFO
    if _log.isEnabledFor(level):
        extra = {"method": method, "route": route, "status": answer.status, "ms": round(answer.seconds * 1000, 1)}
        _log.log(level, "answered" if answer.status is not None else "went away", extra=extra)


def _method(scope: Scope) -> str:
    method = scope["method"]
    return method if method in _METHODS else "_OTHER"


def _header(scope: Scope, name: bytes) -> str | None:
    found = header(scope, name)
    return None if found is None else found.decode("latin-1")


def _route(scope: Scope) -> str:
    """The template of the route that answered; one name for everything that fits none."""
    return cast("str", scope.get("path_template")) or _UNROUTED
