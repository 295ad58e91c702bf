"""Who may do what with which table: the one place that says so, applied after every migration.

``tallystick_writing`` is the writer's group: it alone appends to the log and to what is written in the same append.
``tallystick_serving`` is everybody else's: it reads all, writes its own tables, and none of the writer's. A new table
is the serving group's unless it is named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import LiteralString

import psycopg
from psycopg import sql

SERVING = "tallystick_serving"
WRITING = "tallystick_writing"

WRITER_TABLES: dict[str, LiteralString] = {
    "events": "INSERT",
    "verdicts": "INSERT",
    "event_traces": "INSERT",
    "account_snapshots": "INSERT",
    "log_head": "UPDATE",
    "account_states": "INSERT, UPDATE",
    "holds": "INSERT, UPDATE",
    "grants": "INSERT, UPDATE",
    "budgets": "INSERT, UPDATE",
    "budget_usage": "INSERT, UPDATE",
    "refusals_kept": "INSERT, UPDATE",
}
"""Tables that only the writer writes, and how."""

SERVING_DELETES = ("event_traces",)
"""Tables of the writer's whose old rows the others clear away."""

_OWN_TABLE = "schema_migrations"
_ALL: tuple[LiteralString, ...] = (
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {serving}, {writing}",
    "GRANT USAGE ON SCHEMA {schema} TO {serving}, {writing}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {serving}, {writing}",
    "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {serving}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {serving}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {serving}, {writing}",
)
_TAKE: LiteralString = "REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM {serving}"
_NO_OTHER_WAY: tuple[LiteralString, ...] = (
    "REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
    "REVOKE ALL ON ALL SEQUENCES IN SCHEMA {schema} FROM {role}",
)


class MembershipMissing(Exception):
    """A login role is not in its group, and the owner may not put it there; the message is what to run."""


def apply_grants(connection: psycopg.Connection, *, serving: str | None, writing: str | None) -> None:
    """Give both groups their rights in the current schema, and login roles their group and nothing besides.

    :param serving: the login role that serves, None where the owner does.
    :param writing: the login role that appends, None where there is none of its own.
    :raises MembershipMissing: an administrator must make a role a member.
    """
    schema = _one(connection, "SELECT current_schema()")
    tables = {
        str(row[0]) for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
    }
    with connection.transaction():
        for role, group in ((serving, SERVING), (writing, WRITING)):
            if role is not None and not _owns(connection, role):
                _only_by_group(connection, role, group, schema)
        for statement in _statements(schema, tables):
            connection.execute(statement)


def groups_exist(connection: psycopg.Connection) -> bool:
    """Whether the cluster knows both groups."""
    found = _one(connection, "SELECT count(*) FROM pg_roles WHERE rolname IN (%s, %s)", SERVING, WRITING)
    return found == "2"


def _statements(schema: str, tables: Iterable[str]) -> Iterator[sql.Composed]:
    names = {"schema": sql.Identifier(schema), "serving": sql.Identifier(SERVING), "writing": sql.Identifier(WRITING)}
    for statement in _ALL:
        yield sql.SQL(statement).format(**names)
    for table in sorted(tables):
        if table == _OWN_TABLE or table in WRITER_TABLES:
            yield sql.SQL(_TAKE).format(table=sql.Identifier(table), **names)
        if table in WRITER_TABLES:
            grant = sql.SQL("GRANT {} ON {} TO {}")
            yield grant.format(sql.SQL(WRITER_TABLES[table]), sql.Identifier(table), names["writing"])
        if table in SERVING_DELETES:
            yield sql.SQL("GRANT DELETE ON {} TO {}").format(sql.Identifier(table), names["serving"])


def _only_by_group(connection: psycopg.Connection, role: str, group: str, schema: str) -> None:
    """Make a role a member, and take away what an earlier release gave it itself."""
    names = {"role": sql.Identifier(role), "group": sql.Identifier(group), "schema": sql.Identifier(schema)}
    if _one(connection, "SELECT pg_has_role(%s, %s, 'MEMBER')", role, group) != "True":
        join = sql.SQL("GRANT {group} TO {role}").format(**names)
        try:
            connection.execute(join)
        except psycopg.errors.InsufficientPrivilege:
            raise MembershipMissing(f"an administrator must first: {join.as_string(connection)}") from None
    for statement in _NO_OTHER_WAY:
        connection.execute(sql.SQL(statement).format(**names))


def _owns(connection: psycopg.Connection, role: str) -> bool:
    """Whether a role is the one that migrates, which keeps its rights."""
    return _one(connection, "SELECT current_user") == role


def _one(connection: psycopg.Connection, query: LiteralString, *parameters: str) -> str:
    row = connection.execute(query, parameters or None).fetchone()
    assert row is not None
    return str(row[0])
