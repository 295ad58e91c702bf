"""A shorter way to routes that need nothing of Litestar but the request: around its router, never around the gate.

Litestar finds a handler's arguments, keeps what is to be cleaned up after it and takes answers of any shape, which for
an operation on the ledger costs as much as all that we do ourselves. A route that says ``DIRECT`` takes the request
alone and returns an ASGI application. Whoever asks for it plainly passes the same gate with the same options, reaches
the same function, and is told the same problems; all other requests go Litestar's way, to the same routes too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from api.auth import Gate
from api.call import Call
from api.identity import header
from api.operations import DIRECT
from api.problems import Problems

_PLAIN_HOST = re.compile(rb"[A-Za-z0-9.:\[\]-]+")
"""A host that nobody needs to look at twice."""


class Known(NamedTuple):
    """A route that may be reached directly; ``parameter`` is the name of the one in its path, if there is one."""

    handler: HTTPRouteHandler
    template: str
    parameter: str


class Direct:
    """Put in the place of an application's ``asgi_handler``, which it goes on to where it does not answer itself."""

    def __init__(self, app: Litestar, gate: Gate, problems: Problems) -> None:
        self._litestar: Any = app.asgi_handler
        self._gate = gate
        self._problems = problems
        self._plain: dict[tuple[str, str], Known] = {}
        self._named: dict[tuple[str, str, str], Known] = {}
        for method, known in _known(app):
            self._keep(method, known)

    def _keep(self, method: str, known: Known) -> None:
        """A path without a parameter is found whole; one with it by what stands before and behind, which is a name."""
        if not known.parameter:
            self._plain[method, known.template] = known
            return
        before, last = _around(known)
        self._named[method, before, last] = known

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        known = self._find(scope)
        answer = self._litestar if known is None else await self._answer(known, Call(scope, receive, send))
        await answer(scope, receive, send)

    def _find(self, scope: Any) -> Known | None:
        """The route that a request is plainly for, None where the router must look: slashes too many are its matter."""
        if scope.get("root_path") or not _has_plain_host(scope):
            return None
        method, path = scope.get("method"), scope["path"]
        known, values = self._plain.get((method, path)), dict[str, str]()
        if known is None:
            before, _, last = path.rpartition("/")
            before, _, value = before.rpartition("/")
            if value and (known := self._named.get((method, before, last))):
                values[known.parameter] = value
        if known is not None:
            scope["route_handler"], scope["path_template"] = known.handler, known.template
            scope["path_params"] = values
        return known

    async def _answer(self, known: Known, call: Call) -> ASGIApp:
        try:
            await self._gate.admit(call.scope)
            answer: ASGIApp = await known.handler.fn(call)
        except Exception as error:  # noqa: BLE001  whatever it is, the caller is told what everybody is told
            problem: Any = self._problems.answer(call, error)
            return problem.to_asgi_response(None, call)
        return answer


def _has_plain_host(scope: Any) -> bool:
    host = header(scope, b"host")
    return host is None or _PLAIN_HOST.fullmatch(host) is not None


def _known(app: Litestar) -> Iterator[tuple[str, Known]]:
    """Direct routes, with each of their methods."""
    for route in [route for route in app.routes if isinstance(route, HTTPRoute)]:
        for handler in route.route_handlers:
            if handler.opt.get(DIRECT):
                known = Known(handler, route.path_format, "".join(route.path_parameters))
                for method in handler.http_methods:
                    yield method, known


def _around(known: Known) -> tuple[str, str]:
    """What stands before and behind the parameter of a route's path: it is the part before the last."""
    before, _, last = known.template.rpartition("/")
    before, _, named = before.rpartition("/")
    assert last and named == f"{{{known.parameter}}}", f"{known.template}: one parameter, before the last part"
    return before, last
