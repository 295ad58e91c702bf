"""Time and identifiers of this machine: what ``ledger.ports`` calls Clock and Ids."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from uuid import UUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that never go back, for deadlines."""
        return time.monotonic()


class SystemIds:
    """Fresh UUIDv7: 48 bits of Unix milliseconds, then 74 random bits, so that new keys of an index lie together."""

    def new(self) -> UUID:
        """A fresh UUIDv7."""
        milliseconds = time.time_ns() // 1_000_000
        noise = int.from_bytes(os.urandom(10))
        upper = (noise >> 62) & 0xFFF
        lower = noise & ((1 << 62) - 1)
        return UUID(int=(milliseconds & ((1 << 48) - 1)) << 80 | _VERSION_7 | upper << 64 | _VARIANT | lower)
