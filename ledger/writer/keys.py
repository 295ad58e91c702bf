"""Permanent idempotency: what names a request for ever, and what its repeat is compared by."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b, sha256
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain.commands import Command
from ledger.ports import Request

KEY_BYTES = 16
DIGEST_BYTES = 8
_value_encoder = msgspec.json.Encoder(order="deterministic")
_digests_encoder = msgspec.msgpack.Encoder()
_digests_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


def key_hash(scope_id: UUID, operation: str, key: str) -> bytes:
    """128 bits of SHA-256 over scope, operation and key."""
    return sha256(b"\0".join((scope_id.bytes, operation.encode(), key.encode()))).digest()[:KEY_BYTES]


def command_body(command: Command | None) -> Mapping[str, Any]:
    """What a request without a body is compared by: its command's fields, less the ids that we mint."""
    if command is None:
        return {}
    return {name: getattr(command, name) for name in command.__struct_fields__ if name not in command.minted}


def request_body(request: Request) -> Mapping[str, Any]:
    """The same for all commands of a request; those that are linked are numbered."""
    body = dict(command_body(request.command))
    for index, command in enumerate(request.linked, 1):
        body |= {f"linked.{index}.{name}": value for name, value in command_body(command).items()}
        body[f"linked.{index}.type"] = type(command).__name__
    return body


def digests(body: Mapping[str, Any], secret: bytes) -> bytes:
    """A keyed 8-byte digest per field, so that a conflict names the field and the row tells nothing else."""
    return _digests_encoder.encode(
        {
            name: blake2b(_value_encoder.encode(body[name]), key=secret, digest_size=DIGEST_BYTES).digest()
            for name in sorted(body)
        }
    )


def differing_field(stored: bytes, sent: bytes) -> str | None:
    """The first field by name in which two bodies differ; None when they are equal."""
    if stored == sent:
        return None
    before, now = _digests_decoder.decode(stored), _digests_decoder.decode(sent)
    return next((name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)), None)
