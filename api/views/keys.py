"""API keys as bodies and answers. A secret is part of one answer only: the one to its making."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from customers.domain.keys import ApiKey
from customers.domain.keytext import prefix_of
from customers.limits import OVERLAP_DEFAULT_S
from ledger.ids import render

Secret = Annotated[str, Meta(description="The key itself. Keep it: nobody can show it again.")]


class KeyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. It cannot have more scopes than the key that asks."""

    name: Annotated[str, Meta(description="What it is for.", examples=["web shop"])]
    scopes: Annotated[list[str], Meta(description="What it may do.", examples=[["jobs:read", "jobs:write"]])]
    expires_in_s: Annotated[int | None, Meta(description="Seconds until it ends; left out: never.")] = None


class RotateIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old key stays good beside the new one."""

    overlap_s: Annotated[int, Meta(description="Seconds.", examples=[3600])] = OVERLAP_DEFAULT_S


class KeyOut(Struct, frozen=True, kw_only=True):
    """A key without its secret; ``prefix`` and ``last_four`` are what it is recognised by."""

    key_id: str
    name: str
    prefix: str
    last_four: str
    scopes: list[str]
    standing: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None


class KeysOut(Struct, frozen=True, kw_only=True):
    """All keys, those that are good first, newest first."""

    data: list[KeyOut]


class MadeKeyOut(Struct, frozen=True, kw_only=True):
    """A new key with its secret."""

    key: KeyOut
    secret: Secret


class RotatedKeyOut(Struct, frozen=True, kw_only=True):
    """The new key with its secret, and the old one with its end."""

    key: KeyOut
    secret: Secret
    old: KeyOut


def key_out(key: ApiKey, now: datetime) -> KeyOut:
    """A key as its organisation sees it."""
    return KeyOut(
        key_id=render("key", key.key_id),
        name=key.name,
        prefix=prefix_of(key.mode),
        last_four=key.last_four,
        scopes=list(key.scopes),
        standing=key.standing(now),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        replaced_by=render("key", key.replaced_by) if key.replaced_by else None,
    )
