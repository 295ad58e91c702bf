"""Who may do what in the database: the writer alone appends, nobody changes, and every table is somebody's."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg_pool import ConnectionPool

from ledger.store.postgres import PostgresLedger
from ledger.store.socket import SocketLedger
from migrations import grants, runner
from migrations.runner import MigrationError
from tallystick.clock import SystemClock
from tallystick.embedded.postgres import SERVING_ROLE, WRITER_ROLE, EmbeddedPostgres
from tests.conftest import SECRET
from tests.support.ledger import open_account
from tests.support.servers import Database
from tests.support.writers import short_folder, store_of, writer_at

CHANGES = {
    "INSERT": "INSERT INTO {} DEFAULT VALUES",
    "UPDATE": "UPDATE {} SET {} = NULL",
    "DELETE": "DELETE FROM {}",
    "TRUNCATE": "TRUNCATE {}",
}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
COLUMN = "SELECT column_name FROM information_schema.columns WHERE table_name = %s ORDER BY ordinal_position LIMIT 1"


def change(right: str, table: str, database: Database) -> sql.Composed:
    with psycopg.connect(database.superuser_url) as connection:
        (column,) = connection.execute(COLUMN, [table]).fetchone() or ("?",)
    return sql.SQL(CHANGES[right]).format(sql.Identifier(table), sql.Identifier(column))  # type: ignore[arg-type]  # ours


def allowed(url: str) -> dict[str, set[str]]:
    """What a role may do with each table, as the database says."""
    with psycopg.connect(url) as connection:
        return {
            table: {
                right
                for right in CHANGES
                if connection.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone() == (True,)
            }
            for (table,) in connection.execute(TABLES).fetchall()
        }


@pytest.mark.parametrize("table", sorted(grants.WRITER_TABLES))
@pytest.mark.parametrize("right", CHANGES)
def test_invariant_37_who_serves_cannot_write_what_the_writer_writes(
    database: Database, table: str, right: str
) -> None:
    if right == "DELETE" and table in grants.SERVING_DELETES:
        return
    refused = pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied")
    with psycopg.connect(database.serving_url) as connection, refused:
        connection.execute(change(right, table, database))


@pytest.mark.parametrize("right", ["UPDATE", "DELETE", "TRUNCATE"])
@pytest.mark.parametrize("url", ["serving_url", "writer_url", "owner_url", "superuser_url"])
def test_invariant_37_nobody_changes_events(
    database: Database, postgres_ledger: PostgresLedger, url: str, right: str
) -> None:
    open_account(postgres_ledger)
    with psycopg.connect(getattr(database, url)) as connection:
        if url == "superuser_url":
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(change(right, "events", database))


def test_invariant_37_every_table_is_written_by_one_side_alone(database: Database) -> None:
    serving, writing = allowed(database.serving_url), allowed(database.writer_url)
    both = {table for table in serving if serving[table] and writing[table]}
    assert both == set(grants.SERVING_DELETES)
    assert {table for table in writing if writing[table]} == set(grants.WRITER_TABLES)
    neither = {table for table in serving if not serving[table] and not writing[table]}
    assert neither == {"schema_migrations"}
    assert all("TRUNCATE" not in rights for rights in (*serving.values(), *writing.values()))


def test_who_serves_hears_of_what_the_writer_appends(database: Database, pool: ConnectionPool[Any]) -> None:
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(short_folder())
        listening = stack.enter_context(psycopg.connect(database.serving_url, autocommit=True))
        listening.execute("LISTEN tallystick_log")
        stack.enter_context(writer_at(folder / "w.sock", store_of(database.writer_url), SECRET.encode()))
        ledger = SocketLedger(folder / "w.sock", pool, clock=SystemClock(), secret=SECRET.encode())
        stack.callback(ledger.close)
        open_account(ledger)
        assert [heard.payload for heard in listening.notifies(timeout=5, stop_after=1)] == ["1"]


def test_a_right_that_was_given_besides_is_taken_back(database: Database) -> None:
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        for role in (SERVING_ROLE, grants.SERVING):
            connection.execute(sql.SQL("GRANT INSERT, TRUNCATE ON events TO {}").format(sql.Identifier(role)))
    runner.migrate(database.owner_url, serving_role=SERVING_ROLE, writing_role=WRITER_ROLE)
    assert allowed(database.serving_url)["events"] == set()


def test_a_role_outside_its_group_is_named_with_what_an_administrator_must_run(
    database: Database, postgres_server: EmbeddedPostgres
) -> None:
    with psycopg.connect(postgres_server.url("postgres", "postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE stranger LOGIN")
        try:
            with pytest.raises(MigrationError, match='GRANT "tallystick_serving" TO "stranger"'):
                runner.migrate(database.owner_url, serving_role="stranger")
        finally:
            connection.execute("DROP ROLE stranger")
