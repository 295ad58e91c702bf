"""The sandbox's books on PostgreSQL, in tables that nothing else of ours reads.

Changes are numbered under a lock, so that who reads on from a number misses none.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from msgspec import structs
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from payments.errors import RailUnavailable
from payments.limits import RAIL_TIMEOUT_S
from payments.sandbox.books import RAIL, Movement, SandboxCharge

Cursor = psycopg.Cursor[dict[str, Any]]
LIMIT_TIME = "SET LOCAL statement_timeout = '5s'"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('sandbox-movements', 0))"
OPEN = """
    INSERT INTO sandbox_charges (ref, open_key, topup_id, asset, amount_minor, description, expires_at)
    VALUES (%(ref)s, %(open_key)s, %(topup_id)s, %(asset)s, %(amount_minor)s, %(description)s, %(expires_at)s)
    ON CONFLICT DO NOTHING
"""
"""Whichever of the two unique indexes the same charge meets first: naming one leaves the other to raise."""

BY_KEY = """
    SELECT ref, open_key, topup_id, asset, amount_minor, description, expires_at
    FROM sandbox_charges WHERE open_key = %(open_key)s
"""
BY_REF = """
    SELECT ref, open_key, topup_id, asset, amount_minor, description, expires_at
    FROM sandbox_charges WHERE ref = %(ref)s
"""
PUT = """
    INSERT INTO sandbox_movements (
        changed, external_id, ref, asset, amount_minor, direction, state, confirmations, first_seen, at, refund_id,
        refund_of, reason
    ) VALUES (
        (SELECT coalesce(max(changed), 0) + 1 FROM sandbox_movements), %(external_id)s, %(ref)s, %(asset)s,
        %(amount_minor)s, %(direction)s, %(state)s, %(confirmations)s, %(first_seen)s, %(at)s, %(refund_id)s,
        %(refund_of)s, %(reason)s
    )
    ON CONFLICT (external_id) DO UPDATE SET
        changed = excluded.changed, state = excluded.state, confirmations = excluded.confirmations, at = excluded.at,
        reason = excluded.reason
    RETURNING external_id, changed, ref, asset, amount_minor, direction, state, confirmations, first_seen, at,
              refund_id, refund_of, reason
"""
MOVEMENTS = """
    SELECT external_id, changed, ref, asset, amount_minor, direction, state, confirmations, first_seen, at, refund_id,
           refund_of, reason
    FROM sandbox_movements
    WHERE ref = %(question)s OR external_id = %(question)s ORDER BY first_seen, changed
"""
SINCE = """
    SELECT external_id, changed, ref, asset, amount_minor, direction, state, confirmations, first_seen, at, refund_id,
           refund_of, reason
    FROM sandbox_movements WHERE changed > %(changed)s ORDER BY changed LIMIT %(limit)s
"""
REFUND = """
    SELECT external_id, changed, ref, asset, amount_minor, direction, state, confirmations, first_seen, at, refund_id,
           refund_of, reason
    FROM sandbox_movements WHERE refund_id = %(refund_id)s
"""
REFUNDED = """
    SELECT coalesce(sum(amount_minor), 0)::bigint AS refunded_minor FROM sandbox_movements
    WHERE refund_of = %(refund_of)s AND state <> 'failed'
"""


class PostgresStore:
    """See ``SandboxStore``."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def open(self, charge: SandboxCharge) -> SandboxCharge:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            cursor.execute(OPEN, structs.asdict(charge))
            return SandboxCharge(**_only(cursor.execute(BY_KEY, {"open_key": charge.open_key})))

    def charge(self, ref: str) -> SandboxCharge | None:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            row = cursor.execute(BY_REF, {"ref": ref}).fetchone()
            return SandboxCharge(**row) if row else None

    def movements(self, question: str) -> Sequence[Movement]:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            return [Movement(**row) for row in cursor.execute(MOVEMENTS, {"question": question})]

    def put(self, movement: Movement) -> Movement:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            cursor.execute(LOCK)
            return Movement(**_only(cursor.execute(PUT, structs.asdict(movement))))

    def put_refund(self, refund: Movement, captured_minor: int) -> Movement | None:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            cursor.execute(LOCK)
            if seen := cursor.execute(REFUND, {"refund_id": refund.refund_id}).fetchone():
                return Movement(**seen)
            refunded = _only(cursor.execute(REFUNDED, {"refund_of": refund.refund_of}))["refunded_minor"]
            if refunded + refund.amount_minor > captured_minor:
                return None
            return Movement(**_only(cursor.execute(PUT, structs.asdict(refund))))

    def since(self, changed: int, limit: int) -> Sequence[Movement]:
        """See ``SandboxStore``."""
        with self._cursor() as cursor:
            return [Movement(**row) for row in cursor.execute(SINCE, {"changed": changed, "limit": limit})]

    @contextmanager
    def _cursor(self) -> Generator[Cursor]:
        """One transaction; a database that is away is a source that cannot be asked."""
        try:
            with self._pool.connection(RAIL_TIMEOUT_S) as connection, connection.cursor(row_factory=dict_row) as cursor:
                cursor.execute(LIMIT_TIME)
                yield cursor
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise RailUnavailable(rail=RAIL, reason=type(error).__name__) from error


def _only(cursor: Cursor) -> dict[str, Any]:
    row = cursor.fetchone()
    assert row is not None
    return row
