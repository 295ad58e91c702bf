"""Sessions of the pages: a signed cookie that names a key, and the token that proves a form is of this session.

The cookie holds no secret of the customer's. A visitor has one too, without a key, so that the forms at the door are
protected like all others. Signing in or out begins a new one.
"""

from __future__ import annotations

import binascii
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from msgspec import Struct

from api.pages.limits import SESSION_S
from ledger.ports import Clock

COOKIE = "tallystick"
_FORMAT = struct.Struct(">B16s16s16sQ")
_VERSION = 1
_NONCE_BYTES = 16
_MAC_BYTES = 32
_NOBODY = UUID(int=0)


class Session(Struct, frozen=True, kw_only=True):
    """A cookie that we signed. ``key_id`` is None for a visitor. ``nonce`` names the session, ``token`` its forms."""

    nonce: bytes
    organisation_id: UUID
    key_id: UUID | None
    issued_s: int
    token: str
    cookie: str


class Sessions:
    """Writes and reads sessions under one secret. ``entropy`` gives that many random bytes."""

    def __init__(self, secret: bytes, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        assert secret, "sessions need a secret"
        self._secret = secret
        self._clock = clock
        self._entropy = entropy

    def visitor(self) -> Session:
        """A new session of nobody."""
        return self._begin(_NOBODY, None)

    def member(self, organisation_id: UUID, key_id: UUID) -> Session:
        """A new session of who holds a key."""
        return self._begin(organisation_id, key_id)

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None when it is not one of ours, or too old."""
        raw = _decoded(cookie or "")
        payload, mac = raw[: _FORMAT.size], raw[_FORMAT.size :]
        if len(raw) != _FORMAT.size + _MAC_BYTES or not hmac.compare_digest(mac, self._mac(b"session", payload)):
            return None
        version, nonce, organisation, key, issued_s = _FORMAT.unpack(payload)
        age_s = _seconds(self._clock.now()) - issued_s
        if version != _VERSION or not 0 <= age_s < SESSION_S:
            return None
        return self._session(payload, nonce, UUID(bytes=organisation), UUID(bytes=key), issued_s)

    def number(self) -> str:
        """A fresh number for a form that may be sent twice and counts once."""
        return self._entropy(_NONCE_BYTES).hex()

    def _begin(self, organisation_id: UUID, key_id: UUID | None) -> Session:
        nonce, issued_s = self._entropy(_NONCE_BYTES), _seconds(self._clock.now())
        key = key_id or _NOBODY
        payload = _FORMAT.pack(_VERSION, nonce, organisation_id.bytes, key.bytes, issued_s)
        return self._session(payload, nonce, organisation_id, key, issued_s)

    def _session(self, payload: bytes, nonce: bytes, organisation_id: UUID, key_id: UUID, issued_s: int) -> Session:
        return Session(
            nonce=nonce,
            organisation_id=organisation_id,
            key_id=None if key_id == _NOBODY else key_id,
            issued_s=issued_s,
            token=self._mac(b"form", payload).hex(),
            cookie=urlsafe_b64encode(payload + self._mac(b"session", payload)).decode(),
        )

    def _mac(self, purpose: bytes, payload: bytes) -> bytes:
        return hmac.digest(self._secret, purpose + b"\0" + payload, "sha256")


def cookie_name(*, secure: bool) -> str:
    """Over TLS the name itself keeps other hosts and plain HTTP from setting it."""
    return f"__Host-{COOKIE}" if secure else COOKIE


def set_cookie(session: Session, *, secure: bool) -> str:
    """The header that gives a browser its session."""
    parts = [f"{cookie_name(secure=secure)}={session.cookie}", "Path=/", "HttpOnly", "SameSite=Strict"]
    if secure:
        parts.append("Secure")
    return "; ".join([*parts, f"Max-Age={SESSION_S}"])


def _decoded(cookie: str) -> bytes:
    try:
        return urlsafe_b64decode(cookie.encode("ascii"))
    except (UnicodeEncodeError, binascii.Error):
        return b""


def _seconds(when: datetime) -> int:
    return int(when.timestamp())
