"""What customers ask of their storage: organisations, members and keys as rows. Two adapters, one contract suite."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct

from customers.domain.keys import ApiKey
from customers.domain.keytext import Mode
from customers.domain.organisations import Organisation


class NewOrganisation(Struct, frozen=True, kw_only=True):
    """An organisation to store; ``signup_key`` is the SHA-256 of the sign-up's idempotency key."""

    organisation_id: UUID
    account_id: UUID
    name: str
    signup_key: bytes
    owner_email: str | None


class Claimed(NamedTuple):
    """What is stored under a sign-up's key."""

    organisation: Organisation
    owner_email: str | None


class NewKey(Struct, frozen=True, kw_only=True):
    """A key to store; ``lifetime_s`` counts from the store's clock, None is for ever."""

    key_id: UUID
    organisation_id: UUID
    name: str
    mode: Mode
    mac: bytes
    last_four: str
    scopes: tuple[str, ...]
    lifetime_s: int | None


class FoundKey(NamedTuple):
    """A key with its organisation's account, and the store's clock when it was read."""

    key: ApiKey
    account_id: UUID
    now: datetime


class Rotated(NamedTuple):
    """Both keys after a rotation."""

    old: ApiKey
    new: ApiKey


class CustomerStore(Protocol):
    """Rows of organisations, members and keys. Every method is one transaction."""

    def claim_organisation(self, new: NewOrganisation) -> Claimed:
        """Store an organisation and its owner under the sign-up's key, or give what is stored under it."""
        ...

    def account_opened(self, organisation_id: UUID) -> Organisation:
        """Note that the ledger has the account; a repeat keeps the first time."""
        ...

    def organisation(self, organisation_id: UUID) -> Organisation | None:
        """One organisation."""
        ...

    def unfinished(self, older_than_s: float, limit: int) -> list[Organisation]:
        """Organisations without an account since more than some seconds, oldest first."""
        ...

    def add_key(self, key: NewKey) -> ApiKey:
        """Store a key.

        :raises OrganisationUnknown: no such organisation.
        :raises TooManyKeys: it has as many good ones as it may.
        """
        ...

    def rotate_key(self, organisation_id: UUID, key_id: UUID, successor: NewKey, overlap_s: int) -> Rotated:
        """Store a successor, with the end that the old key had, and let the old one end after the overlap.

        :raises KeyUnknown, KeyEnded, KeyRotated, TooManyKeys: nothing was changed.
        """
        ...

    def revoke_key(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """End a key now; a repeat keeps the first time.

        :raises KeyUnknown: none of this organisation's.
        """
        ...

    def key(self, organisation_id: UUID, key_id: UUID) -> ApiKey | None:
        """One key of an organisation."""
        ...

    def keys(self, organisation_id: UUID, limit: int) -> list[ApiKey]:
        """Keys of an organisation, newest first."""
        ...

    def find_key(self, mac: bytes) -> FoundKey | None:
        """The key with this MAC, good or not."""
        ...

    def find_key_by_id(self, organisation_id: UUID, key_id: UUID) -> FoundKey | None:
        """A key of an organisation, good or not."""
        ...

    def used(self, key_id: UUID, every_s: int) -> None:
        """Note a key's use, unless that was done less than ``every_s`` ago."""
        ...
