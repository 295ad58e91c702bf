"""A request with what routes need of it, and the answers they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast
from urllib.parse import urlencode
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.types import Empty, Receive

from api.idempotency import HEADER, read_key
from api.identity import header, name_request
from api.problems import Problems
from api.reading import Page, read_body, read_id, read_page
from api.services import Services
from api.views.common import PageOut
from customers.domain.keys import Principal

P = ParamSpec("P")
T = TypeVar("T")
_KEY_HEADER = HEADER.lower().encode("ascii")
NO_STORE = {"Cache-Control": "no-store"}


class Call(Request[None, Principal, State]):
    """A request of an organisation. ``principal`` is the tenant of everything that is asked for it."""

    @property
    def services(self) -> Services:
        """What lies behind."""
        return cast("Services", self.app.state.services)

    @property
    def problems(self) -> Problems:
        """Writes what goes wrong."""
        return cast("Problems", self.app.state.problems)

    @property
    def instance(self) -> str:
        """The request as a URI."""
        return f"urn:request:{name_request(self.scope, self.services.ids)}"

    @property
    def principal(self) -> Principal:
        """Who asks; only on routes that need a scope."""
        return self.auth

    @property
    def query(self) -> Mapping[str, str]:
        """Parameters of the query; of a repeated one the last."""
        return {name: values[-1] for name, values in self.query_params.dict().items()}

    async def cross(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call. See ``Crossing``."""
        return await self.services.crossing.call(function, *args, **kwargs)

    def header(self, name: bytes) -> str | None:
        """The first header of a name in lower case, without what ``headers`` makes of all of them."""
        found = header(self.scope, name)
        return None if found is None else found.decode("latin-1")

    async def body(self) -> bytes:
        """See ``Request``; a body that comes in one piece is taken as it comes."""
        if self._body is Empty and self.is_connected:
            message: Any = await self.receive()
            most = self.route_handler.resolve_request_max_body_size() or 0
            if message["type"] == "http.request" and not message["more_body"] and len(message["body"]) <= most:
                self._body = self._connection_state.body = message["body"]
                self.is_connected = False
            else:
                self.receive = _again(message, self.receive)
        return await super().body()

    async def read(self, kind: type[T]) -> T:
        """The JSON body. Raises as ``read_body``."""
        return read_body(self.header(b"content-type"), await self.body(), kind)

    async def read_or(self, kind: type[T], default: T) -> T:
        """The JSON body, or a default where none is sent."""
        return await self.read(kind) if await self.body() else default

    def idempotency_key(self) -> str:
        """The Idempotency-Key. Raises as ``read_key``."""
        return read_key(self.header(_KEY_HEADER))

    def id_of(self, kind: str, parameter: str) -> UUID:
        """An id out of the path. Raises as ``read_id``."""
        return read_id(kind, self.path_params[parameter])

    def page(self, listing: str) -> Page:
        """Which part of a list is asked for. Raises as ``read_page``."""
        return read_page(self.query, self.services.cursors, listing, self.principal.organisation_id)


def _again(message: Any, receive: Receive) -> Receive:
    """``receive`` before a message was taken out of it."""
    kept = [message]

    async def receive_again() -> Any:
        return kept.pop() if kept else await receive()

    return receive_again


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """A JSON answer."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        headers={**NO_STORE, **(headers or {})},
        media_type="application/json",
    )


def answer_page(call: Call, listing: str, data: list[Any], last_position: int | None) -> Response[bytes]:
    """A part of a list; ``last_position`` is where the next one goes on, None at the end."""
    if last_position is None:
        return answer(PageOut(data=data, has_more=False))
    cursor = call.services.cursors.write(listing, call.principal.organisation_id, last_position)
    kept = {name: value for name, value in call.query.items() if name != "after"}
    link = f'<{call.scope["path"]}?{urlencode({**kept, "after": cursor})}>; rel="next"'
    return answer(PageOut(data=data, has_more=True, next_cursor=cursor), headers={"Link": link})
