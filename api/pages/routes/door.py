"""The way in and out: sign up, sign in with a key, sign out."""

from __future__ import annotations

from typing import NamedTuple

from litestar import Response, post

from api.pages.call import PageCall, go
from api.pages.code import curl_lines
from api.pages.parts import PageParts
from api.pages.reading import form_number, inside
from api.pages.sessions import Session, set_cookie
from customers.domain.organisations import Organisation
from customers.domain.scopes import CUSTOMER_SCOPES
from customers.errors import InvalidField, KeyRejected
from customers.keys import MadeKey

KEY_NAME = "First key"
_NOT_GOOD = "This is not a key that is good here. It begins with tally_ and was shown when it was made."


class _Entered(NamedTuple):
    organisation: Organisation
    made: MadeKey


@post("/sign-up", status_code=200)
async def sign_up(request: PageCall) -> Response[str]:
    """Make an organisation, its account and a first key, and show the key once."""
    session = await request.visitor()
    fields = await request.fields(session)
    key = f"page:{session.nonce.hex()}:{form_number(fields)}"
    name = fields.get("name", "")
    try:
        entered = await request.cross(_enter, request.parts, key, name)
    except InvalidField as error:
        fault = f"Expected {error.expected}."
        return landing(request, session, status=422, name=name, name_fault=fault)
    organisation, made = entered
    return request.show(
        "welcome.html",
        request.parts.sessions.member(organisation.organisation_id, made.key.key_id),
        begin=True,
        name=organisation.name,
        secret=made.secret,
        curl=curl_lines(request.services.public_url, made.secret),
    )


def _enter(parts: PageParts, key: str, name: str) -> _Entered:
    """Sign up once for a form. Sent twice, the key of the first answer was never seen: the second replaces it."""
    signed = parts.organisations.sign_up(key, name)
    organisation_id = signed.organisation.organisation_id
    if signed.replayed:
        for unseen in parts.keys.list(organisation_id):
            parts.keys.revoke(organisation_id, unseen.key_id)
    return _Entered(signed.organisation, parts.keys.create(organisation_id, KEY_NAME, CUSTOMER_SCOPES))


@post("/sign-in", status_code=200)
async def sign_in(request: PageCall) -> Response[str]:
    """Begin a session for who shows a key."""
    session = await request.visitor()
    fields = await request.fields(session)
    to = inside(fields.get("next", ""))
    try:
        principal = await request.cross(request.parts.keys.verify, fields.get("key", "").strip())
    except KeyRejected:
        return landing(request, session, status=401, key_fault=_NOT_GOOD, next=to)
    begun = request.parts.sessions.member(principal.organisation_id, principal.key_id)
    return go(to, {"Set-Cookie": set_cookie(begun, secure=request.parts.secure)})


@post("/sign-out", status_code=200)
async def sign_out(request: PageCall) -> Response[str]:
    """Forget the session. The key stays good."""
    await request.fields(await request.visitor())
    begun = request.parts.sessions.visitor()
    return go("/", {"Set-Cookie": set_cookie(begun, secure=request.parts.secure)})


def landing(request: PageCall, session: Session, status: int = 200, **context: str) -> Response[str]:
    """The page for whoever is not signed in."""
    shown = {"problem": "", "name": "", "name_fault": "", "key_fault": "", "next": "/"} | context
    return request.show("landing.html", session, status, begin=True, **shown)
