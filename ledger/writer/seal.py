"""What a sealing event says of the verdicts that no event names: one hash over their rows, whoever computes it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct

SealedRow = tuple[bytes, bytes, bytes]
"""Key hash (16 bytes), digests, verdict: as stored."""

_LENGTH = Struct(">I")


def seal(rows: Iterable[SealedRow]) -> bytes:
    """SHA-256 over rows in the order of their key hashes, each field behind its length (4 bytes, big-endian)."""
    digest = sha256()
    for row in sorted(rows):
        digest.update(framed(row))
    return digest.digest()


def framed(fields: Iterable[bytes]) -> bytes:
    """Fields one after another, each with its length before it, so that no two lists look alike."""
    return b"".join([part for field in fields for part in (_LENGTH.pack(len(field)), field)])
