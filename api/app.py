"""The web application: routes, the gate before them, problems for whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec
from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from api.auth import PUBLIC, SCOPE, Gate
from api.call import Call
from api.direct import Direct
from api.identity import naming
from api.ledger import adjustments, reads
from api.ledger.desk import Desk
from api.ledger.routes import ROUTES as LEDGER
from api.limits import BODY_BYTES_MAX
from api.openapi import document
from api.problems import Problems
from api.routes import balance, jobs, keys, public, topups
from api.services import Services
from customers.domain.scopes import SCOPES

VERSION = "1.0.0"
"""Of the HTTP interface."""

_V1 = (
    balance.balance,
    balance.holds,
    balance.statement,
    topups.prices,
    topups.open_topup,
    topups.get_topup,
    topups.list_topups,
    topups.notify,
    jobs.quote,
    jobs.generate,
    jobs.get_job,
    jobs.list_jobs,
    jobs.cancel,
    jobs.events,
    keys.list_keys,
    keys.create_key,
    keys.rotate_key,
    keys.revoke_key,
    *LEDGER,
    adjustments.propose,
    adjustments.approve,
    reads.balance,
    reads.holds,
    reads.statement,
)
_ROOT = (public.healthz, public.readyz, public.openapi, public.problem_type, public.output)


def create_app(services: Services, pages: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """Build the application. ``pages`` are routes for people; each says itself who may see it.

    :raises AssertionError: a route neither names a scope nor is public.
    """
    problems = Problems(services.ids, public_url=services.public_url, top_up_url=services.top_up_url)
    gate = Gate(services)
    app = Litestar(
        route_handlers=[Router("/api/v1", route_handlers=list(_V1)), *_ROOT, *pages],
        request_class=Call,
        request_max_body_size=BODY_BYTES_MAX,
        middleware=[gate],
        before_send=[naming(services.ids)],
        exception_handlers={Exception: problems.answer},
        openapi_config=None,
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
        state=State({"services": services, "problems": problems, "desk": Desk(services)}),
        lifespan=[_living(services)],
    )
    check_access(app)
    app.asgi_handler = Direct(app, gate, problems)
    app.state.openapi = msgspec.json.encode(document(app, public_url=services.public_url, version=VERSION))
    return app


def check_access(app: Litestar) -> None:
    """Every route of ours says who may call it."""
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            if isinstance(route, HTTPRoute) and getattr(handler, "http_methods", None) == {"OPTIONS"}:
                continue
            known = handler.opt.get(PUBLIC) is True or handler.opt.get(SCOPE) in SCOPES
            assert known, f"{route.path} says neither which scope it needs nor that it is public"


def _living(services: Services) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Runs the hub for as long as the application is served."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncGenerator[None]:
        tail = asyncio.create_task(services.hub.run(), name="live")
        try:
            yield
        finally:
            services.hub.close()
            tail.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await tail
            await services.limiter.close()

    return lifespan
