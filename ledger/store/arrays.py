"""Whole columns as one parameter: PostgreSQL binary arrays, packed in one go.

psycopg's list dumper visits every element in Python; a batch of a thousand events has ten columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from struct import Struct, pack
from uuid import UUID

from psycopg.adapt import Dumper
from psycopg.pq import Format

from ledger.writer.chain import microseconds

_HEADER = Struct("!iiIii")
_LENGTH = Struct("!i")
_FRAMED_INT8 = Struct("!iq").pack
_NULL = _LENGTH.pack(-1)
_UUID_BYTES = 16
_FRAME_BYTES = 12
"""A length and eight bytes."""
_POSTGRES_EPOCH_US = 946_684_800_000_000
"""2000-01-01, where PostgreSQL's timestamps begin."""

_BYTEA, _INT8, _TEXT, _UUID, _TIMESTAMPTZ = 17, 20, 25, 2950, 1184
_ARRAY_OF = {_BYTEA: 1001, _INT8: 1016, _TEXT: 1009, _UUID: 2951, _TIMESTAMPTZ: 1185}


class Column:
    """An array parameter in PostgreSQL's binary format; ``oid`` is the array's type."""

    __slots__ = ("data", "oid")

    def __init__(self, element_oid: int, length: int, body: bytes, *, nulls: bool = False) -> None:
        self.oid = _ARRAY_OF[element_oid]
        if length:
            self.data = _HEADER.pack(1, nulls, element_oid, length, 1) + body
        else:
            self.data = pack("!iiI", 0, 0, element_oid)


def int8s(values: Sequence[int]) -> Column:
    """``bigint[]``."""
    packed = pack(f"!{len(values)}q", *values)
    body = bytearray(_FRAME_BYTES * len(values))
    body[3::_FRAME_BYTES] = b"\x08" * len(values)  # the length before each, big-endian
    for byte in range(8):
        body[4 + byte :: _FRAME_BYTES] = packed[byte::8]
    return Column(_INT8, len(values), bytes(body))


def uuids(values: Sequence[UUID | None]) -> Column:
    """``uuid[]``, nulls allowed."""
    return raw_uuids([None if value is None else value.int.to_bytes(_UUID_BYTES) for value in values])


def raw_uuids(values: Sequence[bytes | None]) -> Column:
    """``uuid[]`` of 16 bytes each, nulls allowed."""
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return Column(_UUID, len(values), _equally_framed(present, _UUID_BYTES))
    sixteen = _LENGTH.pack(_UUID_BYTES)
    body = b"".join([_NULL if value is None else sixteen + value for value in values])
    return Column(_UUID, len(values), body, nulls=True)


def byteas(values: Sequence[bytes]) -> Column:
    """``bytea[]``."""
    return Column(_BYTEA, len(values), _framed(values))


def texts(values: Sequence[str]) -> Column:
    """``text[]``; made for columns with few different values."""
    framed = {value: _framed([value.encode()]) for value in set(values)}
    return Column(_TEXT, len(values), b"".join([framed[value] for value in values]))


def timestamps(values: Sequence[datetime | None]) -> Column:
    """``timestamptz[]``, nulls allowed, exact to the microsecond."""
    parts: list[bytes] = []
    last, framed = None, _NULL
    for value in values:
        if value != last:  # neighbours are often the batch's own time, or as long after it
            last = value
            framed = _NULL if value is None else _FRAMED_INT8(8, microseconds(value) - _POSTGRES_EPOCH_US)
        parts.append(framed)
    return Column(_TIMESTAMPTZ, len(values), b"".join(parts), nulls=None in values)


def _framed(values: Sequence[bytes]) -> bytes:
    sizes = list(map(len, values))
    lengths = {size: _LENGTH.pack(size) for size in set(sizes)}
    if len(lengths) == 1:
        return _equally_framed(values, sizes[0])
    parts = [b""] * (2 * len(sizes))
    parts[::2] = [lengths[size] for size in sizes]
    parts[1::2] = values
    return b"".join(parts)


def _equally_framed(values: Sequence[bytes], size: int) -> bytes:
    """Values of one size: the same length stands before each."""
    length = _LENGTH.pack(size)
    return length + length.join(values)


class ColumnDumper(Dumper):
    """Hands a ``Column`` to PostgreSQL as it is."""

    format = Format.BINARY

    def get_key(self, obj: Column, format: object) -> tuple[type, int]:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: A002, ARG002  psycopg's names
        """One dumper per array type."""
        return (self.cls, obj.oid)

    def upgrade(self, obj: Column, format: object) -> ColumnDumper:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: A002, ARG002  psycopg's names
        """A dumper that knows the type."""
        dumper = ColumnDumper(self.cls)
        dumper.oid = obj.oid
        return dumper

    def dump(self, obj: Column) -> bytes:
        """The packed array."""
        return obj.data
