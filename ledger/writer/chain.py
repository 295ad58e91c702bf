"""The hash of an event: over everything stored of it and over the hashes before it, in its stream and in the log."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from ledger.domain.codec import RecordedEvent

GENESIS: bytes = bytes(32)
NO_KEY = bytes(16)
_HEAD = struct.Struct(">q16sqqq16s32s32sI")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400
_SECOND_US = 1_000_000


def microseconds(at: datetime) -> int:
    """Microseconds since 1970, exact."""
    since = at - _EPOCH
    return (since.days * _DAY_S + since.seconds) * _SECOND_US + since.microseconds


class Link:
    """Computes hashes for events recorded at one time under one key; ``>`` is the byte order of the header."""

    __slots__ = ("_effective_us", "_recorded_us")

    def __init__(self, recorded_at: datetime, effective_at: datetime) -> None:
        self._recorded_us = microseconds(recorded_at)
        self._effective_us = microseconds(effective_at)

    def hash(  # noqa: PLR0913, PLR0917  the hash covers exactly these
        self,
        event: tuple[str, bytes],
        position: int,
        stream_id: UUID,
        version: int,
        key_hash: bytes | None,
        stream_hash: bytes,
        log_hash: bytes,
    ) -> bytes:
        """SHA-256 of position, stream, version, both times, key hash, previous hashes, tag and state."""
        tag, state = event[0].encode(), event[1]
        head = _HEAD.pack(
            position,
            stream_id.bytes,
            version,
            self._recorded_us,
            self._effective_us,
            key_hash or NO_KEY,
            stream_hash,
            log_hash,
            len(tag),
        )
        return sha256(head + tag + state).digest()


def expected_hash(event: RecordedEvent, *, stream_hash: bytes, log_hash: bytes) -> bytes:
    """Hash that a recorded event must have, given the hashes before it."""
    return Link(event.recorded_at, event.effective_at).hash(
        (event.tag, event.state),
        position=event.position,
        stream_id=event.stream_id,
        version=event.version,
        key_hash=event.key_hash,
        stream_hash=stream_hash,
        log_hash=log_hash,
    )
