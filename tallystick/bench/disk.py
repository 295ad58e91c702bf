"""Bytes on disk: all tables and indexes of a schema, kept as autovacuum keeps them."""

from __future__ import annotations

import psycopg
from psycopg import sql

_SIZE = """
SELECT sum(pg_total_relation_size(c.oid))::bigint, (SELECT position FROM log_head)
FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace
"""

_DUE = """
SELECT s.relname
FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid
LEFT JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')::float8 AS base,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')::float8 AS share
    FROM pg_options_to_table(c.reloptions)
) AS o ON TRUE
WHERE s.schemaname = current_schema()
  AND s.n_dead_tup > coalesce(o.base, current_setting('autovacuum_vacuum_threshold')::float8)
                   + coalesce(o.share, current_setting('autovacuum_vacuum_scale_factor')::float8)
                   * greatest(0, c.reltuples)
"""


def vacuum_as_due(url: str) -> list[str]:
    """Vacuum the tables for which autovacuum's own rule says so; their names.

    Autovacuum looks once a minute, in which a measurement writes what a busy day does.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
        names = [name for (name,) in connection.execute(_DUE)]
        for name in names:
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(name)))
    return names


def bytes_per_event(url: str) -> int:
    """Everything on disk, divided by the events."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_SIZE).fetchone()
    assert row is not None
    return round(row[0] / max(1, row[1]))
