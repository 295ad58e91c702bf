"""The pages for people, on the program's parts."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from litestar import Router

from api.pages.parts import PageParts
from api.pages.sessions import Sessions
from api.pages.site import make_pages
from tallystick.settings import Settings
from tallystick.wiring import Runtime
from workers.generation.tools import JobParams

_AMAZON = "https://*.amazonaws.com"


def pages_of(runtime: Runtime) -> list[Router]:
    """Page routes, for ``api.app.create_app``."""
    settings = runtime.settings
    tool = runtime.catalogue.choose(JobParams(prompt=""))
    assert tool is not None, "the catalogue offers what the form asks for"
    parts = PageParts(
        organisations=runtime.organisations,
        keys=runtime.keys,
        desk=runtime.desk,
        tool=tool,
        sessions=Sessions(settings.key_for("pages"), runtime.clock, os.urandom),
        image_sources=image_sources(settings, runtime.public_url),
        secure=runtime.public_url.startswith("https://"),
    )
    return make_pages(parts)


def image_sources(settings: Settings, public_url: str) -> tuple[str, ...]:
    """Origins that links to pictures point to."""
    if settings.s3_bucket is None:
        return (origin(public_url),)
    return (_AMAZON,) if settings.s3_endpoint_url is None else (origin(settings.s3_endpoint_url),)


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
