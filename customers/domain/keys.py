"""A key's life: active, rotated with an overlap, expired or revoked. Decided on the database's clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from msgspec import Struct

from customers import limits
from customers.domain.keytext import Mode
from customers.errors import InvalidField, KeyEnded, KeyRotated

Standing = Literal["active", "expired", "revoked"]


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key as stored, without its secret. ``prefix`` and ``last_four`` are what people recognise it by.

    ``replaced_by`` is the key that it was rotated into; it then ends at ``expires_at`` at the latest.
    """

    key_id: UUID
    organisation_id: UUID
    name: str
    mode: Mode
    last_four: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    replaced_by: UUID | None = None

    def standing(self, now: datetime) -> Standing:
        """What the key is good for at a time."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "active"


class Principal(Struct, frozen=True, kw_only=True):
    """Who asks: the tenant of every query that follows."""

    organisation_id: UUID
    account_id: UUID
    key_id: UUID
    scopes: frozenset[str]


def end_of_overlap(key: ApiKey, now: datetime, overlap_s: int) -> datetime:
    """When a key that is rotated now ends: after the overlap, never later than it would have.

    :raises KeyEnded: it is revoked or expired.
    :raises KeyRotated: it was rotated before.
    """
    assert 0 <= overlap_s <= limits.OVERLAP_MAX_S
    if (standing := key.standing(now)) != "active":
        raise KeyEnded(standing=standing)
    if key.replaced_by is not None:
        raise KeyRotated(replaced_by=str(key.replaced_by))
    end = now + timedelta(seconds=overlap_s)
    return end if key.expires_at is None else min(end, key.expires_at)


def check_lifetime(lifetime_s: int | None) -> None:
    """Check how long a key is to live; None is for ever.

    :raises InvalidField: out of range.
    """
    low, high = limits.KEY_LIFETIME_MIN_S, limits.KEY_LIFETIME_MAX_S
    if lifetime_s is not None and not low <= lifetime_s <= high:
        raise InvalidField("expires_in_s", f"a whole number from {low} to {high}")


def check_overlap(overlap_s: int) -> None:
    """Check an overlap.

    :raises InvalidField: out of range.
    """
    if not 0 <= overlap_s <= limits.OVERLAP_MAX_S:
        raise InvalidField("overlap_s", f"a whole number from 0 to {limits.OVERLAP_MAX_S}")
