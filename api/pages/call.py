"""A request of a person: whose session it is, the form it sends, and answers as pages, fragments or redirects."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

from litestar import Response
from msgspec import Struct

from api.auth import count
from api.call import Call
from api.pages.errors import FormRejected, SignedOut
from api.pages.parts import PageParts
from api.pages.reading import Fields, read_form
from api.pages.rendering import HTML, page_headers, render
from api.pages.sessions import Session, cookie_name, set_cookie
from customers.domain.keys import Principal
from customers.errors import KeyRejected, ScopeMissing

PARTS = "pages"
"""Option of the pages' router: a function that gives the parts."""

_OWN_SITE = frozenset({"same-origin", "none"})


class Member(Struct, frozen=True, kw_only=True):
    """Who is signed in: the tenant of everything that follows."""

    principal: Principal
    session: Session

    @property
    def organisation_id(self) -> UUID:
        """Whose page it is."""
        return self.principal.organisation_id

    @property
    def account_id(self) -> UUID:
        """The account it shows."""
        return self.principal.account_id

    def may(self, scope: str) -> bool:
        """Whether the key behind the session allows something."""
        return scope in self.principal.scopes


class PageCall(Call):
    """A request to a page."""

    @property
    def parts(self) -> PageParts:
        """What pages use beside the services."""
        return cast("PageParts", self.route_handler.opt[PARTS]())

    @property
    def fragment(self) -> bool:
        """Whether a script asks, which puts parts of the page in place by itself."""
        return self.headers.get("hx-request") == "true"

    def known(self) -> Session | None:
        """The session of the cookie, if it is one of ours."""
        return self.parts.sessions.read(self.cookies.get(cookie_name(secure=self.parts.secure)))

    async def member(self, *scopes: str) -> Member:
        """Who is signed in, and may do this.

        :raises SignedOut: nobody, or with a key that has ended.
        :raises ScopeMissing: the key behind the session may not.
        :raises QuotaExceeded: too many requests.
        """
        session = self.known()
        if session is None or session.key_id is None:
            raise SignedOut
        try:
            principal = await self.cross(self.parts.keys.recognise, session.organisation_id, session.key_id)
        except KeyRejected as error:
            raise SignedOut from error
        await count(self.scope, self.services.limiter, principal)
        for scope in scopes:
            if scope not in principal.scopes:
                raise ScopeMissing(scope=scope)
        return Member(principal=principal, session=session)

    async def visitor(self) -> Session:
        """The session of whoever is at the door; a new one where there is none. Raises QuotaExceeded."""
        await count(self.scope, self.services.limiter, None)
        return self.known() or self.parts.sessions.visitor()

    async def fields(self, session: Session) -> Fields:
        """The form that this session sends.

        :raises FormRejected: from another site, or another session.
        :raises FormUnreadable: no form.
        """
        if self.headers.get("sec-fetch-site", "none") not in _OWN_SITE:
            raise FormRejected
        fields = read_form(self.headers.get("content-type"), await self.body())
        if not hmac.compare_digest(fields.get("token", "").encode(), session.token.encode()):
            raise FormRejected
        return fields

    def show(
        self, template: str, session: Session, status: int = 200, *, begin: bool = False, **context: Any
    ) -> Response[str]:
        """A page or fragment; ``begin`` gives the browser this session."""
        nonce = self.parts.sessions.number()
        shared = {
            "nonce": nonce,
            "token": session.token,
            "signed_in": session.key_id is not None,
            "oob": self.fragment,
            "number": self.parts.sessions.number(),
        }
        headers = page_headers(nonce, self.parts.image_sources, secure=self.parts.secure)
        if begin:
            headers["Set-Cookie"] = set_cookie(session, secure=self.parts.secure)
        return Response(render(template, {**shared, **context}), status_code=status, headers=headers, media_type=HTML)


def go(path: str, headers: Mapping[str, str] | None = None) -> Response[str]:
    """Send the browser to another page after a form."""
    sent = {"Location": path, "Cache-Control": "no-store", **(headers or {})}
    return Response("", status_code=303, headers=sent, media_type=HTML)
