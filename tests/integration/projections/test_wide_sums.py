"""Sums that go over accounts or over time have no bound, and nothing that reads or writes them has one either."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.effective import UPSERT
from ledger.limits import INT64_MAX
from ledger.sansio import Commit, Core, Run, Statement
from ledger.store.past import look
from ledger.store.postgres import PostgresLedger
from projections.books import NAME, chart
from projections.books.model import CREDIT
from projections.check import check
from projections.statement import NAME as STATEMENT
from projections.usage import UsageDay, UsageReader
from tests.support.ledger import open_account
from tests.support.servers import Database

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = """
INSERT INTO statement_lines (position, organisation_id, account_id, account_version, kind, amount_ucr, held_change_ucr,
    posted_ucr, held_ucr, subject_id, detail, recorded_at, effective_at)
VALUES (%s, %s, %s, 1, %s, %s, 0, 0, 0, %s, '', %s, %s)
"""
ACCOUNT = """
INSERT INTO statement_accounts (account_id, organisation_id, account_version, position, posted_ucr, held_ucr)
VALUES (%s, %s, 1, 1, %s, 0)
"""


@pytest.fixture
def driver(pool: ConnectionPool) -> Driver:
    return Driver(pool)


def insert(database: Database, query: str, rows: Sequence[Sequence[Any]]) -> None:
    """Rows as they would be after more than a test has time for."""
    with psycopg.connect(database.owner_url) as connection:
        connection.cursor().executemany(query.encode(), rows)


def test_a_day_s_usage_may_be_more_than_one_number_of_64_bits(database: Database, pool: ConnectionPool) -> None:
    ours = uuid4()
    moves = [("debit", -INT64_MAX), ("commit", -INT64_MAX), ("reversal", INT64_MAX), ("reversal", INT64_MAX)]
    rows = [(n, ours, uuid4(), kind, moved, uuid4(), NOON, NOON) for n, (kind, moved) in enumerate(moves, 1)]
    insert(database, LINE, rows)
    assert UsageReader(pool).days(ours, date(2026, 1, 1), date(2026, 1, 1)) == [
        UsageDay(day=date(2026, 1, 1), spent_ucr=2 * INT64_MAX, debits=2, reversed_ucr=2 * INT64_MAX)
    ]


def test_the_check_adds_up_more_than_one_number_of_64_bits(database: Database, driver: Driver) -> None:
    insert(database, ACCOUNT, [(uuid4(), uuid4(), INT64_MAX) for _ in range(2)])
    insert(
        database, "INSERT INTO book_accounts (account_no, name, commodity) VALUES (1, %s, %s)", [(chart.HELD, CREDIT)]
    )
    insert(database, "INSERT INTO book_legs VALUES (%s, 1, 1, 0, %s)", [(1, INT64_MAX), (2, INT64_MAX)])
    insert(database, "INSERT INTO followers (name) VALUES (%s)", [(STATEMENT,), (NAME,)])
    told = [one.what for one in driver.drive(check([])).differences]
    assert f"{chart.AVAILABLE} is 0 CREDIT in the books, not {2 * INT64_MAX}" in told
    assert f"{chart.HELD} is {2 * INT64_MAX} CREDIT in the books, not 0" in told


def test_backdated_events_may_move_more_than_one_number_of_64_bits(
    driver: Driver, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger)
    for _ in range(2):
        driver.drive(backdated(account_id))
    assert driver.drive(changes()) == [{"change_ucr": 2 * INT64_MAX}]
    with look(pool) as past:
        late = past.late(account_id, datetime(2028, 1, 1, tzinfo=UTC))
    assert late is not None and late.change_ucr == 2 * INT64_MAX


def backdated(account_id: UUID) -> Core[None]:
    """The follower's statement, for a year's change."""
    row = {"account_id": account_id, "span": "year", "starts_at": NOON, "change_ucr": INT64_MAX}
    yield Run(UPSERT, {"rows": msgspec.json.encode([row]).decode()})
    yield Commit()


def changes() -> Core[list[dict[str, int]]]:
    return (yield Run(Statement("changes", "SELECT change_ucr FROM effective_changes"), {}))
