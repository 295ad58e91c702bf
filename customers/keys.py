"""API keys as a service: make, list, rotate, revoke, and tell who holds a secret.

A secret is shown once. Stored is its HMAC under a pepper, by which it is found: whoever cannot compute the HMAC
learns nothing from how long the search takes. What was found is believed for ``VERIFIED_FOR_S``, so that a revocation
holds everywhere within ``REVOKED_WITHIN_S`` without asking the database for every request.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple
from uuid import UUID

from customers import limits
from customers.domain.keys import ApiKey, Principal, check_lifetime, check_overlap
from customers.domain.keytext import ENTROPY_BYTES, Mode, make_secret, read_secret
from customers.domain.organisations import read_name
from customers.domain.scopes import read_scopes, require_within
from customers.errors import KeyRejected, KeyUnknown
from customers.ports import CustomerStore, FoundKey, NewKey
from ledger.ports import Clock, Ids

_ID_MARK = b"id:"
"""Sets what is remembered by id apart from what is remembered by a secret's name."""


class MadeKey(NamedTuple):
    """A new key with its secret, which nobody can show again."""

    key: ApiKey
    secret: str


class RotatedKey(NamedTuple):
    """The new key with its secret, and the old one with its end."""

    key: ApiKey
    secret: str
    old: ApiKey


