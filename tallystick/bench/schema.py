"""A schema of its own for a measurement, dropped afterwards."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Generator

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations import runner


@contextlib.contextmanager
def scratch(owner_url: str, *, migrated: bool) -> Generator[str]:
    """Yield the address of the database with an empty schema first in its search path.

    With ``migrated`` the schema has all our tables.
    """
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        url = make_conninfo(owner_url, options=f"-c search_path={name}")
        try:
            if migrated:
                runner.migrate(url, serving_role=None)
            yield url
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def schema_of(url: str) -> str:
    """Name of the schema that ``scratch`` made."""
    return url.rpartition("search_path=")[2].strip("'")
