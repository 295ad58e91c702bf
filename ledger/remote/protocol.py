"""What is said on the writer's socket, sans I/O: frames, messages, and the shape both sides must agree on.

A frame is its length in four bytes, then one message in MessagePack. The client speaks first: ``Hello``, answered by
``Welcome`` or ``Unwelcome``. Then it sends ``Calls`` and is sent ``Outcomes``, in any order, many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import blake2b, sha256
from typing import Generic, TypeVar

import msgspec
from msgspec import Struct

from ledger.domain.verdicts import Answer
from ledger.remote import limits
from ledger.writer.prepare import Prepared

VERSION = 1
"""Raised by hand when the same words come to mean something else; their shape is compared by itself."""

LENGTH_BYTES = 4

FULL = "full"
"""The writer has too much to do; never taken."""
STOPPING = "stopping"
"""The writer stops; never taken, and another writer may be asked."""
LOST = "lost"
"""The writer stopped over it: another one is asked with the same key."""
WITHDRAWN = "withdrawn"
"""Withdrawn in time; never taken."""
TAKEN = "taken"
"""Too late to withdraw: it is being written."""
UNKNOWN = "unknown"
"""It went wrong on the way; to be asked again with the same key."""


class Hello(Struct, frozen=True, array_like=True, tag="hello"):
    """Who calls: the version of what it says, the shape of it, and a proof of the secret that keys its digests."""

    version: int
    shape: bytes
    proof: bytes


class Welcome(Struct, frozen=True, array_like=True, tag="welcome"):
    """Go on."""

    pid: int


class Unwelcome(Struct, frozen=True, array_like=True, tag="unwelcome"):
    """Go away, and why."""

    reason: str


class Calls(Struct, frozen=True, array_like=True, tag="calls"):
    """Requests of many callers, each call by its number; and the numbers of calls that are given up."""

    calls: list[tuple[int, Sequence[Prepared]]]
    withdrawn: list[int]


class Outcomes(Struct, frozen=True, array_like=True, tag="outcomes"):
    """Answers by the number of their call; and calls that have none: number, one of the words above, details."""

    answered: list[tuple[int, list[Answer]]]
    failed: list[tuple[int, str, str]]


FromClient = Hello | Calls
FromWriter = Welcome | Unwelcome | Outcomes
Message = TypeVar("Message")
_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")


class ProtocolError(Exception):
    """The peer does not speak this protocol."""


class Frames(Generic[Message]):
    """Bytes in, messages out. ``size_max`` is the largest frame that is taken."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[Message], size_max: int = limits.GREETING_BYTES_MAX) -> None:
        self._decoder = decoder
        self._buffer = bytearray()
        self.size_max = size_max

    def feed(self, data: bytes) -> None:
        """Add what was read."""
        self._buffer += data

    def take(self) -> Message | None:
        """The next whole message, if it is there.

        :raises ProtocolError: it is too large, or none of ours.
        """
        if len(self._buffer) < LENGTH_BYTES:
            return None
        end = LENGTH_BYTES + int.from_bytes(self._buffer[:LENGTH_BYTES])
        if end - LENGTH_BYTES > self.size_max:
            raise ProtocolError(f"a frame of {end - LENGTH_BYTES} bytes, at most {self.size_max} are taken")
        if len(self._buffer) < end:
            return None
        raw = bytes(self._buffer[LENGTH_BYTES:end])
        del self._buffer[:end]
        try:
            return self._decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ProtocolError(f"not a message of ours: {error}") from error


def from_client() -> Frames[FromClient]:
    """Reads what a client says."""
    return Frames(msgspec.msgpack.Decoder(FromClient))


def from_writer() -> Frames[FromWriter]:
    """Reads what the writer says."""
    return Frames(msgspec.msgpack.Decoder(FromWriter), limits.FRAME_BYTES_MAX)


def frame(message: FromClient | FromWriter) -> bytes:
    """A message as it is sent.

    :raises ProtocolError: it is larger than the other side would take.
    """
    buffer = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, buffer, LENGTH_BYTES)
    size = len(buffer) - LENGTH_BYTES
    if size > limits.FRAME_BYTES_MAX:
        raise ProtocolError(f"a frame of {size} bytes, at most {limits.FRAME_BYTES_MAX} are taken")
    buffer[:LENGTH_BYTES] = size.to_bytes(LENGTH_BYTES)
    return bytes(buffer)


@cache
def shape() -> bytes:
    """What all that can be said looks like, as 16 bytes: another release may know other commands or fields."""
    described = msgspec.json.encode(msgspec.json.schema(FromClient | FromWriter), order="deterministic")
    return sha256(described).digest()[:16]


def proof_of(secret: bytes) -> bytes:
    """Shows that both sides key their digests alike, and nothing else of the secret."""
    return blake2b(b"tallystick/writer", key=secret, digest_size=16).digest()


def hello(secret: bytes) -> Hello:
    """What this release says first."""
    return Hello(VERSION, shape(), proof_of(secret))


def objection(said: Hello, secret: bytes) -> str | None:
    """Why a caller is not welcome; None if it is."""
    if said.version != VERSION:
        return f"it speaks version {said.version}, this writer version {VERSION}: run the same release"
    if said.shape != shape():
        return "it knows other commands than this writer: run the same release"
    if said.proof != proof_of(secret):
        return "it has another TALLYSTICK_SECRET than this writer"
    return None
