"""Permanent idempotency: what names a request for ever, and what its repeat is compared by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from hashlib import blake2b, sha256
from typing import Any
from uuid import UUID

import msgspec

from ledger.domain.commands import Command
from ledger.ports import Request

KEY_BYTES = 16
DIGEST_BYTES = 8
_value_encoder = msgspec.json.Encoder(order="deterministic")
_REMEMBERED_BYTES_MAX = 64


def key_hash(scope_id: UUID, operation: str, key: str) -> bytes:
    """128 bits of SHA-256 over scope, operation and key."""
    return sha256(b"\0".join((scope_id.bytes, operation.encode(), key.encode()))).digest()[:KEY_BYTES]


def command_body(command: Command | None) -> Mapping[str, Any]:
    """What a request without a body is compared by: its command's fields, less the ids that we mint.

    A field with its default is left out, so that a command which gets another field keeps the keys it has.
    """
    return {} if command is None else dict(_said(command))


def request_body(request: Request) -> Mapping[str, Any]:
    """What a request is compared by: the body it came with, else its commands; those that are linked are numbered."""
    if request.body is not None:
        return request.body
    if not request.linked:
        return command_body(request.command)
    body = dict(command_body(request.command))
    for index, command in enumerate(request.linked, 1):
        body |= {f"linked.{index}.{name}": value for name, value in command_body(command).items()}
        body[f"linked.{index}.type"] = type(command).__name__
    return body


def digests(body: Mapping[str, Any], secret: bytes) -> bytes:
    """A keyed 8-byte digest per field, in the order of names, over name and value.

    So a conflict can name the field, and the row tells nothing else.
    """
    return b"".join([_field_digest(field, secret) for field in sorted(body.items())])


def request_digests(request: Request, secret: bytes) -> bytes:
    """The digests of ``request_body``."""
    if request.body is not None or request.linked or request.command is None:
        return digests(request_body(request), secret)
    return b"".join([_field_digest(field, secret) for field in _said(request.command)])


def differing_field(stored: bytes, sent: bytes, fields: Sequence[str]) -> str | None:
    """The first of the ``fields`` sent that the stored body has not; None when they are equal.

    ``body`` when all that was sent is there, and more: the stored digests do not tell the name of a field.
    """
    if stored == sent:
        return None
    before = set(_pieces(stored))
    return next((name for name, piece in zip(fields, _pieces(sent), strict=True) if piece not in before), "body")


def _pieces(joined: bytes) -> list[bytes]:
    return [joined[start : start + DIGEST_BYTES] for start in range(0, len(joined), DIGEST_BYTES)]


def _said(command: Command) -> list[tuple[str, Any]]:
    """What ``command_body`` holds, in the order of names."""
    said: list[tuple[str, Any]] = []
    for name, default in _fields(type(command)):
        value = getattr(command, name)
        if value is not default and value != default:
            said.append((name, value))
    return said


def _field_digest(field: tuple[str, Any], secret: bytes) -> bytes:
    encoded = _value_encoder.encode(field)
    if isinstance(field[1], UUID) or len(encoded) > _REMEMBERED_BYTES_MAX:
        return _digest(encoded, secret)
    return _remembered_digest(encoded, secret)


@lru_cache(maxsize=4096)
def _remembered_digest(encoded: bytes, secret: bytes) -> bytes:
    """Most fields have few values: a digest costs ten times what remembering it does."""
    return _digest(encoded, secret)


def _digest(encoded: bytes, secret: bytes) -> bytes:
    hasher = _keyed(secret).copy()
    hasher.update(encoded)
    return hasher.digest()


@cache
def _keyed(secret: bytes) -> blake2b:
    """The key is a block of its own: it is hashed once."""
    return blake2b(key=secret, digest_size=DIGEST_BYTES)


@cache
def _fields(kind: type[Command]) -> tuple[tuple[str, Any], ...]:
    """Names and defaults of a command's fields that are compared, in the order of names."""
    fields = msgspec.structs.fields(kind)
    return tuple(sorted((field.name, field.default) for field in fields if field.name not in kind.minted))
