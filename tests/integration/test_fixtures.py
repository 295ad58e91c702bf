"""The tests' own database is quick to get, migrated, and owned as in production."""

from __future__ import annotations

import time

import psycopg
import pytest
import redis

from tallystick.embedded.postgres import EmbeddedPostgres
from tests.support import servers
from tests.support.servers import Database

CLONE_S_MAX = 60.0
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


def test_a_database_is_migrated_and_its_serving_role_cannot_change_events(database: Database) -> None:
    with psycopg.connect(database.serving_url) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM events")


def test_an_empty_database_has_no_table(empty_database: Database) -> None:
    with psycopg.connect(empty_database.owner_url) as connection:
        assert connection.execute(TABLES).fetchone() == (0,)


def test_a_database_is_cloned_quickly(postgres_server: EmbeddedPostgres) -> None:
    started = time.monotonic()
    with servers.database_from(postgres_server, servers.MIGRATED):
        assert time.monotonic() - started < CLONE_S_MAX


def test_redis_is_empty(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
