"""Style, scripts and icons, with headers that let browsers keep them."""

from __future__ import annotations

from litestar import Response, get

from api.errors import NotFound
from api.pages.call import PageCall
from api.pages.limits import STATIC_MAX_AGE_S
from api.pages.static_files import StaticFile, static_files

_KEPT = f"public, max-age={STATIC_MAX_AGE_S}, immutable"
_ASKED = "public, no-cache"


@get("/static/{path:path}")
async def static(request: PageCall) -> Response[bytes]:
    """A file. Under the name of its content it may be kept for ever; otherwise it is asked for again."""
    found = static_files().get(str(request.path_params["path"]).removeprefix("/"))
    if found is None:
        raise NotFound
    return _file(request, found)


@get("/favicon.ico")
async def favicon(request: PageCall) -> Response[bytes]:
    """What browsers ask for by themselves."""
    return _file(request, static_files()["favicon.ico"])


def _file(request: PageCall, found: StaticFile) -> Response[bytes]:
    tag = f'"{found.digest}"'
    headers = {
        "Cache-Control": _KEPT if request.query.get("v") == found.digest else _ASKED,
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers, media_type=found.mime)
    if found.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, headers=headers, media_type=found.mime)
    return Response(found.content, headers=headers, media_type=found.mime)
