"""Identifiers: UUIDv7 inside, a kind prefix and the UUID's 32 hex digits outside (``job_0190…``)."""

from __future__ import annotations

import re
from uuid import UUID

_ENTROPY_BYTES = 10
_DIGITS = re.compile("[0-9a-f]{32}")
_KINDS = frozenset(
    {"acc", "org", "key", "top", "chg", "rcp", "job", "att", "hold", "grant", "evt", "debit", "img", "quo"}
    | {"adj", "budget", "link", "move", "undo"}
)


def uuid7(unix_ms: int, entropy: bytes) -> UUID:
    """Build a UUIDv7 from milliseconds since 1970 and ten random bytes (RFC 9562, section 5.7)."""
    assert 0 <= unix_ms < 1 << 48 and len(entropy) == _ENTROPY_BYTES
    raw = bytearray(unix_ms.to_bytes(6, "big") + entropy)
    raw[6] = (raw[6] & 0x0F) | 0x70
    raw[8] = (raw[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(raw))


def render(kind: str, value: UUID) -> str:
    """Text of an id as clients see it, e.g. ``render("job", id)``."""
    assert kind in _KINDS, kind
    return f"{kind}_{value.hex}"


def parse(kind: str, text: str) -> UUID:
    """Read an id of one kind.

    :raises ValueError: another kind, or not 32 lower-case hex digits.
    """
    assert kind in _KINDS, kind
    prefix, _, digits = text.partition("_")
    if prefix != kind or _DIGITS.fullmatch(digits) is None:
        message = f"expected {kind}_ and 32 hex digits"
        raise ValueError(message)
    return UUID(int=int(digits, 16))


def parse_any(text: str) -> UUID:
    """Read an id of whatever kind.

    :raises ValueError: no kind that we know, or not 32 lower-case hex digits.
    """
    kind = text.partition("_")[0]
    if kind not in _KINDS:
        message = "expected an id such as acc_ and 32 hex digits"
        raise ValueError(message)
    return parse(kind, text)
