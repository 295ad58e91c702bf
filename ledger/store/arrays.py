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
_NULL = _LENGTH.pack(-1)
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
    flat: list[int] = []
    for value in values:
        flat += (8, value)
    return Column(_INT8, len(values), pack("!" + "iq" * len(values), *flat))


def uuids(values: Sequence[UUID | None]) -> Column:
    """``uuid[]``, nulls allowed."""
    return raw_uuids([None if value is None else value.bytes for value in values])


def raw_uuids(values: Sequence[bytes | None]) -> Column:
    """``uuid[]`` of 16 bytes each, nulls allowed."""
    sixteen = _LENGTH.pack(16)
    body = b"".join([_NULL if value is None else sixteen + value for value in values])
    return Column(_UUID, len(values), body, nulls=None in values)


def byteas(values: Sequence[bytes]) -> Column:
    """``bytea[]``."""
    return Column(_BYTEA, len(values), _framed(values))


def texts(values: Sequence[str]) -> Column:
    """``text[]``."""
    return Column(_TEXT, len(values), _framed([value.encode() for value in values]))


def timestamps(values: Sequence[datetime | None]) -> Column:
    """``timestamptz[]``, nulls allowed, exact to the microsecond."""
    frame = Struct("!iq").pack
    body = b"".join(
        [_NULL if value is None else frame(8, microseconds(value) - _POSTGRES_EPOCH_US) for value in values]
    )
    return Column(_TIMESTAMPTZ, len(values), body, nulls=None in values)


def _framed(values: Sequence[bytes]) -> bytes:
    length = _LENGTH.pack
    return b"".join([part for value in values for part in (length(len(value)), value)])


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
