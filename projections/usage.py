"""Usage by day, read from statement lines: what an organisation's accounts spent, and by how many debits."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from msgspec import Struct
from psycopg.rows import args_row
from psycopg_pool import ConnectionPool

from projections import statements as sql

DAYS_MAX = 400


class UsageDay(Struct, frozen=True, kw_only=True):
    """One day (UTC, by recorded time) on which something was spent or given back.

    ``spent_ucr`` is what commits and debits took, overdraft included; ``reversed_ucr`` what reversals undid on that
    day, whenever it was spent.
    """

    day: date
    spent_ucr: int
    debits: int
    reversed_ucr: int = 0


class UsageReader:
    """Reads usage; every query names the organisation. Goes through its lines of those days."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def days(self, organisation_id: UUID, first: date, last: date) -> list[UsageDay]:
        """Days from first to last, both included, without those on which nothing was spent or given back."""
        assert first <= last and (last - first).days < DAYS_MAX
        params = {"organisation_id": organisation_id, "first": first, "last": last}
        with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=args_row(_day))
            return cursor.execute(sql.USAGE.sql.encode(), params).fetchall()


def _day(day: date, spent_ucr: Decimal, debits: int, reversed_ucr: Decimal) -> UsageDay:
    """Sums over accounts and a day have no bound: they come as ``numeric``, and are whole."""
    return UsageDay(day=day, spent_ucr=int(spent_ucr), debits=debits, reversed_ucr=int(reversed_ucr))
