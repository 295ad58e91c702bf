"""Says what is configured, reachable and migrated, and whether the serving role is kept from changing history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import msgspec
import psycopg
import redis
from psycopg.rows import TupleRow

from ledger.remote.probe import NO_WRITER
from migrations import runner
from tallystick.clock import SystemClock
from tallystick.settings import Settings
from tallystick.writer_probe import unavailable

CONNECT_TIMEOUT_S = 5
CLOCK_SKEW_MAX_S = 30.0
POSTGRES_VERSION_MIN = 170_000
"""The first with ``transaction_timeout``, by which a writer that stands still gives up the append lock."""

_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
_NOT_DURABLE = {"off", "local"}
_FORBIDDEN = ("UPDATE", "DELETE", "TRUNCATE")
_APPEND = "INSERT"


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing looked at: whether it is as it should be, what was seen, and what to do if it is not."""

    name: str
    ok: bool
    seen: str
    remedy: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything the settings name. Addresses must be known (embedded servers started). Never raises."""
    found = list(_configured(settings))
    assert settings.database_url is not None and settings.redis_url is not None
    found += _database("database", settings.database_url, _serving_findings)
    if settings.database_owner_url is not None:
        found += _database("database owner", settings.database_owner_url, _owner_findings)
    if settings.database_writer_url is not None:
        found += _database("database writer", settings.database_writer_url, _writing_findings)
    found.append(_writer(settings, found))
    found.append(_redis(settings.redis_url))
    return found


def _configured(settings: Settings) -> Iterator[Finding]:
    rails = [
        name
        for name, there in {
            "sandbox": settings.sandbox,
            "stripe": settings.stripe_api_key is not None,
            "lightning": settings.lnbits_url is not None,
            "liquid": settings.liquid_descriptor is not None,
        }.items()
        if there
    ]
    yield Finding("data folder", ok=True, seen=str(settings.data_dir))
    yield Finding("rails", ok=True, seen=", ".join(rails) or "none: nobody can top up")
    yield Finding("nodes", ok=True, seen=", ".join(settings.comfyui_nodes) or "none given")
    yield Finding("images", ok=True, seen=f"bucket {settings.s3_bucket}" if settings.s3_bucket else "data folder")
    yield Finding("telemetry", ok=True, seen=settings.otlp_endpoint or "no collector")


Examine = Callable[["psycopg.Connection[TupleRow]", str], Iterator[Finding]]


def _database(name: str, url: str, examine_it: Examine) -> list[Finding]:
    found: list[Finding] = []
    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            found.append(_reached(name, connection))
            found += examine_it(connection, url)
    except psycopg.Error as error:
        found.append(
            Finding(name, ok=False, seen=str(error).strip(), remedy=f"is {_place(url)} there, and the address right?")
        )
    return found


def _reached(name: str, connection: psycopg.Connection[TupleRow]) -> Finding:
    info = connection.info
    ok = info.server_version >= POSTGRES_VERSION_MIN
    seen = f"PostgreSQL {info.server_version // 10_000} as {info.user} on {info.host or 'localhost'}"
    return Finding(
        name, ok=ok, seen=seen, remedy="" if ok else f"PostgreSQL {POSTGRES_VERSION_MIN // 10_000} or newer is needed"
    )


def _serving_findings(connection: psycopg.Connection[TupleRow], url: str) -> Iterator[Finding]:
    yield _durability(connection)
    yield _clock(connection)
    yield _schema(url)
    if connection.execute("SELECT to_regclass('events') IS NOT NULL").fetchone() == (True,):
        yield _history(connection)


def _owner_findings(connection: psycopg.Connection[TupleRow], url: str) -> Iterator[Finding]:
    row = connection.execute("SELECT has_schema_privilege(current_schema(), 'CREATE')").fetchone()
    ok = row == (True,)
    yield Finding("migrating role", ok=ok, seen=f"{connection.info.user} may {'' if ok else 'not '}create tables")
    assert url


def _durability(connection: psycopg.Connection[TupleRow]) -> Finding:
    values = {name: _one(connection, "SELECT current_setting(%s)", name) for name in _DURABLE}
    weak = [f"{name} = {value}" for name, value in values.items() if value in _NOT_DURABLE]
    seen = ", ".join(weak) or "a commit is on disk before it is answered"
    return Finding(
        "durability", ok=not weak, seen=seen, remedy="switch it on: money must survive a power cut" if weak else ""
    )


def _clock(connection: psycopg.Connection[TupleRow]) -> Finding:
    theirs = _one(connection, "SELECT extract(epoch FROM clock_timestamp())::float8::text")
    skew_s = abs(float(theirs) - SystemClock().now().timestamp())
    ok = skew_s <= CLOCK_SKEW_MAX_S
    return Finding(
        "clock", ok=ok, seen=f"{skew_s:.1f} s from the database's", remedy="" if ok else "synchronise both clocks"
    )


def _schema(url: str) -> Finding:
    try:
        state = runner.inspect(url)
    except runner.MigrationError as error:
        return Finding("schema", ok=False, seen=str(error), remedy="this program is not whole: install it again")
    if state.wrong:
        return Finding("schema", ok=False, seen="; ".join(state.wrong), remedy="run the release that fits the database")
    if state.pending:
        return Finding(
            "schema", ok=False, seen=f"to be applied: {', '.join(state.pending)}", remedy="run tallystick migrate"
        )
    return Finding(
        "schema", ok=True, seen=f"migrated to {state.applied[-1]}" if state.applied else "there are no migrations"
    )


def _history(connection: psycopg.Connection[TupleRow]) -> Finding:
    """The serving role may read events and nothing else: not as superuser, not as owner, not by a right."""
    rights = _rights(connection, (_APPEND, *_FORBIDDEN))
    owns = "SELECT pg_has_role(relowner, 'MEMBER')::text FROM pg_class WHERE oid = 'events'::regclass"
    if _one(connection, owns) == "true":
        rights.append("everything, as its owner")
    role = connection.info.user
    if rights:
        remedy = "serve as another role: DATABASE_URL for serving, DATABASE_OWNER_URL for migrating"
        return Finding("history", ok=False, seen=f"{role} may do to events: {', '.join(rights)}", remedy=remedy)
    return Finding("history", ok=True, seen=f"{role} can neither append nor change events")


def _writing_findings(connection: psycopg.Connection[TupleRow], url: str) -> Iterator[Finding]:
    """The writer's role may append events and not change them."""
    assert url
    if connection.execute("SELECT to_regclass('events') IS NOT NULL").fetchone() != (True,):
        return
    role, rights = connection.info.user, _rights(connection, _FORBIDDEN)
    if not _rights(connection, (_APPEND,)):
        remedy = "name a role that may: DATABASE_WRITER_URL, and run tallystick migrate"
        yield Finding("writing role", ok=False, seen=f"{role} may not append to the log", remedy=remedy)
    elif rights:
        remedy = "write as another role than the one that migrates: DATABASE_WRITER_URL"
        yield Finding("writing role", ok=False, seen=f"{role} may do to events: {', '.join(rights)}", remedy=remedy)
    else:
        yield Finding("writing role", ok=True, seen=f"{role} can append events and cannot change them")


