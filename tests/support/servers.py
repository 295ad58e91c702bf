"""The servers of one test process, and databases cloned from a migrated template."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from migrations import runner
from tallystick.embedded import folders
from tallystick.embedded.postgres import (
    OWNER_ROLE,
    SERVING_ROLE,
    SUPERUSER,
    WRITER_ROLE,
    EmbeddedPostgres,
    create_database,
)
from tallystick.embedded.redis import EmbeddedRedis

MIGRATED = "migrated"
EMPTY = "template0"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A database of one test's own. ``superuser_url`` is for looking where no role of ours may."""

    name: str
    owner_url: str
    serving_url: str
    writer_url: str
    superuser_url: str


@contextlib.contextmanager
def folder_for_servers() -> Generator[Path]:
    """A new folder that the servers' user can pass, removed afterwards.

    New whatever a killed run left behind, which may have had the same process id; short, as sockets lie below it.
    """
    folder = Path(tempfile.gettempdir()) / f"tallystick-tests-{os.getpid()}-{secrets.token_hex(4)}"
    folders.make_data_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_with_template() -> Generator[EmbeddedPostgres]:
    """A PostgreSQL as the product starts it, with the template ``MIGRATED``."""
    with folder_for_servers() as folder:
        server = EmbeddedPostgres(folder, folders.service_user("nobody"))
        try:
            server.start()
            with _administrate(server) as connection:
                create_database(connection, MIGRATED)
            runner.migrate(server.url(OWNER_ROLE, MIGRATED), serving_role=SERVING_ROLE, writing_role=WRITER_ROLE)
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def database_from(server: EmbeddedPostgres, template: str) -> Generator[Database]:
    """A new database cloned from a template, dropped afterwards whoever is still connected."""
    name = f"test_{next(_numbers)}"
    with _administrate(server) as connection:
        create_database(connection, name, template=template)
        try:
            yield Database(
                name=name,
                owner_url=server.url(OWNER_ROLE, name),
                serving_url=server.url(SERVING_ROLE, name),
                writer_url=server.url(WRITER_ROLE, name),
                superuser_url=server.url(SUPERUSER, name),
            )
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _administrate(server: EmbeddedPostgres) -> psycopg.Connection:
    return psycopg.connect(server.url(SUPERUSER, "postgres"), autocommit=True)


@contextlib.contextmanager
def redis_server() -> Generator[EmbeddedRedis]:
    """A Redis as the product starts it."""
    with folder_for_servers() as folder:
        server = EmbeddedRedis(folder, folders.service_user("nobody"))
        try:
            server.start()
            yield server
        finally:
            server.stop()
