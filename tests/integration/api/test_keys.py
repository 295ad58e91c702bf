"""Keys over HTTP."""

from __future__ import annotations

import time

import httpx

from customers.domain.keytext import read_secret
from customers.limits import VERIFIED_FOR_S
from tests.support.api import Site

OVERLAP_S = 3


def with_key(site: Site, secret: str) -> httpx.Client:
    return httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {secret}"}, timeout=60.0, trust_env=False)


def test_a_key_is_made_used_rotated_and_revoked(site: Site) -> None:
    ada = site.customer()
    answer = ada.post("/keys", {"name": "shop", "scopes": ["jobs:write", "jobs:read"], "expires_in_s": 3600})
    made = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert read_secret(made["secret"]) is not None
    assert made["key"]["scopes"] == ["jobs:read", "jobs:write"] and made["key"]["last_four"] == made["secret"][-4:]
    with with_key(site, made["secret"]) as shop:
        assert shop.get("/api/v1/jobs").status_code == 200
        assert shop.get("/api/v1/balance").status_code == 403
        start = time.monotonic()
        rotated = ada.post(f"/keys/{made['key']['key_id']}/rotate", {"overlap_s": OVERLAP_S}).json()
        assert rotated["old"]["replaced_by"] == rotated["key"]["key_id"]
        assert shop.get("/api/v1/jobs").status_code == 200 or time.monotonic() - start >= OVERLAP_S, "while it lasts"
        time.sleep(OVERLAP_S + VERIFIED_FOR_S + 0.1)
        assert shop.get("/api/v1/jobs").status_code == 401
    with with_key(site, rotated["secret"]) as shop:
        assert shop.get("/api/v1/jobs").status_code == 200
        ada.post(f"/keys/{rotated['key']['key_id']}/revoke")
        assert shop.get("/api/v1/jobs").status_code == 401


def test_no_list_shows_a_secret(site: Site) -> None:
    ada = site.customer()
    listed = ada.get("/keys").text
    assert ada.secret not in listed and ada.secret[:-4] not in listed
    assert ada.get("/keys").json()["data"][0]["last_used_at"] is not None


def test_a_key_makes_none_that_is_stronger(site: Site) -> None:
    ada = site.customer("keys:write", "jobs:read")
    assert ada.post("/keys", {"name": "same", "scopes": ["jobs:read"]}).status_code == 201
    refused = ada.post("/keys", {"name": "more", "scopes": ["jobs:read", "topups:write"]})
    assert (refused.status_code, refused.json()["scope"]) == (403, "topups:write")


def test_a_second_rotation_names_the_first(site: Site) -> None:
    ada = site.customer()
    key = ada.get("/keys").json()["data"][0]["key_id"]
    first = ada.post(f"/keys/{key}/rotate").json()
    again = ada.post(f"/keys/{key}/rotate")
    assert (again.status_code, again.json()["code"]) == (409, "key-rotated")
    assert first["key"]["key_id"].removeprefix("key_") in again.json()["replaced_by"].replace("-", "")


def test_bad_keys_are_refused_at_their_place(site: Site) -> None:
    ada = site.customer()
    for body, pointer in (
        ({"name": "", "scopes": ["jobs:read"]}, "/name"),
        ({"name": "x" * 101, "scopes": ["jobs:read"]}, "/name"),
        ({"name": "x", "scopes": []}, "/scopes"),
        ({"name": "x", "scopes": ["all"]}, "/scopes"),
        ({"name": "x", "scopes": ["jobs:read", 1]}, "/scopes/1"),
        ({"name": "x", "scopes": ["jobs:read"], "expires_in_s": 1}, "/expires_in_s"),
        ({"name": "x", "scopes": ["jobs:read"], "expires_in_s": 1.5}, "/expires_in_s"),
    ):
        refused = ada.post("/keys", body)
        assert refused.status_code == 422
        assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
