"""Ids that follow from what they name, so that everybody who looks at the same thing claims the same stream."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID


def stable_id(kind: str, *names: str) -> UUID:
    """A UUIDv8 of 122 bits of SHA-256 over the names; each is length-prefixed, so that none runs into the next."""
    digest = sha256()
    for name in (kind, *names):
        raw = name.encode()
        digest.update(len(raw).to_bytes(4, "big") + raw)
    bits = bytearray(digest.digest()[:16])
    bits[6] = (bits[6] & 0x0F) | 0x80
    bits[8] = (bits[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(bits))


def receipt_stream(rail: str, external_id: str) -> UUID:
    """Stream of a receipt: the money's own key."""
    return stable_id("receipt", rail, external_id)


def charge_stream(rail: str, ref: str) -> UUID:
    """Stream with the claim on a charge's reference."""
    return stable_id("charge", rail, ref)


def grant_of(receipt_id: UUID, generation: int, part: int) -> UUID:
    """Grant of a receipt: key is (receipt, generation, part)."""
    return stable_id("grant", receipt_id.hex, str(generation), str(part))


def open_key(topup_id: UUID, rail: str, attempt: int) -> str:
    """Outgoing idempotency key of a charge."""
    return f"topup:{topup_id.hex}:{rail}:{attempt}"
