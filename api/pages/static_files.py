"""Style, scripts and icons: read once, named by their content, so that browsers may keep them for ever."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

from msgspec import Struct

_MIMES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".LICENSE": "text/plain; charset=utf-8",
}
_NAME_CHARS = 16


class StaticFile(Struct, frozen=True, kw_only=True):
    """One file; ``digest`` is of its content, ``packed`` is gzip and empty where that saves nothing."""

    content: bytes
    packed: bytes
    mime: str
    digest: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """All of them by path under ``api/static``."""
    return dict(_walk(files("api").joinpath("static"), ""))


@cache
def static_url(path: str) -> str:
    """Address of a file, which changes with its content.

    :raises KeyError: no such file.
    """
    return f"/static/{path}?v={static_files()[path].digest}"


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, StaticFile]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif (mime := _mime(entry.name)) is not None:
            content = entry.read_bytes()
            packed = gzip.compress(content, mtime=0)
            yield (
                f"{prefix}{entry.name}",
                StaticFile(
                    content=content,
                    packed=packed if len(packed) < len(content) else b"",
                    mime=mime,
                    digest=sha256(content).hexdigest()[:_NAME_CHARS],
                ),
            )


def _mime(name: str) -> str | None:
    return next((mime for ending, mime in _MIMES.items() if name.endswith(ending)), None)
