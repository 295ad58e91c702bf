"""Questions to the ledger on PostgreSQL, each one statement, so that every answer comes from one snapshot."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from ledger.as_of import AsOf, account_at
from ledger.domain.account import STATE_FORMAT, Account, decode_account
from ledger.domain.codec import RecordedEvent
from ledger.ports import Balance, HoldView
from ledger.store.connection import hold_of, recorded
from ledger.store.past import HOLD, look
from ledger.views import balance_view, hold_view

BALANCE = """
SELECT h.position, greatest(clock_timestamp(), h.recorded_at), a.format, a.state
FROM log_head AS h CROSS JOIN account_states AS a WHERE a.account_id = %s
"""

OPEN_HOLDS = """
SELECT hold_id, account_id, state, amount_ucr, committed_ucr, slices, lease_until, reference,
       opened_at, opened_position, resolved_at
FROM holds WHERE account_id = %s AND state = 'open' ORDER BY opened_position DESC LIMIT %s
"""

_EVENT = """
SELECT notification_id, originator_id, originator_version, topic, state, recorded_at, effective_at, key_hash, hash
FROM events
"""

STREAM = _EVENT + "WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s"

LOG = _EVENT + "WHERE notification_id > %s ORDER BY notification_id LIMIT %s"

HEAD = "SELECT position FROM log_head"


class PostgresReader(AsOf):
    """``ledger.ports.LedgerReader`` and ``PastReader`` over a pool."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        super().__init__(lambda: look(pool))
        self._pool = pool

    def balance(self, account_id: UUID) -> Balance | None:
        """See ``LedgerReader``."""
        rows = self._rows(BALANCE, account_id)
        if not rows:
            return None
        position, at, state_format, state = rows[0]
        account = decode_account(state) if state_format == STATE_FORMAT else self._replayed(account_id, position)
        return balance_view(account, log_position=position, at=at)

    def open_holds(self, account_id: UUID, *, limit: int) -> list[HoldView]:
        """See ``LedgerReader``."""
        return [hold_view(hold_of(row)) for row in self._rows(OPEN_HOLDS, account_id, limit)]

    def hold(self, hold_id: UUID) -> HoldView | None:
        """See ``LedgerReader``."""
        rows = self._rows(HOLD, hold_id)
        return hold_view(hold_of(rows[0])) if rows else None

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        return [recorded(row) for row in self._rows(STREAM, stream_id, after_version, limit)]

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        """See ``LedgerReader``."""
        return [recorded(row) for row in self._rows(LOG, after, limit)]

    def head(self) -> int:
        """See ``LedgerReader``."""
        return self._rows(HEAD)[0][0]

    def _replayed(self, account_id: UUID, position: int) -> Account:
        """The account where its state is of another format."""
        with look(self._pool) as past:
            account = account_at(past, account_id, position)
        assert account is not None, "a state without an event"
        return account

    def _rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        with self._pool.connection() as connection, connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), params).fetchall()
