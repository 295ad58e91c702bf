"""What a request is called in answers and logs: the caller's ``X-Request-Id``, or one of ours; headers, both ways."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from api.limits import REQUEST_ID_CHARS_MAX
from ledger.ports import Ids

HEADER = b"x-request-id"
_STATE = "tallystick.request_id"
_HEADERS = "tallystick.headers"
_SENT = "tallystick.sent"
_ACCEPTED = re.compile(rb"[A-Za-z0-9._:/+=-]{1,%d}" % REQUEST_ID_CHARS_MAX)

Hook = Callable[[Any, Any], Awaitable[None]]


def name_request(scope: Any, ids: Ids) -> str:
    """The request's name, given the first time."""
    state = _state(scope)
    if _STATE not in state:
        sent = header(scope, HEADER) or b""
        state[_STATE] = sent.decode("ascii") if _ACCEPTED.fullmatch(sent) else ids.new().hex
    return str(state[_STATE])


def header(scope: Any, name: bytes) -> bytes | None:
    """The first header of a name in lower case. All who look at headers share one dictionary of them."""
    state = _state(scope)
    sent = state.get(_SENT)
    if sent is None:
        sent = state[_SENT] = dict(reversed(scope["headers"]))
    return sent.get(name)


def add_headers(scope: Any, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Put headers on the answer, whoever writes it; names in lower case."""
    _state(scope).setdefault(_HEADERS, []).extend(headers)


def naming(ids: Ids) -> Hook:
    """Hook that puts the request's name, and what ``add_headers`` was told, on every answer."""

    async def before_send(message: Any, scope: Any) -> None:
        if message["type"] != "http.response.start":
            return
        named = name_request(scope, ids)
        extra = [(HEADER, named.encode("ascii")), *_state(scope).get(_HEADERS, [])]
        message["headers"] = [*message["headers"], *extra]

    return before_send


def _state(scope: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", scope.setdefault("state", {}))
