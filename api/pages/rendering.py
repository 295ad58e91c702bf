"""From view models to HTML. Everything is escaped; what a page may load and run is said in its policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from api.pages.static_files import static_url

_environment = Environment(
    loader=PackageLoader("api", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
cast("dict[str, Any]", _environment.globals)["static"] = static_url  # pyright: ignore[reportUnknownMemberType]

HTML = "text/html; charset=utf-8"
_FIXED_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Vary": "Cookie, HX-Request",
}
_SECURE_HEADERS = {"Cross-Origin-Opener-Policy": "same-origin"}
"""Browsers ignore it, and complain, where the page came in the clear."""


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template in; a name that it lacks is a fault of ours."""
    return _environment.get_template(template).render(context)


def page_headers(nonce: str, image_sources: tuple[str, ...], *, secure: bool) -> dict[str, str]:
    """Headers of every page and fragment. Scripts run by nonce only; no inline style, no frame, no foreign form."""
    policy = {
        "default-src": "'none'",
        "script-src": f"'nonce-{nonce}'",
        "style-src": "'self'",
        "img-src": " ".join(("'self'", "data:", *image_sources)),
        "connect-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    joined = "; ".join(f"{name} {value}" for name, value in policy.items())
    headers = {**_FIXED_HEADERS, "Content-Security-Policy": joined}
    return headers | _SECURE_HEADERS if secure else headers