def _rights(connection: psycopg.Connection[TupleRow], among: tuple[str, ...]) -> list[str]:
    query = "SELECT has_table_privilege('events', %s)::text"
    return [right for right in among if _one(connection, query, right) == "true"]


def _writer(settings: Settings, found: list[Finding]) -> Finding:
    """The writer's process answers; without it, commands write for themselves where their role may, and none serves."""
    reason = unavailable(settings)
    if reason is None:
        return Finding("writer", ok=True, seen=f"answers at {settings.writer_path}")
    alone = reason.startswith(NO_WRITER) and any(one.name == "writing role" and one.ok for one in found)
    if alone:
        return Finding("writer", ok=True, seen=f"{reason}; commands append by themselves, serve and work cannot")
    return Finding("writer", ok=False, seen=reason, remedy="start tallystick write, of this release")


def _one(connection: psycopg.Connection[TupleRow], query: str, *parameters: str) -> str:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    assert row is not None
    return str(row[0])


def _redis(url: str) -> Finding:
    try:
        client = redis.Redis.from_url(url, socket_timeout=CONNECT_TIMEOUT_S)  # pyright: ignore[reportUnknownMemberType]  # untyped there
        client.ping()  # pyright: ignore[reportUnknownMemberType]  # untyped there
        client.close()
    except redis.RedisError as error:
        return Finding("redis", ok=False, seen=str(error), remedy=f"is {_place(url)} there, and the address right?")
    return Finding("redis", ok=True, seen=f"answers at {_place(url)}")


def _place(url: str) -> str:
    """An address without user and password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.hostname and parts.port else parts.hostname or parts.path
