"""Signed notifications: HMAC-SHA256 over time and raw bytes; several signatures are allowed while keys rotate."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from payments.errors import NotificationRefused
from payments.rail import Hint

HEADER = "sandbox-signature"
OLD_AFTER_S = 300
_SECONDS = re.compile(r"[0-9]{1,12}")


class Notification(Struct, frozen=True):
    """A message to a merchant: headers with lower-case names, and the raw body they sign."""

    headers: Mapping[str, str]
    raw: bytes


class _Body(Struct, frozen=True):
    id: str
    type: str
    ref: str


_decoder = msgspec.json.Decoder(_Body)


def write(hint: Hint, secret: bytes, at: datetime) -> Notification:
    """Write and sign a notification."""
    raw = msgspec.json.encode(_Body(id=hint.external_id, type=hint.kind, ref=hint.ref))
    sent = int(at.timestamp())
    return Notification({HEADER: f"t={sent},v1={_mac(secret, sent, raw)}"}, raw)


def read(notification: Notification, secret: bytes, now: datetime) -> Hint:
    """Check the signature over the raw bytes and say what to look up.

    :raises NotificationRefused: unsigned, forged, older than five minutes, or unreadable.
    """
    sent, signatures = _parts(notification.headers.get(HEADER, ""))
    expected = _mac(secret, sent, notification.raw)
    if not any(hmac.compare_digest(expected, signature) for signature in signatures):
        raise NotificationRefused(reason="forged")
    if now.timestamp() - sent > OLD_AFTER_S:
        raise NotificationRefused(reason="stale")
    try:
        body = _decoder.decode(notification.raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotificationRefused(reason="unreadable") from error
    return Hint(external_id=body.id, ref=body.ref, kind=body.type)


def _parts(header: str) -> tuple[int, list[str]]:
    pairs = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1" and value.isascii()]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]) or not signatures:
        raise NotificationRefused(reason="unsigned")
    return int(times[0]), signatures


def _mac(secret: bytes, sent: int, raw: bytes) -> str:
    assert secret, "an empty secret signs nothing"
    return hmac.new(secret, f"{sent}.".encode() + raw, sha256).hexdigest()
