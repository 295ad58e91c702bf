"""A hash over the verdicts, one after another in the order of the log. Pure.

A verdict counts at the last event that its request appended: the row's position, whose event carries the row's key.
Verdicts without an event of their own are sealed by an event that says their hash, so that the log covers them.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct

from ledger.writer.seal import SealedRow, framed

NO_VERDICTS: bytes = bytes(32)
"""The hash before the first verdict."""

_POSITION = Struct(">q")


def chained(before: bytes, position: int, row: SealedRow) -> bytes:
    """SHA-256 of the hash before it, the position and the framed row."""
    return sha256(b"".join((before, _POSITION.pack(position), framed(row)))).digest()
