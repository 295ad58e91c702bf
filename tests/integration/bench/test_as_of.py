"""What a question about the past costs, counted in pages that the database looks at: figures in time are not tested."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import pytest
from psycopg_pool import ConnectionPool

from ledger.as_of import AsOf
from ledger.drivers import Driver, catch_up
from ledger.effective import EffectiveFollower
from ledger.store.past import PostgresPast
from tallystick.bench.as_of import QUESTIONS, Past, build, measure, settle
from tests.support.servers import Database

SOME, MANY = 1_000, 8_000
QUESTIONS_EACH = 15
PAGES_MAX = 250
"""A snapshot, the pages of 256 events, and one look-up for each binary digit of the position."""


class Counted(PostgresPast):
    """Counts the pages that its questions look at."""

    pages = 0

    def _rows(self, query: str, params: Any = ()) -> list[tuple[Any, ...]]:
        rows = self._connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), params).fetchall()
        plan = rows[0][0][0]["Plan"]
        self.pages += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        return super()._rows(query, params)


def most_pages(pool: ConnectionPool[Any], past: Past, question: str) -> int:
    """The most that one of several random questions looks at."""
    counts: list[int] = []

    @contextmanager
    def look() -> Generator[Counted]:
        with pool.connection() as connection:
            counted = Counted(connection)
            yield counted
            counts.append(counted.pages)

    dice = Random(7)
    for _ in range(QUESTIONS_EACH):
        QUESTIONS[question](AsOf(look), past, dice)
    return max(counts)


@pytest.mark.timeout(180)
def test_the_past_costs_the_same_however_much_has_happened(database: Database) -> None:
    with ConnectionPool[Any](database.owner_url, min_size=1, max_size=1, open=True) as pool:
        some, many = build(database.owner_url, pool, SOME), build(database.owner_url, pool, MANY)
        catch_up(Driver(pool), [EffectiveFollower()])
        settle(database.owner_url)
        for question in QUESTIONS:
            pages = [most_pages(pool, past, question) for past in (some, many)]
            assert max(pages) <= PAGES_MAX, (question, pages)
            assert pages[1] <= 2 * pages[0], (question, pages)


def test_each_kind_of_question_is_measured(database: Database) -> None:
    figures = msgspec.to_builtins(measure(database.owner_url, 2_000, 3, print))
    assert figures["backdated"] > 50
    for question in QUESTIONS:
        assert min(figures[question].values()) > 0
