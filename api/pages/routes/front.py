"""The one page of an account, its parts, and its statement."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from litestar import Response, get, post

from api.pages.call import Member, PageCall
from api.pages.errors import SignedOut
from api.pages.limits import FOLLOWED_MAX
from api.pages.loading import Loader
from api.pages.reading import Fields, inside
from api.pages.routes.door import landing
from api.pages.show import Price
from ledger import ids

HOME_PARTS = "balance,pending,statement,jobs"
CARD_PARTS = "balance"
_POSITION = re.compile(r"[0-9]{1,18}")


@get("/")
async def front(request: PageCall) -> Response[str]:
    """The account of who is signed in, or the door."""
    try:
        member = await request.member()
    except SignedOut:
        session = await request.visitor()
        return landing(request, session, next=inside(request.query.get("next", "")))
    return await home(request, member, {})


async def home(request: PageCall, member: Member, fields: Fields, **shown: Any) -> Response[str]:
    """The whole page, with the form as it was filled in. ``shown``: price, alert, status."""
    status: int = shown.pop("status", 200)
    price: Price | None = shown.pop("price", None)
    loader = Loader(request.services, request.parts)
    found = await request.cross(loader.home, member, fields, price)
    return request.show("home.html", member.session, status, home=found, parts=HOME_PARTS, **shown)


@post("/price", status_code=200)
async def price(request: PageCall) -> Response[str]:
    """What the form would cost, and the form as code."""
    member = await request.member("jobs:read")
    fields = await request.fields(member.session)
    if not request.fragment:
        return await home(request, member, fields)
    loader = Loader(request.services, request.parts)
    found = await request.cross(loader.price, member, fields)
    return request.show("fragments.html", member.session, price=found, code=loader.code(fields))


@get("/statement")
async def statement(request: PageCall) -> Response[str]:
    """Lines of the statement, a page at a time."""
    member = await request.member("statement:read")
    asked = request.query.get("before", "")
    before = int(asked) if _POSITION.fullmatch(asked) else None
    loader = Loader(request.services, request.parts)
    found = await request.cross(loader.statement, member, before)
    name = await request.cross(loader.name, member)
    return request.show("statement.html", member.session, statement=found, name=name, oob=False)


@get("/refresh")
async def refresh(request: PageCall) -> Response[str]:
    """The parts that a page shows, as they are now: for pages whose live stream is away."""
    member = await request.member()
    loader = Loader(request.services, request.parts)
    found = await request.cross(_parts, loader, member, request.query)
    return request.show("fragments.html", member.session, oob=True, **found)


def _parts(loader: Loader, member: Member, query: Any) -> dict[str, Any]:
    parts = set(query.get("parts", "").split(","))
    found: dict[str, Any] = {}
    if "balance" in parts:
        found["balance"] = loader.balance(member)
    if "pending" in parts:
        found["pending"] = loader.pending(member)
    if "statement" in parts:
        found["statement"] = loader.statement(member)
    if member.may("jobs:read"):
        found["jobs"] = [loader.job(member, job_id) for job_id in named(query, "jobs", "job")]
    if member.may("topups:read"):
        found["topups"] = [loader.topup(member, topup_id) for topup_id in named(query, "topups", "top")]
    return found


def named(query: Any, parameter: str, kind: str) -> list[UUID]:
    """Ids of a list in the query, as many as may be followed; what is none is left out."""
    found: list[UUID] = []
    for text in query.get(parameter, "").split(",")[:FOLLOWED_MAX]:
        try:
            found.append(ids.parse(kind, text))
        except ValueError:
            continue
    return found


@get("/signed-out")
async def signed_out(request: PageCall) -> Response[str]:
    """Where a page goes whose session has ended while it was open."""
    session = await request.visitor()
    answer = request.show("fragments.html", session, oob=True)
    answer.headers["HX-Redirect"] = "/"
    return answer
