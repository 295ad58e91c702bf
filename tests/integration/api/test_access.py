"""Who may call what: every route, without a key, with a weak one, with another organisation's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute

from api.app import check_access, create_app
from api.auth import PUBLIC, SCOPE
from api.openapi import find_operations
from customers.domain.keytext import make_secret
from customers.domain.scopes import MEANINGS, SCOPES
from tests.support.api import PROMPT, Site

PUBLIC_ROUTES = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/openapi.json"),
    ("GET", "/problems/{code}"),
    ("GET", "/outputs/{key}"),
    ("POST", "/api/v1/rails/{rail}/notifications"),
}
"""Adding a route here makes it public: think twice."""

BAD_KEYS = [
    "Bearer tally_test_x",
    "Bearer " + make_secret("test", bytes(32)),
    "Bearer " + make_secret("live", bytes(32)),
    "Bearer",
    "Basic dXNlcjpwYXNz",
    "tally_test_x",
    "Bearer \xff\xfe",
]


def routes(site: Site) -> Iterator[tuple[str, str, str | None]]:
    """Routes for programs: method, path and scope. Those for people, behind a session, carry the option ``pages``."""
    for route in site.app.routes:
        assert isinstance(route, HTTPRoute), f"{route.path} is no HTTP route: say here who may use it"
        for handler in route.route_handlers:
            if "pages" in handler.opt:
                continue
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                scope = None if handler.opt.get(PUBLIC) is True else handler.opt[SCOPE]
                yield str(method), route.path_format, scope


PREFIXES = {"topup": "top", "account": "acc", "adjustment": "adj"}


def filled(path: str) -> str:
    return re.sub(r"\{(\w+)_id\}", lambda m: f"{PREFIXES.get(m[1], m[1])}_{'0' * 32}", path)


def ask(client: httpx.Client, method: str, path: str, **headers: str) -> httpx.Response:
    body = PROMPT if method in {"POST", "PUT"} else None
    return client.request(method, filled(path), json=body, headers={"Idempotency-Key": "k", **headers})


def test_the_public_routes_are_those_of_the_list_and_every_other_names_a_scope(site: Site) -> None:
    found = list(routes(site))
    assert {(method, path) for method, path, scope in found if scope is None} == PUBLIC_ROUTES
    assert all(scope in SCOPES for _, _, scope in found if scope is not None)
    assert {scope for _, _, scope in found if scope is not None} == SCOPES


def test_every_route_is_in_the_openapi_document(site: Site) -> None:
    documented = {(method.upper(), path) for path, method, _ in find_operations(site.app)}
    assert documented == {(method, path) for method, path, _ in routes(site)}


def test_an_application_with_an_unguarded_route_is_not_built(site: Site) -> None:
    from litestar import get  # noqa: PLC0415

    @get("/open")
    async def unguarded() -> str:
        return "everything"

    @get("/misspelt", opt={"scope": "jobs:reed"})
    async def misspelt() -> str:
        return "everything"

    for route in (unguarded, misspelt):
        with pytest.raises(AssertionError, match="says neither"):
            create_app(site.services, [route])
    check_access(site.app)


def test_without_a_key_every_route_answers_401_and_says_how_to_authenticate(site: Site) -> None:
    with site.stranger() as client:
        for method, path, scope in routes(site):
            if scope is not None:
                answer = ask(client, method, path)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tallystick"'
                assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("sent", BAD_KEYS)
def test_every_kind_of_bad_key_is_answered_alike(site: Site, sent: str) -> None:
    with site.stranger() as client:
        answer = client.get("/api/v1/balance", headers={b"Authorization": sent.encode("latin-1")})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="tallystick"')
    assert {name: answer.json()[name] for name in ("code", "status")} == {"code": "unauthenticated", "status": 401}


def test_revoked_unknown_and_expired_keys_answer_the_same(site: Site) -> None:
    ada = site.customer()
    site.runtime.keys.revoke(ada.organisation_id, ada.key_id)
    revoked = ada.get("/balance")
    with site.stranger() as client:
        unknown = client.get(
            "/api/v1/balance", headers={"Authorization": f"Bearer {make_secret('test', bytes(range(32)))}"}
        )
    assert revoked.status_code == unknown.status_code == 401
    assert {**revoked.json(), "instance": ""} == {**unknown.json(), "instance": ""}
    assert revoked.headers["WWW-Authenticate"] == unknown.headers["WWW-Authenticate"]


def test_a_key_without_the_scope_is_told_which_it_lacks(site: Site) -> None:
    for method, path, scope in routes(site):
        if scope is None:
            continue
        apart = "ledger:approve" if scope != "ledger:approve" else "ledger:adjust"  # no key has both
        weak = site.customer(*(other for other in MEANINGS if other not in {scope, apart}), amount=0)
        answer = ask(weak.http, method, path)
        assert answer.status_code == 403, (path, answer.text)
        assert (answer.json()["code"], answer.json()["scope"]) == ("scope-missing", scope)
        assert f'scope="{scope}"' in answer.headers["WWW-Authenticate"]


def test_what_belongs_to_another_organisation_is_as_unknown_as_what_does_not_exist(site: Site) -> None:
    ada, eve = site.customer(), site.customer()
    job = ada.order()
    topup = ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key="k").json()["topup_id"]
    key = ada.get("/keys").json()["data"][0]["key_id"]
    for method, path in [
        ("GET", f"/jobs/{job}"),
        ("GET", f"/jobs/{job}/events"),
        ("POST", f"/jobs/{job}/cancel"),
        ("GET", f"/topups/{topup}"),
        ("POST", f"/keys/{key}/revoke"),
        ("POST", f"/keys/{key}/rotate"),
    ]:
        theirs = eve.http.request(method, f"/api/v1{path}")
        nobodys = eve.http.request(method, f"/api/v1{_other_id(path)}")
        assert theirs.status_code == nobodys.status_code == 404, path
        assert {**theirs.json(), "instance": ""} == {**nobodys.json(), "instance": ""}
    assert ada.get(f"/jobs/{job}").json()["state"] in {"accepted", "queued"}
    assert ada.get("/keys").json()["data"][0]["standing"] == "active"


def test_lists_hold_nothing_of_others(site: Site) -> None:
    ada, eve = site.customer(), site.customer(amount=0)
    ada.order()
    ada.post("/topups", {"rail": "sandbox", "pack": "starter"}, key="k")
    site.follow()
    for path in ("/jobs", "/holds", "/statement", "/topups"):
        assert ada.get(path).json()["data"], path
        assert eve.get(path).json()["data"] == [], path
    assert [key["last_four"] for key in eve.get("/keys").json()["data"]] == [eve.secret[-4:]]


def test_a_revoked_key_is_refused_at_once_here(site: Site) -> None:
    ada = site.customer()
    assert ada.get("/balance").status_code == 200
    key = ada.get("/keys").json()["data"][0]["key_id"]
    assert ada.post(f"/keys/{key}/revoke").json()["standing"] == "revoked"
    assert ada.get("/balance").status_code == 401


def _other_id(path: str) -> str:
    return re.sub(r"_[0-9a-f]{32}", "_" + "0" * 32, path)


def test_a_key_is_asked_about_once_for_all_who_show_it_at_the_same_moment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, asked = site.customer(), []
    keys: Any = site.services.keys
    verify = keys.verify

    def slowly(secret: str) -> Any:
        asked.append(secret)
        time.sleep(0.2)
        return verify(secret)

    monkeypatch.setattr(keys, "verify", slowly)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _: ada.get("/balance").status_code, range(16)))
    assert answers == [200] * 16 and len(asked) < 8
    site.runtime.keys.revoke(ada.organisation_id, ada.key_id)
    assert ada.get("/balance").status_code == 401
