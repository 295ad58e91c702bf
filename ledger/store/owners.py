"""Whose accounts and holds are, for those who let others act on them. None of it ever changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

_ACCOUNTS = "SELECT account_id, organisation_id FROM account_states WHERE account_id = ANY(%s)"

_HOLDS = """
SELECT h.hold_id, h.account_id, a.organisation_id, h.reference
FROM holds AS h JOIN account_states AS a ON a.account_id = h.account_id
WHERE h.hold_id = ANY(%s)
"""


class PostgresOwners:
    """Answers over a pool, one statement each. What does not exist is left out."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def of_accounts(self, account_ids: Collection[UUID]) -> dict[UUID, UUID]:
        """Organisation of each account."""
        return dict(self._rows(_ACCOUNTS, account_ids))

    def of_holds(self, hold_ids: Collection[UUID]) -> dict[UUID, tuple[UUID, UUID, UUID | None]]:
        """Account, organisation and reference (a job) of each hold."""
        return {row[0]: (row[1], row[2], row[3]) for row in self._rows(_HOLDS, hold_ids)}

    def _rows(self, query: str, ids: Collection[UUID]) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), (list(ids),)).fetchall()
