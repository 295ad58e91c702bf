"""API keys as bodies and answers. A secret is part of one answer only: the one to its making."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from customers.domain.keys import ApiKey
from customers.domain.keytext import prefix_of
from customers.domain.scopes import MEANINGS
from customers.limits import (
    KEY_LIFETIME_MAX_S,
    KEY_LIFETIME_MIN_S,
    NAME_CHARS_MAX,
    OVERLAP_DEFAULT_S,
    OVERLAP_MAX_S,
)
from ledger.ids import render

Scope = Annotated[str, Meta(extra_json_schema={"enum": list(MEANINGS)})]
Lifetime = Annotated[int, Meta(ge=KEY_LIFETIME_MIN_S, le=KEY_LIFETIME_MAX_S)]
Secret = Annotated[str, Meta(description="The key itself. Keep it: nobody can show it again.")]


class KeyIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make. It cannot have more scopes than the key that asks."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX, description="What it is for.")]
    scopes: Annotated[list[Scope], Meta(min_length=1, description="What it may do.")]
    expires_in_s: Annotated[Lifetime | None, Meta(description="Seconds until it ends; left out: never.")] = None


class RotateIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old key stays good beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_MAX_S, description="Seconds.")] = OVERLAP_DEFAULT_S


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
