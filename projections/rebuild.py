"""Dropping a read model and folding it again from the first event, in place or beside it; and its digest.

Sans I/O. Beside it means in temporary tables of the same names, which come before the real ones on the search path:
give these cores a connection of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from ledger.domain.codec import RecordedEvent
from ledger.follower import READ, Follower
from ledger.limits import FOLLOWER_BATCH_MAX
from ledger.sansio import Commit, Core, Row, Run, Statement


class ReadModel(Follower, Protocol):
    """A follower whose rows can be made again from the log alone."""

    @property
    def tables(self) -> tuple[str, ...]:
        """Tables that it alone writes."""
        ...


class Digest(Struct, frozen=True):
    """A table's content: number of rows, and the sums of both halves of their MD5 (order does not count)."""

    table: str
    rows: int
    low: int
    high: int


LOCK = Statement("rebuild-lock", "SELECT position FROM followers WHERE name = %(name)s FOR UPDATE")
RESET = Statement(
    "rebuild-reset",
    "UPDATE followers SET position = 0, parked_reason = NULL, moved_at = clock_timestamp() WHERE name = %(name)s",
)
DIGESTING = Statement(
    "rebuild-digesting",
    "SELECT set_config('timezone', 'UTC', TRUE) AS zone, set_config('enable_seqscan', 'on', TRUE) AS plans",
)
FOLDING = Statement("rebuild-folding", "SET LOCAL enable_seqscan TO off")
"""As ``ledger.follower.CLAIM`` does, and for the same reason."""


def empty(model: ReadModel) -> Core[None]:
    """Drop all rows of a read model and put its follower back to the beginning, parked or not, in one transaction."""
    yield Run(LOCK, {"name": model.name})
    for table in model.tables:
        yield Run(Statement(f"rebuild-empty-{table}", f"DELETE FROM {table}"), {})  # noqa: S608  a constant of ours
    yield Run(RESET, {"name": model.name})
    yield Commit()


def digests(tables: Iterable[str], *, shadow: bool = False) -> Core[list[Digest]]:
    """Digest of each table; ``shadow``: of the temporary one of that name."""
    yield Run(DIGESTING, {})
    found: list[Digest] = []
    for table in tables:
        rows: list[Row] = yield Run(_digest(f"pg_temp.{table}" if shadow else table), {})
        found.append(Digest(table, int(rows[0]["rows"]), int(rows[0]["low"]), int(rows[0]["high"])))
    return found


def fold_beside(model: ReadModel, until: int) -> Core[None]:
    """Fold the log up to a position into temporary tables, which are gone with the transaction."""
    for table in model.tables:
        text = f"CREATE TEMPORARY TABLE {table} (LIKE {table} INCLUDING ALL) ON COMMIT DROP"
        yield Run(Statement(f"shadow-{table}", text), {})
    yield Run(FOLDING, {})
    position = 0
    while position < until:
        limit = min(FOLLOWER_BATCH_MAX, until - position)
        events: list[RecordedEvent] = yield Run(READ, {"after": position, "limit": limit})
        if not events:
            return
        yield from model.fold(events)
        position = events[-1].position


def _digest(table: str) -> Statement:
    return Statement(
        f"digest-{table}",
        f"""
        SELECT count(*) AS rows,
               coalesce(sum(CAST(CAST('x' || left(md5(t::text), 16) AS bit(64)) AS bigint)), 0) AS low,
               coalesce(sum(CAST(CAST('x' || right(md5(t::text), 16) AS bit(64)) AS bigint)), 0) AS high
        FROM {table} AS t
        """,  # noqa: S608  a constant of ours
    )
