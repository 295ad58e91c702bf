"""What anybody may see: health, the OpenAPI document, pages of problems, pictures behind signed links."""

from __future__ import annotations

import html
from typing import Any, cast
from urllib.parse import quote

from litestar import Response, get

from api.call import Call, answer
from api.errors import NotFound, NotReady
from api.operations import Answer, Operation, Parameter
from api.problem_types import PROBLEM_TYPES, ProblemType
from workers.errors import LinkInvalid

_HEALTH = Operation(
    operation_id="getHealth",
    summary="Whether this process lives",
    tag="Service",
    scope=None,
    unlimited=True,
    answers=(Answer(status=200, description="It does.", kind=dict[str, str]),),
)
_READY = Operation(
    operation_id="getReadiness",
    summary="Whether this process can serve",
    tag="Service",
    scope=None,
    unlimited=True,
    answers=(Answer(status=200, description="It can.", kind=dict[str, str]),),
    problems=("not-ready",),
)
_OPENAPI = Operation(
    operation_id="getOpenApi",
    summary="This document",
    tag="Service",
    scope=None,
    answers=(Answer(status=200, description="OpenAPI 3.1.", kind=dict[str, Any]),),
)
_PROBLEM = Operation(
    operation_id="getProblemType",
    summary="What a problem means",
    tag="Service",
    scope=None,
    answers=(
        Answer(status=200, description="A page about it.", kind=str, media_type="text/html", also=("text/plain",)),
    ),
    parameters=(
        Parameter(
            name="code",
            where="path",
            description="The problem's code.",
            schema={"type": "string", "enum": sorted(PROBLEM_TYPES)},
            required=True,
        ),
    ),
    problems=("not-found",),
)
_OUTPUT = Operation(
    operation_id="getOutput",
    summary="A picture behind a signed link",
    tag="Jobs",
    scope=None,
    answers=(
        Answer(
            status=200,
            description="The picture.",
            kind=bytes,
            media_type="image/png",
            also=("image/jpeg", "image/webp"),
        ),
    ),
    parameters=(
        Parameter(name="key", where="path", description="The picture.", schema={"type": "string"}, required=True),
        Parameter(name="until", where="query", description="End of the link.", schema={"type": "integer"}),
        Parameter(name="name", where="query", description="File name.", schema={"type": "string"}),
        Parameter(name="signature", where="query", description="Ours.", schema={"type": "string"}),
    ),
    problems=("not-found",),
)


@get("/healthz", opt=_HEALTH.options())
async def healthz() -> Response[bytes]:
    """Whether this process lives."""
    return answer({"status": "ok"})


@get("/readyz", opt=_READY.options())
async def readyz(request: Call) -> Response[bytes]:
    """What it needs is there."""
    unready = await request.cross(request.services.unready)
    if unready or request.services.hub.closing:
        raise NotReady("not ready", members={"parts": unready or ["stopping"]})
    return answer({"status": "ok"})


@get("/openapi.json", opt=_OPENAPI.options())
async def openapi(request: Call) -> Response[bytes]:
    """The OpenAPI document."""
    return Response(
        cast("bytes", request.app.state.openapi), media_type="application/json", headers={"Cache-Control": "no-cache"}
    )


@get("/problems/{code:str}", opt=_PROBLEM.options())
async def problem_type(request: Call) -> Response[str]:
    """What a problem means, for people."""
    found = PROBLEM_TYPES.get(request.path_params["code"])
    if found is None:
        raise NotFound
    if "text/html" in request.headers.get("accept", "text/html"):
        return Response(problem_page(found), media_type="text/html")
    return Response(f"{found.title}\n\n{found.advice}\n", media_type="text/plain")


@get("/outputs/{key:path}", opt=_OUTPUT.options())
async def output(request: Call) -> Response[bytes]:
    """A picture."""
    links, query = request.services.links, request.query
    until = query.get("until", "")
    if links is None or not (until.isascii() and until.isdigit() and len(until) < 12):  # noqa: PLR2004  seconds
        raise NotFound
    try:
        found = await request.cross(
            links.open_link,
            str(request.path_params["key"]).removeprefix("/"),
            until=int(until),
            file_name=query.get("name", ""),
            signature=query.get("signature", ""),
            now=request.services.clock.now(),
        )
    except LinkInvalid as error:
        raise NotFound from error
    return Response(found.content, media_type=found.mime, headers=_picture_headers(query.get("name", "")))


def _picture_headers(file_name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(file_name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600, immutable",
    }


def problem_page(problem: ProblemType) -> str:
    """A page about a problem."""
    title, advice = html.escape(problem.title), html.escape(problem.advice)
    again = "<p>The same request may succeed later.</p>" if problem.again else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}"
        "code{background:#8882;padding:.1em .3em;border-radius:.2em}</style>"
        f"<h1>{title}</h1><p>Status {problem.status}, code <code>{problem.code}</code></p><p>{advice}</p>{again}</html>"
    )
