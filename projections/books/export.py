"""Export of the books: one file per month with opening balances, streamed from one snapshot in bounded memory."""

from __future__ import annotations

import calendar
from collections.abc import Callable, Generator, Iterator
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import psycopg
from msgspec import Struct
from psycopg.rows import dict_row

from projections.books import statements as sql
from projections.books.formats import Account, ExportedEntry, Format
from projections.errors import ExportError

ROWS_AT_ONCE = 1_000
Progress = Callable[[int, int], None]
"""Called with entries written and entries in all."""


class Export(Struct, frozen=True, kw_only=True):
    """What was written: files in the order of their months, entries, and the last event that is in them."""

    files: tuple[Path, ...]
    entries: int
    position: int


class _Seen:
    """Positions seen so far, one bit each: a duplicate balances and so passes every checker."""

    def __init__(self, position_max: int) -> None:
        self._bits = bytearray(position_max // 8 + 1)

    def add(self, position: int) -> None:
        byte, bit = divmod(position, 8)
        if self._bits[byte] >> bit & 1:
            raise ExportError(f"event {position} was booked twice")
        self._bits[byte] |= 1 << bit


class _Sums(dict[Account, int]):
    """Running balances, without zeros in ``nonzero``."""

    def move(self, entry: ExportedEntry) -> None:
        for account, amount in entry.legs:
            self[account] = self.get(account, 0) + amount

    def nonzero(self) -> dict[Account, int]:
        return {account: amount for account, amount in self.items() if amount}


def export(
    connection: psycopg.Connection[Any], out: Path, fmt: Format, progress: Progress = lambda _done, _all: None
) -> Export:
    """Write the books into a folder as of one snapshot. The connection must have no transaction open.

    A month's file appears whole, under its name, when it is written. Files of other formats are left alone.

    :raises ExportError: the folder cannot be written, or an event was booked twice.
    """
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    try:
        out.mkdir(parents=True, exist_ok=True)
        with connection.transaction():
            return _write_months(connection, out, fmt, progress)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}") from error
    finally:
        connection.isolation_level = None
        connection.read_only = None


def _write_months(connection: psycopg.Connection[Any], out: Path, fmt: Format, progress: Progress) -> Export:
    accounts = _accounts(connection)
    total, last = _extent(connection)
    sums, seen, files, done = _Sums(), _Seen(last), list[Path](), 0
    for month, entries in groupby(_entries(connection, accounts), key=lambda entry: entry.booked_on.replace(day=1)):
        path = out / f"{month:%Y-%m}{fmt.suffix}"
        partial = path.with_name(f".{path.name}.part")
        with partial.open("w", encoding="utf-8") as file:
            for written in _write_month(file, fmt, month, accounts, sums, entries):
                seen.add(written.position)
                done += 1
                progress(done, total)
        partial.replace(path)
        files.append(path)
    return Export(files=tuple(files), entries=done, position=last)


def _write_month(
    file: TextIO,
    fmt: Format,
    month: date,
    accounts: dict[int, Account],
    sums: _Sums,
    entries: Iterator[ExportedEntry],
) -> Generator[ExportedEntry]:
    file.writelines(fmt.header(month, accounts.values()))
    if brought := sums.nonzero():
        file.writelines(fmt.opening(month, brought))
    for entry in entries:
        file.writelines(fmt.entry(entry))
        sums.move(entry)
        yield entry
    last_day = month.replace(day=calendar.monthrange(month.year, month.month)[1])
    file.writelines(fmt.closing(last_day, sums))


def _accounts(connection: psycopg.Connection[Any]) -> dict[int, Account]:
    rows = connection.execute(sql.READ_ACCOUNTS.sql.encode()).fetchall()
    return {number: Account(name, commodity) for number, name, commodity in rows}


def _extent(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    row = connection.execute(sql.EXTENT.sql.encode()).fetchone()
    assert row is not None
    return row[0], row[1]


def _entries(connection: psycopg.Connection[Any], accounts: dict[int, Account]) -> Iterator[ExportedEntry]:
    with connection.cursor("books_export", row_factory=dict_row) as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(sql.EXPORT.sql.encode())
        for row in cursor:
            yield _entry(row, accounts)


def _entry(row: dict[str, Any], accounts: dict[int, Account]) -> ExportedEntry:
    legs = tuple((accounts[number], amount) for number, amount in row.pop("legs"))
    gone = tuple((UUID(grant), units_ucr) for grant, units_ucr in row.pop("gone") or ())
    issued = tuple((UUID(grant), *terms) for grant, *terms in row.pop("issued") or ())
    return ExportedEntry(**row, legs=legs, gone=gone, issued=issued)
