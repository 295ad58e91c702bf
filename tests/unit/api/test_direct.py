"""The shorter way to the ledger's routes: it leads where Litestar's router leads, and leaves all doubt to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.routes import HTTPRoute
from litestar.utils import normalize_path

from api.app import create_app
from api.auth import PUBLIC, SCOPE
from api.direct import Direct
from api.operations import DIRECT

BARE = cast(
    "Any", SimpleNamespace(public_url="http://here", top_up_url="http://here/", ids=None, owners=None, crossing=None)
)
APP: Litestar = create_app(cast("Any", BARE))
SHORT = cast("Direct", APP.asgi_handler)
HOLD = f"hold_{'0' * 32}"
WORDS = "api v1 ledger holds debits grants accounts batch budgets adjustments commit renew approve freeze close policy"
PIECES = st.sampled_from([*WORDS.split(), "", "*", "..", "%2F", "{hold_id}", "{hold_id:str}", HOLD, "acc_1"])
PATHS = st.one_of(
    st.lists(PIECES, min_size=1, max_size=7).map(lambda pieces: "/" + "/".join(pieces)),
    st.lists(PIECES, max_size=4).map(lambda pieces: "/".join(["/api/v1/ledger", *pieces])),
)


def scope_of(path: str, method: str = "POST", host: bytes = b"here", **more: Any) -> dict[str, Any]:
    """A request, as a server tells of it."""
    return {"type": "http", "method": method, "path": path, "headers": [(b"host", host)], **more}


def direct_routes() -> list[tuple[str, str]]:
    """Methods and paths that say they are direct."""
    return [
        (method, route.path_format)
        for route in APP.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get(DIRECT)
        for method in handler.http_methods
    ]


@given(path=PATHS, method=st.sampled_from(["POST", "PUT", "GET", "OPTIONS", "post", ""]))
@example(path=f"/api/v1/ledger/holds/{HOLD}/commit", method="POST")
@example(path="/api/v1/ledger/holds//commit", method="POST")
@example(path="/api/v1/ledger/holds/*/commit", method="POST")
@example(path="/api/v1/ledger/holds/{hold_id}/commit", method="POST")
@example(path="/api/v1/ledger/batch", method="POST")
@example(path="/api/v1/ledger/batch/", method="POST")
@example(path=f"/api/v1/ledger/holds/{HOLD}/", method="POST")
def test_where_the_short_way_leads_the_router_leads_too(path: str, method: str) -> None:
    agree(path, method)


ODD = {
    "a slash more": lambda path: f"{path}/",
    "two slashes more": lambda path: f"{path}//",
    "a slash before": lambda path: f"/{path}",
    "a slash doubled": lambda path: path.replace("/ledger/", "/ledger//"),
    "a part more": lambda path: f"{path}/{HOLD}",
    "a part more, and a slash": lambda path: f"{path}/{HOLD}/",
    "any part more, and a slash": lambda path: f"{path}/anything at all/",
    "a slash encoded twice": lambda path: f"{path}%2F",
    "a slash within the last part": lambda path: f"{path[:-1]}/{path[-1]}",
    "a part less": lambda path: path.rpartition("/")[0],
    "a part less, and a slash": lambda path: path.rpartition("/")[0] + "/",
    "no parameter": lambda path: path.replace(HOLD, ""),
    "a dot": lambda path: path.replace("/ledger/", "/./ledger/"),
    "capitals": lambda path: path.upper(),
    "a line end": lambda path: f"{path}\n",
    "a space": lambda path: f"{path} ",
    "no slash to begin with": lambda path: path[1:],
}
"""Paths as a server decodes them that are nearly a route's."""


@pytest.mark.parametrize("odd", ODD)
def test_no_path_that_is_nearly_a_routes_leads_elsewhere_than_the_router(odd: str) -> None:
    for method, template in direct_routes():
        agree(ODD[odd](filled(template)), method)


def agree(path: str, method: str) -> None:
    """Where the short way knows a route, the router knows the same one, and reads the same out of the path."""
    scope = scope_of(path, method)
    if SHORT._find(scope) is None:
        return
    normalized = normalize_path(path)
    try:
        found = APP.asgi_router.handle_routing(path=normalized, method=cast("Any", method))
    except HTTPException as error:
        pytest.fail(f"the router knows no {method} {path!r}: {error}")
    assert scope["route_handler"] is found[1]
    assert (scope["path"], scope["path_params"], scope["path_template"]) == found[2:]


def filled(template: str) -> str:
    """A path of a route."""
    before, _, rest = template.partition("{")
    return before + (HOLD + rest.partition("}")[2] if rest else "")


def test_every_route_of_the_ledger_that_is_posted_to_is_reached_directly() -> None:
    routes = direct_routes()
    assert ("POST", "/api/v1/ledger/batch") in routes and len(routes) > 15
    for method, template in routes:
        path = filled(template)
        scope = scope_of(path, method)
        assert SHORT._find(scope) is not None, path
        assert scope["path_template"] == template


def test_a_direct_route_names_a_scope() -> None:
    for route in APP.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if handler.opt.get(DIRECT):
                assert handler.opt.get(SCOPE) and not handler.opt.get(PUBLIC)


@pytest.mark.parametrize("host", [b"", b"a b", b"a/b", b"\xff", b"here\n", b"user@here", b"a_b"])
def test_a_host_that_is_not_plain_goes_the_long_way(host: bytes) -> None:
    assert SHORT._find(scope_of("/api/v1/ledger/holds", host=host)) is None


def test_a_mounted_application_and_a_socket_go_the_long_way() -> None:
    assert SHORT._find(scope_of("/api/v1/ledger/holds", root_path="/mounted")) is None
    assert SHORT._find({"type": "websocket", "path": "/api/v1/ledger/holds", "headers": []}) is None
