"""Who may call what. Every route names one scope or is public; a route that names neither is closed to everybody."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from litestar.middleware import ASGIMiddleware

from api.errors import Forbidden, QuotaExceeded, Unauthenticated
from api.identity import add_headers, header, name_request
from api.problems import CHALLENGE
from api.ratelimit import Limiter, Taken
from api.services import Services
from customers.domain.keys import Principal
from customers.errors import KeyRejected, ScopeMissing

SCOPE = "scope"
PUBLIC = "public"
UNLIMITED = "unlimited"
QUOTA = "quota"
"""Options of a route: the scope it needs; or True: for everybody; or, of a public one, True: not counted; and by which
policy it is counted."""

_BEARER = re.compile(r"bearer +([!-~]+) *", re.IGNORECASE)


class Gate(ASGIMiddleware):
    """Authenticates, counts against the quota, then checks the scope, before anything of the route runs."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asked: dict[str, asyncio.Task[Principal]] = {}

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        """See ``litestar.middleware.ASGIMiddleware``."""
        await self.admit(scope)
        await next_app(scope, receive, send)

    async def admit(self, scope: Any) -> None:
        """Let a request on to the route that was found for it, or raise why not."""
        name_request(scope, self._services.ids)
        if scope.get("method") != "OPTIONS":
            await self._admit(scope, scope["route_handler"].opt)

    async def _admit(self, scope: Any, opt: dict[str, Any]) -> None:
        if opt.get(PUBLIC):
            if not opt.get(UNLIMITED):
                await count(scope, self._services.limiter, None)
            return
        principal = await self._authenticate(scope)
        await count(scope, self._services.limiter, principal, opt.get(QUOTA, "known"))
        needed = opt.get(SCOPE)
        if needed is None:
            raise Forbidden("this route is closed")
        if needed not in principal.scopes:
            raise ScopeMissing(scope=needed)
        scope["auth"] = principal

    async def _authenticate(self, scope: Any) -> Principal:
        keys = self._services.keys
        try:
            secret = bearer(scope)
            return keys.recall(secret) or await self._verify(secret)
        except (KeyRejected, Unauthenticated):
            await count(scope, self._services.limiter, None)
            raise

    async def _verify(self, secret: str) -> Principal:
        """Ask who holds a secret, once for all that show it meanwhile: its memory ends for all at the same moment."""
        task = self._asked.get(secret)
        if task is None:
            task = asyncio.create_task(self._services.crossing.call(self._services.keys.verify, secret))
            self._asked[secret] = task
            task.add_done_callback(lambda done: self._told(secret, done))
        return await asyncio.shield(task)

    def _told(self, secret: str, done: asyncio.Task[Principal]) -> None:
        del self._asked[secret]
        if not done.cancelled():
            done.exception()  # looked at, so that askers who went away are not reported as a fault


async def count(scope: Any, limiter: Limiter, principal: Principal | None, quota: str = "known") -> None:
    """Count a request of an organisation, or of an address that showed no key, and say so on the answer.

    :raises QuotaExceeded: too many in the window.
    """
    if principal is None:
        taken = await limiter.take(limiter.policies.unknown, _address(scope))
    else:
        taken = await limiter.take(getattr(limiter.policies, quota), principal.organisation_id.hex)
    add_headers(scope, taken.headers())
    if not taken.allowed:
        raise _exceeded(taken)


async def count_more(limiter: Limiter, principal: Principal, number: int) -> None:
    """Count the operations of a batch beyond its first.

    :raises QuotaExceeded: too many in the window; nothing of the batch was done.
    """
    if number > 0:
        taken = await limiter.take(limiter.policies.ledger, principal.organisation_id.hex, number)
        if not taken.allowed:
            raise _exceeded(taken)


def bearer(scope: Any) -> str:
    """The secret that a request shows.

    :raises Unauthenticated: none.
    """
    match = _BEARER.fullmatch((header(scope, b"authorization") or b"").decode("latin-1"))
    if match is None:
        raise Unauthenticated("send Authorization: Bearer with an API key", headers={"WWW-Authenticate": CHALLENGE})
    return match[1]


def _address(scope: Any) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _exceeded(taken: Taken) -> QuotaExceeded:
    return QuotaExceeded(
        f"{taken.policy.quota} requests in {taken.policy.window_s} seconds are allowed",
        members={"violated-policies": [taken.policy.name]},
        headers={"Retry-After": str(taken.reset_s)},
    )
