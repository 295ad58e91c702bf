"""Applies the SQL files beside it, in order, forward only, each in a transaction of its own with its checksum.

A file is ``NNNN_name.sql``; no number is used twice. One whose first line is ``-- outside a transaction`` holds
one statement that refuses a transaction (``CREATE INDEX CONCURRENTLY IF NOT EXISTS``) and bears being run again.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

import psycopg
from psycopg import sql

from migrations import grants

ADVISORY_LOCK = 0x7461_6C6C_7901
"""Held while migrating: processes that start together take turns."""

LOCK_TIMEOUT_S = 5
"""Longest that a migration may wait for a table, and so hold up everybody behind it."""

_TURN_S = 0.05
OUTSIDE_TRANSACTION = "-- outside a transaction"
_NAME = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")
_OWN_TABLE = "schema_migrations"


class MigrationError(Exception):
    """The schema and the files do not fit together; nothing was changed beyond whole files."""

    code = "migration-failed"
    transient = False


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: number, name without ``.sql``, text, and the SHA-256 of the text in hexadecimal."""

    number: int
    name: str
    text: str
    checksum: str


@dataclass(frozen=True, slots=True)
class State:
    """Names ``applied`` and ``pending`` in a database, and in words what is ``wrong`` between it and the files."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    wrong: tuple[str, ...]


def read_migrations(folder: Traversable | None = None) -> list[Migration]:
    """The files of a folder (by default ours) in order.

    :raises MigrationError: a misnamed file, a number twice.
    """
    folder = files("migrations") if folder is None else folder
    entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    found = [_read(entry) for entry in entries if entry.name.endswith(".sql")]
    numbers = [migration.number for migration in found]
    if len(set(numbers)) < len(numbers):
        raise MigrationError(f"a number is used twice: {numbers}")
    return found


def _read(entry: Traversable) -> Migration:
    match = _NAME.fullmatch(entry.name)
    if match is None:
        raise MigrationError(f"{entry.name}: expected a name like 0001_ledger.sql")
    text = entry.read_text(encoding="utf-8")
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(int(match["number"]), entry.name.removesuffix(".sql"), text, checksum)


def migrate(
    owner_url: str,
    *,
    serving_role: str | None,
    writing_role: str | None = None,
    migrations: Sequence[Migration] | None = None,
) -> list[str]:
    """Bring a database up to date; returns the names of what was applied, which may be none.

    :param owner_url: address as the role that owns the objects.
    :param serving_role: login role of those who serve, which gets its rights afterwards; see ``migrations.grants``.
    :param writing_role: login role of the writer, likewise.
    :raises MigrationError: an applied file was edited, the database is newer than this program, or a role is not in
        its group and the owner may not put it there.
    :raises psycopg.Error: a statement failed; its whole file was rolled back.
    """
    migrations = read_migrations() if migrations is None else migrations
    with psycopg.connect(owner_url, autocommit=True) as connection:
        _take_turn(connection)
        _make_own_table(connection)
        state = _compare(_recorded(connection), migrations)
        if state.wrong:
            raise MigrationError("; ".join(state.wrong))
        for migration in migrations:
            if migration.name in state.pending:
                _apply(connection, migration)
        _grant(connection, serving_role, writing_role)
        return list(state.pending)


def inspect(url: str, *, migrations: Sequence[Migration] | None = None) -> State:
    """Compare a database with the files, changing nothing. Any role that may read ``schema_migrations`` may ask."""
    migrations = read_migrations() if migrations is None else migrations
    with psycopg.connect(url, autocommit=True) as connection:
        there = connection.execute("SELECT to_regclass(%s) IS NOT NULL", [_OWN_TABLE]).fetchone()
        recorded = _recorded(connection) if there and there[0] else {}
    return _compare(recorded, migrations)


def _take_turn(connection: psycopg.Connection) -> None:
    """Wait for the lock, which ends with the session at the latest, by asking again and again.

    A statement that waits for it keeps a snapshot, and an index built concurrently waits for all older snapshots.
    """
    while not _only(connection.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])):
        time.sleep(_TURN_S)


def _only(cursor: psycopg.Cursor) -> bool:
    row = cursor.fetchone()
    assert row is not None
    return bool(row[0])


def _make_own_table(connection: psycopg.Connection) -> None:
    connection.execute(
        """
        CREATE TABLE IF NOT EXISTS schema_migrations (
            name text PRIMARY KEY,
            checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )


def _recorded(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT name, checksum FROM schema_migrations ORDER BY name").fetchall()
    return {str(name): str(checksum) for name, checksum in rows}


def _compare(recorded: dict[str, str], migrations: Sequence[Migration]) -> State:
    known = {migration.name: migration.checksum for migration in migrations}
    wrong = [
        f"{name} was edited after it was applied"
        for name in recorded
        if name in known and recorded[name] != known[name]
    ]
    wrong += [
        f"{name} is in the database but not in this program: run the newer release"
        for name in recorded
        if name not in known
    ]
    pending = [name for name in known if name not in recorded]
    if recorded and pending and min(pending) < max(recorded):
        wrong.append(f"{min(pending)} comes before {max(recorded)}, which was applied already")
    return State(tuple(recorded), tuple(pending), tuple(wrong))


def _apply(connection: psycopg.Connection, migration: Migration) -> None:
    statement = migration.text.encode()
    record = "INSERT INTO schema_migrations (name, checksum) VALUES (%s, %s)"
    if migration.text.startswith(OUTSIDE_TRANSACTION):
        connection.execute(statement)
        connection.execute(record, [migration.name, migration.checksum])
        return
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{LOCK_TIMEOUT_S}s")))
        connection.execute(statement)
        connection.execute(record, [migration.name, migration.checksum])


def _grant(connection: psycopg.Connection, serving: str | None, writing: str | None) -> None:
    """Give every role its rights and take away what it may not have, whatever it had before."""
    if not grants.groups_exist(connection):
        assert serving is None and writing is None, "a migration makes the groups"
        return
    try:
        grants.apply_grants(connection, serving=serving, writing=writing)
    except grants.MembershipMissing as error:
        raise MigrationError(str(error)) from error
