"""All page routes behind one router, which says that they look after access themselves."""

from __future__ import annotations

from litestar import Router

from api.auth import PUBLIC, UNLIMITED
from api.pages.call import PARTS, PageCall
from api.pages.parts import PageParts
from api.pages.routes import door, files, front, jobs, live, topups
from api.pages.wrong import answer_wrong

_HANDLERS = (
    front.front,
    front.price,
    front.statement,
    front.refresh,
    front.signed_out,
    door.sign_up,
    door.sign_in,
    door.sign_out,
    jobs.generate,
    jobs.job,
    jobs.picture,
    jobs.cancel,
    topups.price,
    topups.order,
    topups.topup,
    topups.sandbox,
    topups.pay,
    live.live,
    files.static,
    files.favicon,
)


def make_pages(parts: PageParts) -> list[Router]:
    """Routes for people, for ``api.app.create_app``."""
    router = Router(
        "/",
        route_handlers=list(_HANDLERS),
        request_class=PageCall,
        exception_handlers={Exception: answer_wrong},
        # Litestar copies options deeply; a function it leaves as it is.
        opt={PARTS: lambda: parts, PUBLIC: True, UNLIMITED: True},
    )
    return [router]
