"""Opaque cursors of lists: a position, signed for one list of one organisation, so that it fits nowhere else."""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

_POSITION_BYTES = 8
_MAC_BYTES = 12
_TEXT_CHARS = (_POSITION_BYTES + _MAC_BYTES + 2) // 3 * 4


class Cursors:
    """Writes and reads cursors under one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, listing: str, organisation_id: UUID, position: int) -> str:
        """A cursor that continues after ``position`` in one list."""
        raw = position.to_bytes(_POSITION_BYTES)
        return urlsafe_b64encode(raw + self._mac(listing, organisation_id, raw)).decode().rstrip("=")

    def read(self, listing: str, organisation_id: UUID, text: str) -> int | None:
        """The position of a cursor of this list; None when it is not one."""
        try:
            raw = urlsafe_b64decode((text + "=").encode("ascii")) if len(text) == _TEXT_CHARS - 1 else b""
        except (UnicodeEncodeError, binascii.Error):
            return None
        position, mac = raw[:_POSITION_BYTES], raw[_POSITION_BYTES:]
        if not hmac.compare_digest(mac, self._mac(listing, organisation_id, position)):
            return None
        return int.from_bytes(position)

    def _mac(self, listing: str, organisation_id: UUID, position: bytes) -> bytes:
        message = b"\0".join((listing.encode(), organisation_id.bytes, position))
        return hmac.digest(self._secret, message, "sha256")[:_MAC_BYTES]
