"""The live stream of a page."""

from __future__ import annotations

import re

from litestar import get
from litestar.types import ASGIApp

from api.live.stream import nothing_more
from api.pages.call import PageCall
from api.pages.errors import SignedOut
from api.pages.live import Follow, PageStream
from api.pages.loading import Loader
from api.pages.routes.front import named
from customers.errors import KeyRejected

_VERSION = re.compile(r"[0-9]{1,18}")


@get("/live")
async def live(request: PageCall) -> ASGIApp:
    """Keep a page current. A session that has ended gets 204, so that its page does not come back."""
    try:
        member = await request.member()
    except SignedOut:
        return nothing_more
    asked, parts = request.query, request.parts
    version = asked.get("version", "")
    follow = Follow(
        version=int(version) if _VERSION.fullmatch(version) else 0,
        parts=frozenset(asked.get("parts", "").split(",")),
        jobs=tuple(named(asked, "jobs", "job")) if member.may("jobs:read") else (),
        topups=tuple(named(asked, "topups", "top")) if member.may("topups:read") else (),
    )
    crossing, session = request.services.crossing, member.session

    async def guard() -> bool:
        if parts.sessions.read(session.cookie) is None:
            return False
        try:
            await crossing.call(parts.keys.recognise, member.organisation_id, member.principal.key_id)
        except KeyRejected:
            return False
        return True

    return PageStream(request.services, Loader(request.services, parts), member, follow, guard)
