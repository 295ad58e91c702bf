"""``customers.ports.CustomerStore`` in memory: the twin for tests, the simulator and small tools."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from threading import Lock
from uuid import UUID

from msgspec.structs import replace

from customers import limits
from customers.domain.keys import ApiKey, end_of_overlap
from customers.domain.organisations import Organisation
from customers.errors import KeyUnknown, OrganisationUnknown, TooManyKeys
from customers.ports import Claimed, FoundKey, NewKey, NewOrganisation, Rotated
from ledger.ports import Clock


class MemoryStore:
    """Organisations, members and keys as dictionaries. Safe from many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._claims: dict[bytes, tuple[UUID, str | None]] = {}
        self._organisations: dict[UUID, Organisation] = {}
        self._keys: dict[UUID, ApiKey] = {}
        self._macs: dict[bytes, UUID] = {}

    def claim_organisation(self, new: NewOrganisation) -> Claimed:
        """See ``CustomerStore``."""
        with self._lock:
            if new.signup_key not in self._claims:
                self._claims[new.signup_key] = (new.organisation_id, new.owner_email)
                self._organisations[new.organisation_id] = Organisation(
                    organisation_id=new.organisation_id,
                    account_id=new.account_id,
                    name=new.name,
                    created_at=self._clock.now(),
                )
            organisation_id, owner_email = self._claims[new.signup_key]
            return Claimed(self._organisations[organisation_id], owner_email)

    def account_opened(self, organisation_id: UUID) -> Organisation:
        """See ``CustomerStore``."""
        with self._lock:
            organisation = self._organisations[organisation_id]
            opened_at = organisation.account_opened_at or self._clock.now()
            self._organisations[organisation_id] = replace(organisation, account_opened_at=opened_at)
            return self._organisations[organisation_id]

    def organisation(self, organisation_id: UUID) -> Organisation | None:
        """See ``CustomerStore``."""
        return self._organisations.get(organisation_id)

    def unfinished(self, older_than_s: float, limit: int) -> list[Organisation]:
        """See ``CustomerStore``."""
        before = self._clock.now() - timedelta(seconds=older_than_s)
        with self._lock:
            found = [
                organisation
                for organisation in self._organisations.values()
                if organisation.account_opened_at is None and organisation.created_at < before
            ]
        return sorted(found, key=lambda organisation: organisation.created_at)[:limit]

    def add_key(self, key: NewKey) -> ApiKey:
        """See ``CustomerStore``."""
        with self._lock:
            self._check_room(key.organisation_id)
            return self._insert(key)

    def rotate_key(self, organisation_id: UUID, key_id: UUID, successor: NewKey, overlap_s: int) -> Rotated:
        """See ``CustomerStore``."""
        with self._lock:
            self._check_room(organisation_id)
            old = self._own(organisation_id, key_id)
            ends_at = end_of_overlap(old, self._clock.now(), overlap_s)
            new = self._keys[successor.key_id] = replace(self._insert(successor), expires_at=old.expires_at)
            self._keys[key_id] = replace(old, replaced_by=new.key_id, expires_at=ends_at)
            return Rotated(self._keys[key_id], new)

    def revoke_key(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """See ``CustomerStore``."""
        with self._lock:
            key = self._own(organisation_id, key_id)
            self._keys[key_id] = replace(key, revoked_at=key.revoked_at or self._clock.now())
            return self._keys[key_id]

    def key(self, organisation_id: UUID, key_id: UUID) -> ApiKey | None:
        """See ``CustomerStore``."""
        key = self._keys.get(key_id)
        return key if key is not None and key.organisation_id == organisation_id else None

    def keys(self, organisation_id: UUID, limit: int) -> list[ApiKey]:
        """See ``CustomerStore``."""
        now = self._clock.now()
        with self._lock:
            found = list(self._of(organisation_id))
        found.sort(key=lambda key: (key.standing(now) == "active", key.created_at, key.key_id), reverse=True)
        return found[:limit]

    def find_key(self, mac: bytes) -> FoundKey | None:
        """See ``CustomerStore``."""
        with self._lock:
            if mac not in self._macs:
                return None
            return self._found(self._keys[self._macs[mac]])

    def find_key_by_id(self, organisation_id: UUID, key_id: UUID) -> FoundKey | None:
        """See ``CustomerStore``."""
        with self._lock:
            key = self.key(organisation_id, key_id)
            return None if key is None else self._found(key)

    def used(self, key_id: UUID, every_s: int) -> None:
        """See ``CustomerStore``."""
        now = self._clock.now()
        with self._lock:
            last = self._keys[key_id].last_used_at
            if last is None or last < now - timedelta(seconds=every_s):
                self._keys[key_id] = replace(self._keys[key_id], last_used_at=now)

    def _found(self, key: ApiKey) -> FoundKey:
        return FoundKey(key, self._organisations[key.organisation_id].account_id, self._clock.now())

    def _of(self, organisation_id: UUID) -> Iterator[ApiKey]:
        return (key for key in self._keys.values() if key.organisation_id == organisation_id)

    def _own(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        key = self._keys.get(key_id)
        if key is None or key.organisation_id != organisation_id:
            raise KeyUnknown
        return key

    def _check_room(self, organisation_id: UUID) -> None:
        if organisation_id not in self._organisations:
            raise OrganisationUnknown
        now = self._clock.now()
        if sum(key.standing(now) == "active" for key in self._of(organisation_id)) >= limits.KEYS_MAX:
            raise TooManyKeys(keys_max=limits.KEYS_MAX)

    def _insert(self, new: NewKey) -> ApiKey:
        now = self._clock.now()
        key = ApiKey(
            key_id=new.key_id,
            organisation_id=new.organisation_id,
            name=new.name,
            mode=new.mode,
            last_four=new.last_four,
            scopes=new.scopes,
            created_at=now,
            expires_at=None if new.lifetime_s is None else now + timedelta(seconds=new.lifetime_s),
        )
        self._keys[key.key_id] = key
        self._macs[new.mac] = key.key_id
        return key
