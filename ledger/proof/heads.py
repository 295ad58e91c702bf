"""Heads of the log, signed with Ed25519: how long it is, and the hashes that fix all of it. Pure.

What is signed, in this order: the 19 bytes ``tallystick head v1`` and a line feed, the size (8 bytes, big-endian), the
root of the Merkle tree (32), the hash of the last event (32), the hash over the verdicts (32), and the time in
microseconds since 1970 (8, big-endian). A key is named by the first 16 hex digits of the SHA-256 of its public half.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from struct import Struct as Layout

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from ledger.limits import INT64_MAX
from ledger.proof.errors import BadFile, BadSignature

_PREFIX = b"tallystick head v1\n"
_LAYOUT = Layout(">q32s32s32sq")
_HASH_BYTES = 32
_ID_DIGITS = 16

Keyring = Mapping[str, bytes]
"""Public keys (32 bytes) by their ids; heads of rotated keys stay verifiable as long as the key is here."""


class Head(Struct, frozen=True, kw_only=True):
    """The log at one size: root of its tree, hash of its last event, hash over the verdicts, and when it was so."""

    size: int
    root: bytes
    log_hash: bytes
    verdicts_hash: bytes
    signed_at_us: int

    def signed_bytes(self) -> bytes:
        """The bytes that a signature is over."""
        return _PREFIX + _LAYOUT.pack(self.size, self.root, self.log_hash, self.verdicts_hash, self.signed_at_us)


class SignedHead(Struct, frozen=True, kw_only=True):
    """A head, the key that signed it and the signature."""

    head: Head
    key_id: str
    signature: bytes


class HeadLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed head as written: hashes and signature in hex."""

    size: int
    root: str
    log_hash: str
    verdicts_hash: str
    signed_at_us: int
    key_id: str
    signature: str


def key_id(public_key: bytes) -> str:
    """Name of a key."""
    return sha256(public_key).hexdigest()[:_ID_DIGITS]


class Signer:
    """A private key that signs heads."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key = private_key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, head: Head) -> SignedHead:
        """Sign a head."""
        return SignedHead(head=head, key_id=self.key_id, signature=self._private_key.sign(head.signed_bytes()))


def check_signature(signed: SignedHead, keys: Keyring) -> None:
    """Check a head against the keys that we trust.

    :raises BadSignature: an unknown key, or not its signature.
    """
    if signed.key_id not in keys:
        raise BadSignature(signed.head.size, signed.key_id)
    try:
        public_key = Ed25519PublicKey.from_public_bytes(keys[signed.key_id])
        public_key.verify(signed.signature, signed.head.signed_bytes())
    except InvalidSignature as error:
        raise BadSignature(signed.head.size, signed.key_id) from error


def line_of(signed: SignedHead) -> HeadLine:
    """A signed head as written."""
    head = signed.head
    return HeadLine(
        size=head.size,
        root=head.root.hex(),
        log_hash=head.log_hash.hex(),
        verdicts_hash=head.verdicts_hash.hex(),
        signed_at_us=head.signed_at_us,
        key_id=signed.key_id,
        signature=signed.signature.hex(),
    )


def encode_line(signed: SignedHead) -> bytes:
    """One line of JSON, without its end."""
    return msgspec.json.encode(line_of(signed))


def decode_line(raw: bytes) -> SignedHead:
    """Read a line; the signature is not checked.

    :raises BadFile: no such line.
    """
    try:
        line = _decoder.decode(raw)
        root, log_hash, verdicts_hash = map(bytes.fromhex, (line.root, line.log_hash, line.verdicts_hash))
        signature = bytes.fromhex(line.signature)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadFile(f"no line of a signed head: {raw[:80]!r}") from error
    if {len(root), len(log_hash), len(verdicts_hash)} != {_HASH_BYTES}:
        raise BadFile("a hash of a signed head is not 32 bytes long")
    if not (0 <= line.size <= INT64_MAX and 0 <= line.signed_at_us <= INT64_MAX):
        raise BadFile("a number of a signed head is out of range")
    head = Head(
        size=line.size, root=root, log_hash=log_hash, verdicts_hash=verdicts_hash, signed_at_us=line.signed_at_us
    )
    return SignedHead(head=head, key_id=line.key_id, signature=signature)


_decoder = msgspec.json.Decoder(HeadLine)
