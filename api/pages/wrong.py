"""Whatever goes wrong on a page, in words: the same table as the API's problems, shown to a person."""

from __future__ import annotations

import logging
from typing import Any

from litestar import Request, Response
from litestar.status_codes import HTTP_500_INTERNAL_SERVER_ERROR
from msgspec import Struct

from api.identity import name_request
from api.pages.call import PageCall, go
from api.pages.errors import PageError, SignedOut
from api.pages.reading import inside
from api.pages.rendering import HTML
from api.problem_types import PROBLEM_TYPES
from api.problems import find

_log = logging.getLogger(__name__)


class _Wrong(Struct, frozen=True, kw_only=True):
    status: int
    title: str
    advice: str


def answer_wrong(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """The exception handler of all pages."""
    call = PageCall(request.scope, request.receive, request.send)
    return _to_the_door(call) if isinstance(error, SignedOut) else _tell(call, error)


def _tell(request: PageCall, error: Exception) -> Response[str]:
    found = _wrong(error)
    named = name_request(request.scope, request.services.ids)
    if found.status == HTTP_500_INTERNAL_SERVER_ERROR:
        _log.error("request %s for a page failed with a fault of ours", named, exc_info=error)
    session = request.known() or request.parts.sessions.visitor()
    if request.fragment:
        said = f"{found.title}. {found.advice}"
        return request.show("fragments.html", session, found.status, alert=said, renew=True)
    return request.show("error.html", session, found.status, title=found.title, advice=found.advice, named=named)


def _to_the_door(request: PageCall) -> Response[str]:
    if request.fragment:
        return Response("", status_code=SignedOut.status, headers={"HX-Redirect": "/"}, media_type=HTML)
    after = inside(str(request.scope["path"])) if request.method == "GET" else "/"
    return go("/" if after == "/" else f"/?next={after}")


def _wrong(error: Exception) -> _Wrong:
    if isinstance(error, PageError):
        return _Wrong(status=error.status, title=error.title, advice=error.advice)
    kind = PROBLEM_TYPES[find(error).code]
    return _Wrong(status=kind.status, title=kind.title, advice=_ADVICE.get(kind.code, kind.advice))


_ADVICE = {
    "not-found": "Check the address. What belongs to another organisation is not shown either.",
    "scope-missing": "The key that you signed in with does not allow this. Sign in with one that does.",
    "quota-exceeded": "Wait a minute, then go on.",
    "not-ready": "Try again in a few seconds.",
    "not-done": "Nothing was written. Try again.",
    "overloaded": "Try again in a few seconds.",
    "outcome-unknown": "Send the form again: it counts once, whatever became of the first.",
    "rail-unavailable": "Send the form again in a few seconds: it counts once.",
    "internal-error": "Nothing was charged for this. Tell us the request number below.",
}
"""Where the API's advice speaks to programs."""
