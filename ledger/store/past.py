"""The past on PostgreSQL: each question one statement over an index, on what never changes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from ledger.as_of import Late, Point
from ledger.domain.account import STATE_FORMAT, Grant, Hold, decode_grant
from ledger.domain.codec import RecordedEvent
from ledger.effective import NAME, moved, ranges
from ledger.store.connection import hold_of, recorded

_COLUMNS = """
notification_id, originator_id, originator_version, topic, state, recorded_at, effective_at, key_hash, hash
"""

HEAD = "SELECT position, greatest(clock_timestamp(), recorded_at) FROM log_head"

EVENT = f"SELECT {_COLUMNS} FROM events WHERE notification_id = %s"  # noqa: S608  constants of ours

# Recorded times never decrease along the log: halve it until one position is left.
POSITION_AT = """
WITH RECURSIVE search (low, high) AS (
    SELECT 0::bigint, %(until)s::bigint
    UNION ALL
    SELECT CASE WHEN before THEN middle ELSE low END, CASE WHEN before THEN high ELSE middle - 1 END
    FROM (
        SELECT low, high, (low + high + 1) / 2 AS middle,
               (SELECT recorded_at FROM events WHERE notification_id = (low + high + 1) / 2) <= %(at)s AS before
        FROM search WHERE low < high OFFSET 0
    ) AS halved
)
SELECT low FROM search WHERE low = high
"""

SNAPSHOT = """
SELECT state FROM account_snapshots
WHERE account_id = %s AND position <= %s AND format = %s ORDER BY position DESC LIMIT 1
"""

# The limit stands inside, or the planner walks the whole log up to a position that is low.
PAGE = f"""
SELECT * FROM (
    SELECT {_COLUMNS} FROM events
    WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s
) AS page WHERE notification_id <= %s
ORDER BY originator_version
"""  # noqa: S608  constants of ours

PAGE_BACK = f"""
SELECT {_COLUMNS} FROM events
WHERE originator_id = %s AND originator_version <= %s ORDER BY originator_version DESC LIMIT %s
"""  # noqa: S608  constants of ours

ENDED_GRANT = "SELECT state FROM grants WHERE account_id = %s AND grant_id = %s AND format = %s"

END_MOVES = f"""
SELECT {_COLUMNS} FROM events
WHERE originator_id = %s AND originator_version > %s AND originator_version <= %s
  AND topic IN ('ledger.grant-extended.v1', 'ledger.credits-reversed.v1') AND position(uuid_send(%s) IN state) > 0
ORDER BY originator_version DESC LIMIT %s
"""  # noqa: S608  constants of ours

HOLD = """
SELECT hold_id, account_id, state, amount_ucr, committed_ucr, slices, lease_until, reference,
       opened_at, opened_position, resolved_at
FROM holds WHERE hold_id = %s
"""

# One statement, so that what the follower has summed and what it has not seen yet make the whole, however far it is.
# Compared as a pair, account and position lead to the index of backdated events, and not to that of all positions.
LATE = f"""
SELECT h.position, s.change_ucr, b.*
FROM log_head AS h
CROSS JOIN (
    SELECT coalesce(sum(of_span.change_ucr), 0) AS change_ucr
    FROM unnest(%(spans)s::text[], %(firsts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (span, first, before)
    CROSS JOIN LATERAL (
        SELECT sum(c.change_ucr) AS change_ucr
        FROM effective_changes AS c
        WHERE c.account_id = %(account_id)s AND c.span = r.span AND c.starts_at >= r.first AND c.starts_at < r.before
    ) AS of_span
) AS s
LEFT JOIN (
    SELECT {_COLUMNS} FROM events
    WHERE effective_at <> recorded_at
      AND (originator_id, notification_id)
          > (%(account_id)s, coalesce((SELECT position FROM followers WHERE name = %(follower)s), 0))
      AND (originator_id, notification_id) <= (%(account_id)s, 9223372036854775807)
) AS b ON TRUE
WHERE EXISTS (SELECT FROM account_states WHERE account_id = %(account_id)s)
"""  # noqa: S608  constants of ours

_MOVES_PAGE = 16
Connection = psycopg.Connection[Any]


class PostgresPast:
    """``ledger.as_of.Past`` over a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def head(self) -> Point:
        """See ``Past``."""
        return Point(*self._rows(HEAD)[0])

    def event(self, position: int) -> RecordedEvent | None:
        """See ``Past``."""
        rows = self._rows(EVENT, (position,))
        return recorded(rows[0]) if rows else None

    def position_at(self, at: datetime, until: int) -> int:
        """See ``Past``: as many look-ups as the position has binary digits."""
        return self._rows(POSITION_AT, {"at": at, "until": until})[0][0]

    def snapshot(self, account_id: UUID, position: int) -> bytes | None:
        """See ``Past``."""
        rows = self._rows(SNAPSHOT, (account_id, position, STATE_FORMAT))
        return rows[0][0] if rows else None

    def page(self, account_id: UUID, after_version: int, until: int, limit: int) -> list[RecordedEvent]:
        """See ``Past``."""
        return [recorded(row) for row in self._rows(PAGE, (account_id, after_version, limit, until))]

    def page_back(self, account_id: UUID, version: int, limit: int) -> list[RecordedEvent]:
        """See ``Past``."""
        return [recorded(row) for row in self._rows(PAGE_BACK, (account_id, version, limit))]

    def ended_grant(self, account_id: UUID, grant_id: UUID) -> Grant | None:
        """See ``Past``."""
        rows = self._rows(ENDED_GRANT, (account_id, grant_id, STATE_FORMAT))
        return decode_grant(rows[0][0]) if rows else None

    def end_moves(self, account_id: UUID, grant_id: UUID, after: int, until: int) -> Iterator[RecordedEvent]:
        """See ``Past``: a few at a time, for mostly the first one tells."""
        while rows := self._rows(END_MOVES, (account_id, after, until, grant_id, _MOVES_PAGE)):
            yield from map(recorded, rows)
            until = rows[-1][2] - 1

    def hold_row(self, hold_id: UUID) -> Hold | None:
        """See ``Past``."""
        rows = self._rows(HOLD, (hold_id,))
        return hold_of(rows[0]) if rows else None

    def late(self, account_id: UUID, at: datetime) -> Late | None:
        """See ``Past``."""
        spans, firsts, ends = zip(*ranges(at), strict=True)
        asked = {"spans": list(spans), "firsts": list(firsts), "ends": list(ends)}
        rows = self._rows(LATE, {**asked, "account_id": account_id, "follower": NAME})
        if not rows:
            return None
        unseen = (recorded(row[2:]) for row in rows if row[2] is not None)
        unseen_ucr = sum(change_ucr for event in unseen for start, change_ucr in moved(event) if start <= at)
        return Late(rows[0][0], int(rows[0][1]) + unseen_ucr)

    def _rows(self, query: str, params: Any = ()) -> list[tuple[Any, ...]]:
        with self._connection.cursor(row_factory=tuple_row, binary=True) as cursor:
            return cursor.execute(query.encode(), params).fetchall()


@contextmanager
def look(pool: ConnectionPool[Any]) -> Generator[PostgresPast]:
    """The past, for one question; all that it asks is one transaction."""
    with pool.connection() as connection:
        yield PostgresPast(connection)
