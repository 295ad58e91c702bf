"""The follower that keeps the books: one entry per event that moves something, written once and never changed."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import astuple

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, FoldError
from ledger.sansio import Copy, Row, Run, Statement, Table
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
        known = len(book.grants)
        booked: list[tuple[RecordedEvent, Entry]] = []
        for item in items:
            try:
                entry = book.entry(item, paid)
            except (Unbookable, AssertionError) as error:
                raise FoldError(item.recorded.position, f"{item.recorded.tag}: {error}") from error
            if entry is not None:
                booked.append((item.recorded, entry))
        yield from _write(booked, book, known)


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
    grants: list[Grant] = yield from _rows(sql.READ_GRANTS, named.grants)
    of_revoked = {one.receipt_id for one in grants if one.receipt_id is not None and one.grant_id in named.revoked}
    receipts = yield from _rows(sql.READ_RECEIPTS, named.receipts | of_revoked)
    tabs = yield from _rows(sql.READ_TABS, named.accounts)
    return Book(
        currency,
        grants,
        (Receipt(**row) for row in receipts),
        (Tab(**row) for row in tabs),
    )


def _rows(statement: Statement, ids: set[UUID]) -> Generator[Run, list[Any], list[Any]]:
    if not ids:
        return []
    return (yield Run(statement, {"ids": list(ids)}))


def _write(booked: Sequence[tuple[RecordedEvent, Entry]], book: Book, known: int) -> Fold:
    """``known``: how many of the book's grants have a row; they come first."""
    numbers = (yield from _number(booked)) if booked else {}
    grants = [*book.grants.values()]
    copies: list[tuple[Table, list[Sequence[Any]]]] = [
        (sql.ENTRIES, [_entry_row(recorded, entry) for recorded, entry in booked]),
        (sql.LEGS, [row for recorded, entry in booked for row in _leg_rows(recorded, entry, numbers)]),
        (sql.CHANGES, [row for recorded, entry in booked for row in _change_rows(recorded, entry)]),
        (sql.GRANTS, [astuple(grant) for grant in grants[known:]]),
    ]
    for table, rows in copies:
        if rows:
            yield Copy(table, rows)
    updates: list[tuple[Statement, list[Any]]] = [
        (sql.UPDATE_GRANTS, [_grant_row(grant) for grant in grants[:known]]),
        (sql.UPSERT_RECEIPTS, [*book.receipts.values()]),
        (sql.UPSERT_TABS, [*book.tabs.values()]),
    ]
    for statement, rows in updates:
        if rows:
            yield Run(statement, {"rows": _encode(rows).decode()})


def _number(booked: Sequence[tuple[RecordedEvent, Entry]]) -> Generator[Run | Copy, Any, _Numbers]:
    """Numbers of all accounts; those used for the first time get the next ones, in the order of the log."""
    rows: list[Row] = yield Run(sql.READ_ACCOUNTS, {})
    numbers: _Numbers = {(row["name"], row["commodity"]): row["account_no"] for row in rows}
    known = len(numbers)
    for _, entry in booked:
        for leg in entry.legs:
            numbers.setdefault((leg.account, leg.commodity), len(numbers) + 1)
    if added := [(number, *key) for key, number in numbers.items() if number > known]:
        yield Copy(sql.ACCOUNTS, added)
    return numbers


def _entry_row(recorded: RecordedEvent, entry: Entry) -> Sequence[Any]:
    """A row of ``book_entries``."""
    return (
        recorded.position,
        entry.kind,
        booked_on(recorded.effective_at),
        recorded.effective_at,
        recorded.recorded_at,
        entry.account_id,
        entry.hold_id,
        entry.grant_id,
        entry.receipt_id,
        entry.reference,
    )


def _leg_rows(recorded: RecordedEvent, entry: Entry, numbers: _Numbers) -> Iterator[Sequence[Any]]:
    for leg_no, leg in enumerate(entry.legs, start=1):
        yield recorded.position, leg_no, numbers[leg.account, leg.commodity], leg.debit, leg.credit


def _change_rows(recorded: RecordedEvent, entry: Entry) -> Iterator[Sequence[Any]]:
    for change in entry.changes:
        yield recorded.position, change.grant_id, change.gone_ucr, change.deferred_micro


def _grant_row(grant: Grant) -> Row:
    """What of a grant moves."""
    return {"grant_id": grant.grant_id, "gone_ucr": grant.gone_ucr, "revoked_ucr": grant.revoked_ucr}