class KeysService:
    """Keys of all organisations. ``entropy`` gives that many random bytes; ``mode`` is that of this installation."""

    def __init__(
        self,
        store: CustomerStore,
        *,
        pepper: bytes,
        mode: Mode,
        clock: Clock,
        ids: Ids,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._pepper = pepper
        self._name_key = hmac.digest(pepper, b"names in memory", "sha256")
        self._mode: Mode = mode
        self._ids = ids
        self._entropy = entropy
        self._verified = Verified(clock)

    def create(
        self,
        organisation_id: UUID,
        name: str,
        scopes: Iterable[str],
        *,
        lifetime_s: int | None = None,
        within: Iterable[str] | None = None,
    ) -> MadeKey:
        """Make a key. ``within`` are the scopes of the key that asks, if one does: it cannot give more.

        :raises InvalidField: name, scopes or lifetime out of bounds.
        :raises ScopeMissing: more than ``within``.
        :raises OrganisationUnknown, TooManyKeys: as they say.
        """
        wanted = read_scopes(scopes)
        if within is not None:
            require_within(wanted, within)
        check_lifetime(lifetime_s)
        new, secret = self._new(organisation_id, read_name(name), wanted, lifetime_s)
        return MadeKey(self._store.add_key(new), secret)

    def list(self, organisation_id: UUID) -> list[ApiKey]:
        """Keys of an organisation, newest first."""
        return self._store.keys(organisation_id, limits.KEYS_LISTED_MAX)

    def rotate(
        self,
        organisation_id: UUID,
        key_id: UUID,
        *,
        overlap_s: int = limits.OVERLAP_DEFAULT_S,
        within: Iterable[str] | None = None,
    ) -> RotatedKey:
        """Make a successor with the same name, scopes and end; the old key stays good for ``overlap_s``.

        :raises InvalidField: overlap out of bounds.
        :raises KeyUnknown, KeyEnded, KeyRotated, TooManyKeys, ScopeMissing: nothing was changed.
        """
        check_overlap(overlap_s)
        before = self._store.key(organisation_id, key_id)
        if before is None:
            raise KeyUnknown
        if within is not None:
            require_within(before.scopes, within)
        new, secret = self._new(organisation_id, before.name, before.scopes, None)
        rotated = self._store.rotate_key(organisation_id, key_id, new, overlap_s)
        self._verified.forget(key_id)
        return RotatedKey(rotated.new, secret, rotated.old)

    def revoke(self, organisation_id: UUID, key_id: UUID) -> ApiKey:
        """End a key: here at once, in other processes within ``REVOKED_WITHIN_S``. A repeat changes nothing.

        :raises KeyUnknown: none of this organisation's.
        """
        revoked = self._store.revoke_key(organisation_id, key_id)
        self._verified.forget(key_id)
        return revoked

    def verify(self, secret: str) -> Principal:
        """Who holds this secret. Asks the store unless it was asked within ``VERIFIED_FOR_S``.

        :raises KeyRejected: not a good key of this installation.
        """
        return self._verified.get(self._name(secret)) or self._look_up(secret)

    def recall(self, secret: str) -> Principal | None:
        """``verify`` from memory alone, for callers that must not wait; None: ask ``verify``.

        :raises KeyRejected: no key of this installation by its text alone.
        """
        known = self._verified.get(self._name(secret))
        if known is None:
            self._check(secret)
        return known

    def recognise(self, organisation_id: UUID, key_id: UUID) -> Principal:
        """Who holds a key that was verified before, by its id alone: for sessions, which end with their key.

        :raises KeyRejected: not a good key of this organisation any more.
        """
        name = _ID_MARK + key_id.bytes
        known = self._verified.get(name)
        if known is not None and known.organisation_id == organisation_id:
            return known
        asked_at_s = self._verified.now_s()
        return self._admit(name, self._store.find_key_by_id(organisation_id, key_id), asked_at_s)

    def _check(self, secret: str) -> None:
        """Judge a secret by its text alone."""
        text = read_secret(secret)
        if text is None:
            raise KeyRejected(reason="malformed")
        if text.mode != self._mode:
            raise KeyRejected(reason="other-mode")

    def _look_up(self, secret: str) -> Principal:
        self._check(secret)
        asked_at_s = self._verified.now_s()
        return self._admit(self._name(secret), self._store.find_key(self._mac(secret)), asked_at_s)

    def _admit(self, name: bytes, found: FoundKey | None, asked_at_s: float) -> Principal:
        if found is None:
            raise KeyRejected(reason="unknown")
        if found.key.mode != self._mode:
            raise KeyRejected(reason="other-mode")
        if (standing := found.key.standing(found.now)) != "active":
            raise KeyRejected(reason=standing)
        self._note_use(found)
        principal = Principal(
            organisation_id=found.key.organisation_id,
            account_id=found.account_id,
            key_id=found.key.key_id,
            scopes=frozenset(found.key.scopes),
        )
        self._verified.keep(name, principal, _good_until_s(found, asked_at_s))
        return principal

    def _note_use(self, found: FoundKey) -> None:
        last = found.key.last_used_at
        if last is None or (found.now - last).total_seconds() >= limits.LAST_USED_EVERY_S:
            self._store.used(found.key.key_id, limits.LAST_USED_EVERY_S)

    def _new(
        self, organisation_id: UUID, name: str, scopes: tuple[str, ...], lifetime_s: int | None
    ) -> tuple[NewKey, str]:
        secret = make_secret(self._mode, self._entropy(ENTROPY_BYTES))
        text = read_secret(secret)
        assert text is not None and text.mode == self._mode
        new = NewKey(
            key_id=self._ids.new(),
            organisation_id=organisation_id,
            name=name,
            mode=self._mode,
            mac=self._mac(secret),
            last_four=text.last_four,
            scopes=scopes,
            lifetime_s=lifetime_s,
        )
        return new, secret

    def _mac(self, secret: str) -> bytes:
        """What a secret is stored as."""
        return hmac.digest(self._pepper, secret.encode(), "sha256")

    def _name(self, secret: str) -> bytes:
        """What any text is remembered by as a secret: keyed as the MAC is, at a third of its cost."""
        return blake2b(secret.encode(errors="surrogatepass"), key=self._name_key).digest()


class Verified:
    """Keys found good a moment ago, by name or id, bounded in number and time. Safe from many threads."""

    def __init__(self, clock: Clock, entries_max: int = limits.VERIFIED_MAX) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._entries: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._lock = Lock()

    def now_s(self) -> float:
        """The clock that entries end by."""
        return self._clock.monotonic_s()

    def get(self, name: bytes) -> Principal | None:
        """Who it was, if that was a moment ago."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            if entry[1] <= self._clock.monotonic_s():
                del self._entries[name]
                return None
            return entry[0]

    def keep(self, name: bytes, principal: Principal, until_s: float) -> None:
        """Remember, forgetting the oldest where there are too many."""
        with self._lock:
            self._entries[name] = (principal, until_s)
            self._entries.move_to_end(name)
            while len(self._entries) > self._entries_max:
                self._entries.popitem(last=False)

    def forget(self, key_id: UUID) -> None:
        """Drop one key."""
        with self._lock:
            for name in [name for name, (principal, _) in self._entries.items() if principal.key_id == key_id]:
                del self._entries[name]


def _good_until_s(found: FoundKey, asked_at_s: float) -> float:
    """Counted from before the question: what was revoked meanwhile is not believed longer than allowed."""
    good_s = limits.VERIFIED_FOR_S
    if found.key.expires_at is not None:
        good_s = min(good_s, (found.key.expires_at - found.now).total_seconds())
    return asked_at_s + good_s
