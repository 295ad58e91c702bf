"""Migrations: forward only, in order, whole or not at all, and by one process at a time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from migrations import runner
from migrations.runner import Migration, MigrationError
from tallystick.embedded.postgres import SERVING_ROLE, WRITER_ROLE
from tests.support.requirements import ROOT
from tests.support.servers import Database


def migration(number: int, text: str, name: str = "step") -> Migration:
    return Migration(number, f"{number:04}_{name}", text, hashlib.sha256(text.encode()).hexdigest())


ONE = migration(1, "CREATE TABLE one (id int PRIMARY KEY);")
TWO = migration(2, "CREATE TABLE two (id int PRIMARY KEY); INSERT INTO two VALUES (1), (2);")
EVENTS = migration(3, "CREATE TABLE events (id int PRIMARY KEY);")


def migrate(database: Database, *steps: Migration) -> list[str]:
    return runner.migrate(database.owner_url, serving_role=SERVING_ROLE, writing_role=WRITER_ROLE, migrations=steps)


def ask(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_what_is_pending_is_applied_once_and_in_order(empty_database: Database) -> None:
    assert migrate(empty_database, ONE) == ["0001_step"]
    assert migrate(empty_database, ONE, TWO) == ["0002_step"]
    assert migrate(empty_database, ONE, TWO) == []
    assert ask(empty_database.serving_url, "SELECT count(*) FROM two") == [(2,)]


def test_an_edited_file_is_refused_by_name(empty_database: Database) -> None:
    migrate(empty_database, ONE)
    with pytest.raises(MigrationError, match="0001_step was edited after it was applied"):
        migrate(empty_database, migration(1, ONE.text + " "), TWO)
    assert ask(empty_database.owner_url, "SELECT to_regclass('two')") == [(None,)]


def test_a_newer_database_is_refused_by_name(empty_database: Database) -> None:
    migrate(empty_database, ONE, TWO)
    with pytest.raises(MigrationError, match="0002_step is in the database but not in this program"):
        migrate(empty_database, ONE)


def test_a_file_that_comes_late_is_refused(empty_database: Database) -> None:
    migrate(empty_database, TWO)
    with pytest.raises(MigrationError, match="0001_step comes before 0002_step"):
        migrate(empty_database, ONE, TWO)


def test_a_failing_file_leaves_nothing_of_itself_and_all_before_it(empty_database: Database) -> None:
    broken = migration(2, "CREATE TABLE two (id int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database, ONE, broken)
    assert ask(empty_database.owner_url, "SELECT name FROM schema_migrations") == [("0001_step",)]
    assert ask(empty_database.owner_url, "SELECT to_regclass('two')") == [(None,)]
    assert migrate(empty_database, ONE, TWO) == ["0002_step"]


def test_an_index_is_built_outside_a_transaction(empty_database: Database) -> None:
    index = migration(2, f"{runner.OUTSIDE_TRANSACTION}\nCREATE INDEX CONCURRENTLY IF NOT EXISTS by_id ON one (id);")
    assert migrate(empty_database, ONE, index) == ["0001_step", "0002_step"]


def test_a_table_in_use_holds_a_migration_up_for_seconds_only(empty_database: Database) -> None:
    migrate(empty_database, ONE)
    alter = migration(2, "ALTER TABLE one ADD COLUMN name text;")
    with psycopg.connect(empty_database.owner_url) as busy:
        busy.execute("SELECT * FROM one")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrate(empty_database, ONE, alter)
    assert migrate(empty_database, ONE, alter) == ["0002_step"]


@pytest.mark.parametrize("right", ["INSERT", "UPDATE", "DELETE", "TRUNCATE"])
def test_invariant_37_the_serving_role_never_gets_a_right_on_events(empty_database: Database, right: str) -> None:
    migrate(empty_database, ONE, EVENTS)
    with psycopg.connect(empty_database.owner_url) as connection:
        connection.execute(f"GRANT {right} ON events TO {SERVING_ROLE}".encode())
    migrate(empty_database, ONE, EVENTS)
    for table, expected in [("events", False), ("one", right != "TRUNCATE"), ("schema_migrations", False)]:
        query = f"SELECT has_table_privilege('{SERVING_ROLE}', '{table}', '{right}')"
        assert ask(empty_database.owner_url, query) == [(expected,)]
    allowed = ask(empty_database.owner_url, f"SELECT has_table_privilege('{WRITER_ROLE}', 'events', '{right}')")
    assert allowed == [(right == "INSERT",)]


def test_processes_that_start_together_take_turns(empty_database: Database, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DATABASE_URL": empty_database.serving_url,
        "DATABASE_OWNER_URL": empty_database.owner_url,
        "REDIS_URL": "redis://localhost:1/0",
        "TALLYSTICK_SECRET": "s" * 40,
        "TALLYSTICK_DATA_DIR": str(tmp_path / "data"),
    }
    command = [sys.executable, "-m", "tallystick", "migrate", "--json"]
    started = [subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(output == b'{"applied":[]}\n' for output in outputs) == [False, True, True]


def test_the_shipped_files_are_read_in_order() -> None:
    found = runner.read_migrations()
    assert [step.number for step in found] == sorted({step.number for step in found})


@pytest.mark.parametrize("names", [["0001_a.sql", "0001_b.sql"], ["1_a.sql"], ["0001-a.sql"]])
def test_a_misnamed_file_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(MigrationError):
        runner.read_migrations(tmp_path)


def test_an_unmigrated_database_is_told_from_a_migrated_one(empty_database: Database) -> None:
    assert runner.inspect(empty_database.serving_url, migrations=[ONE]).pending == ("0001_step",)
    migrate(empty_database, ONE)
    assert runner.inspect(empty_database.serving_url, migrations=[ONE]).pending == ()
