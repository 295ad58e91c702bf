"""The follower that keeps the books: one entry per event that moves something, written once and never changed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, FoldError
from ledger.sansio import Row, Run, Statement
from projections.appends import fundings
from projections.books import NAME
from projections.books import statements as sql
from projections.books.book import Book, Item, decoded, needs
from projections.books.deferred import Grant
from projections.books.known import Receipt, Tab
from projections.books.model import Entry
from projections.errors import Unbookable

_encode = msgspec.json.Encoder().encode
_Numbers = dict[tuple[str, str], int]


class EntryRow(Struct, frozen=True, kw_only=True):
    """A row of ``book_entries``."""

    position: int
    kind: str
    booked_on: date
    effective_at: datetime
    recorded_at: datetime
    account_id: UUID | None
    hold_id: UUID | None
    grant_id: UUID | None
    receipt_id: UUID | None
    reference_id: UUID | None


class AccountRow(Struct, frozen=True):
    """A row of ``book_accounts``."""

    account_no: int
    name: str
    commodity: str


class LegRow(Struct, frozen=True):
    """A row of ``book_legs``."""

    position: int
    leg_no: int
    account_no: int
    debit: int
    credit: int


class ChangeRow(Struct, frozen=True):
    """A row of ``book_changes``."""

    position: int
    grant_id: UUID
    gone_ucr: int
    deferred_micro: int


class BooksFollower:
    """Writes the ``book_…`` tables. ``currency`` is the deployment's book currency, for our own costs."""

    name = NAME
    tables = ("book_accounts", "book_entries", "book_legs", "book_changes", "book_grants", "book_receipts", "book_tabs")

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """Book a batch. An event for which no rule holds parks the follower."""
        items = [item for recorded in events if (item := _item(recorded)) is not None]
        paid = yield from fundings(events)
        book = yield from _load(self._currency, items)
        booked: list[tuple[RecordedEvent, Entry]] = []
        for item in items:
            try:
                entry = book.entry(item, paid)
            except (Unbookable, AssertionError) as error:
                raise FoldError(item.recorded.position, f"{item.recorded.tag}: {error}") from error
            if entry is not None:
                booked.append((item.recorded, entry))
        yield from _write(booked, book)


def booked_on(effective_at: datetime) -> date:
    """Books day (UTC) of an event. No period is ever closed yet, so it is the effective day."""
    return effective_at.astimezone(UTC).date()


def _item(recorded: RecordedEvent) -> Item | None:
    try:
        return decoded(recorded)
    except Unbookable as error:
        raise FoldError(recorded.position, str(error)) from error


def _load(currency: str, items: Sequence[Item]) -> Generator[Run, list[Row], Book]:
    named = needs(items)
    grants = yield from _rows(sql.READ_GRANTS, named.grants)
    of_revoked = {row["receipt_id"] for row in grants if row["grant_id"] in named.revoked} - {None}
    receipts = yield from _rows(sql.READ_RECEIPTS, named.receipts | of_revoked)
    tabs = yield from _rows(sql.READ_TABS, named.accounts)
    return Book(
        currency,
        (Grant(**row) for row in grants),
        (Receipt(**row) for row in receipts),
        (Tab(**row) for row in tabs),
    )


def _rows(statement: Statement, ids: set[UUID]) -> Generator[Run, list[Row], list[Row]]:
    if not ids:
        return []
    return (yield Run(statement, {"ids": list(ids)}))


def _write(booked: Sequence[tuple[RecordedEvent, Entry]], book: Book) -> Fold:
    numbers = (yield from _number(booked)) if booked else {}
    tables: list[tuple[Statement, list[Struct]]] = [
        (sql.INSERT_ENTRIES, [_entry_row(recorded, entry) for recorded, entry in booked]),
        (sql.INSERT_LEGS, [row for recorded, entry in booked for row in _leg_rows(recorded, entry, numbers)]),
        (sql.INSERT_CHANGES, [row for recorded, entry in booked for row in _change_rows(recorded, entry)]),
        (sql.UPSERT_GRANTS, [*book.grants.values()]),
        (sql.UPSERT_RECEIPTS, [*book.receipts.values()]),
        (sql.UPSERT_TABS, [*book.tabs.values()]),
    ]
    for statement, rows in tables:
        if rows:
            yield _insert(statement, rows)


def _number(booked: Sequence[tuple[RecordedEvent, Entry]]) -> Generator[Run, list[Row], _Numbers]:
    """Numbers of all accounts; those used for the first time get the next ones, in the order of the log."""
    rows = yield Run(sql.READ_ACCOUNTS, {})
    numbers: _Numbers = {(row["name"], row["commodity"]): row["account_no"] for row in rows}
    known = len(numbers)
    for _, entry in booked:
        for leg in entry.legs:
            numbers.setdefault((leg.account, leg.commodity), len(numbers) + 1)
    if added := [AccountRow(number, *key) for key, number in numbers.items() if number > known]:
        yield _insert(sql.INSERT_ACCOUNTS, added)
    return numbers


def _entry_row(recorded: RecordedEvent, entry: Entry) -> EntryRow:
    return EntryRow(
        position=recorded.position,
        kind=entry.kind,
        booked_on=booked_on(recorded.effective_at),
        effective_at=recorded.effective_at,
        recorded_at=recorded.recorded_at,
        account_id=entry.account_id,
        hold_id=entry.hold_id,
        grant_id=entry.grant_id,
        receipt_id=entry.receipt_id,
        reference_id=entry.reference,
    )


def _leg_rows(recorded: RecordedEvent, entry: Entry, numbers: _Numbers) -> Iterator[LegRow]:
    for leg_no, leg in enumerate(entry.legs, start=1):
        number = numbers[leg.account, leg.commodity]
        yield LegRow(recorded.position, leg_no, number, leg.debit, leg.credit)


def _change_rows(recorded: RecordedEvent, entry: Entry) -> Iterator[ChangeRow]:
    for change in entry.changes:
        yield ChangeRow(recorded.position, change.grant_id, change.gone_ucr, change.deferred_micro)


def _insert(statement: Statement, rows: Sequence[Struct]) -> Run:
    return Run(statement, {"rows": _encode(rows).decode()})
