"""The twin of the database and real PostgreSQL, question by question over the same random histories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from ledger import errors, limits
from ledger.domain.account import decode_grant, decode_parts, encode_parts
from ledger.drivers import Driver
from ledger.follower import follow_once, register
from ledger.store.connection import WriterStore
from ledger.store.memory import MemoryDatabase
from ledger.writer.requests import (
    CLOCK_ALONE,
    Append,
    EventRow,
    More,
    ReadUnderLock,
    Rollback,
    UnderLock,
    VerdictRow,
    WriterRequest,
)
from simulation.clocks import SimulatedClock
from simulation.followers.crew import Crew, drive
from simulation.ledger import runs
from simulation.ledger.server import FOREIGN, FOREIGN_STATE, Server
from simulation.ledger.writers import Writer
from tests.support.servers import Database

STEPS = 250
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_AGES_S = 100 * 365 * 86_400.0


class ComparedServer(Server):
    """Asks PostgreSQL the same as the twin, each writer on a connection of its own, and lets nothing differ."""

    def __init__(self, database: Database) -> None:
        super().__init__(SimulatedClock())
        self._conninfo = database.writer_url
        self._owner_url = database.owner_url
        self._stores: dict[int, WriterStore] = {}
        self.compared = 0

    def _ask(self, writer: Writer, asked: WriterRequest) -> Any:
        return self._compared(answer_of(self._store(writer).answer, asked), asked)

    def _look(self, writer: Writer, asked: WriterRequest) -> Any:
        return self._compared(answer_of(self._store(writer).look, asked), asked)

    def _store(self, writer: Writer) -> WriterStore:
        return self._stores.setdefault(writer.number, WriterStore(self._conninfo, self.clock, lambda _: None))

    def _compared(self, said: Any, asked: WriterRequest) -> Any:
        meant = answer_of(self.database.answer, asked)
        assert asked == CLOCK_ALONE or timeless(said) == timeless(meant), asked
        self.compared += 1
        if isinstance(meant, errors.LedgerError):
            raise meant
        return meant

    def make_foreign(self, account_id: UUID) -> None:
        """See ``Server``; in both."""
        super().make_foreign(account_id)
        with psycopg.connect(self._owner_url) as connection:
            connection.execute(
                "UPDATE account_states SET format = %s, state = %s WHERE account_id = %s",
                (FOREIGN, FOREIGN_STATE, account_id),
            )

    def crowd(self, account_id: UUID, day: date, kept: int) -> None:
        """See ``Server``; in both."""
        super().crowd(account_id, day, kept)
        with psycopg.connect(self._owner_url) as connection:
            connection.execute(
                "INSERT INTO refusals_kept (account_id, day, kept) VALUES (%s, %s, %s) "
                "ON CONFLICT (account_id, day) DO UPDATE SET kept = excluded.kept",
                (account_id, day, kept),
            )

    def leave(self, writer: Writer) -> None:
        """See ``Server``; a transaction that was begun without the lock ends too."""
        super().leave(writer)
        if writer.number in self._stores:
            self._stores[writer.number].answer(Rollback())

    def close(self) -> None:
        """Give up all connections."""
        for store in self._stores.values():
            store.close()


def answer_of(answer: Callable[[WriterRequest], Any], asked: WriterRequest) -> Any:
    """What is answered, or raised."""
    try:
        return answer(asked)
    except errors.LedgerError as error:
        return error


def timeless(answer: Any) -> Any:
    """An answer without clocks, which are not the same in the two, and without order where it has none."""
    if isinstance(answer, UnderLock):
        return replace(answer, clock=_NOW, own_clock=_NOW, waited_s=0.0)
    if isinstance(answer, More):
        return replace(answer, budgets=sorted(answer.budgets, key=lambda budget: budget.budget_id))
    if isinstance(answer, float):
        return 0.0
    return type(answer) if isinstance(answer, errors.LedgerError) else answer


@pytest.fixture
def compared(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[ComparedServer]:
    monkeypatch.setattr(limits, "AHEAD_MAX_S", _AGES_S)  # the simulated clock is not the database's
    server = ComparedServer(database)
    yield server
    server.close()


@pytest.mark.parametrize("seed", range(12))
def test_the_twin_answers_as_postgresql_does(seed: int, compared: ComparedServer, database: Database) -> None:
    run = runs.play(seed, STEPS, compared)
    assert run.wrong is None
    assert compared.compared > STEPS // 10
    with psycopg.connect(database.serving_url) as connection:
        compare_tables(connection, compared.database)


def compare_tables(connection: psycopg.Connection, twin: MemoryDatabase) -> None:
    """Every row that the ledger wrote."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode()).fetchall()

    assert len(rows("SELECT FROM events")) == len(twin.events)
    assert {
        row[0].bytes: tuple(map(bytes, row[1:])) for row in rows("SELECT key_hash, digests, verdict FROM verdicts")
    } == {key: (row.digests, row.verdict) for key, row in twin.verdicts.items()}
    accounts = rows("SELECT account_id, organisation_id, version, hash, format, next_due_at FROM account_states")
    assert {row[0]: row for row in accounts} == {
        key: (key, row.organisation_id, row.version, row.hash, row.format, row.next_due_at)
        for key, row in twin.accounts.items()
    }
    holds = rows("SELECT hold_id, state, committed_ucr, remaining_ucr, resolved_at, slices FROM holds")
    assert {row[0]: (*row[:5], decode_parts(row[5])) for row in holds} == {
        key: (key, one.state, one.committed_ucr, one.remaining_ucr, one.resolved_at, parts_of(one))
        for key, one in twin.holds.items()
    }
    grants = rows("SELECT account_id, grant_id, state FROM grants")
    assert {(row[0], row[1]): decode_grant(row[2]) for row in grants} == twin.grants
    assert set(rows("SELECT account_id, day, kept FROM refusals_kept")) == {
        (*key, kept) for key, kept in twin.refusals.items()
    }
    used = rows("SELECT budget_id, window_start, used_ucr FROM budget_usage")
    assert {(row[0], row[1].astimezone(UTC)): row[2] for row in used} == {
        (use.budget_id, use.window_start): used for use, used in twin.usage.items()
    }


@pytest.mark.parametrize("seed", range(20, 24))
def test_followers_write_the_same_rows_into_the_twin_and_into_postgresql(
    seed: int, compared: ComparedServer, database: Database, pool: ConnectionPool[Any]
) -> None:
    assert runs.play(seed, STEPS, compared).wrong is None
    crew = Crew(compared.database)
    with psycopg.connect(database.serving_url) as connection:
        rows = connection.execute("SELECT key_hash, position FROM verdicts").fetchall()
        crew.shared.answered = {row[0].bytes: row[1] for row in rows}
        for follower in crew.followers:
            Driver(pool).drive(register(follower))
            while Driver(pool).drive(follow_once(follower, 7)):
                assert drive(crew.shared, follow_once(follower, 7))
            for table in getattr(follower, "tables"):  # noqa: B009  read models have them
                assert stored(connection, table) == folded(crew, table), table
    assert all(crew.shared.tables[name] for name in ("statement_lines", "book_legs", "merkle_nodes"))


def stored(connection: psycopg.Connection, table: str) -> list[Any]:
    """Rows of a table as PostgreSQL has them."""
    cursor = connection.cursor(row_factory=dict_row)
    cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
    return plain(cursor.fetchall())


def folded(crew: Crew, table: str) -> list[Any]:
    """The same as the twin has them."""
    return plain(crew.shared.tables.get(table, {}).values())


def plain(rows: Iterable[dict[str, Any]]) -> list[Any]:
    """Rows without order, and with times and ids in words, as they went in."""
    words = [{name: _word(value) for name, value in sorted(row.items()) if name != "only_row"} for row in rows]
    return sorted(words, key=str)


def _word(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    if isinstance(value, Decimal):
        return int(value)
    if isinstance(value, str) and value[10:11] == "T":
        return datetime.fromisoformat(value)
    return msgspec.to_builtins(value) if not isinstance(value, bytes | date) else str(value)


def parts_of(hold: Any) -> Any:
    """What stands in one column of a hold."""
    return decode_parts(encode_parts(hold))


def test_the_twin_refuses_what_postgresql_refuses(compared: ComparedServer) -> None:
    """A key that is taken, and a position that is taken, each alone."""
    assert runs.play(1, 60, compared).wrong is None
    twin = compared.database
    key, row = next(iter(twin.verdicts.items()))
    writer = Writer(0, memory=None, clock=compared.clock)  # type: ignore[arg-type]
    for append in (taken_key(twin, key, row), taken_position(twin)):
        compared._ask(writer, ReadUnderLock([], {}, {}, [], b""))
        with pytest.raises(errors.BatchRefused):
            compared._ask(writer, append)
        compared._stores[0].answer(Rollback())


def taken_key(twin: MemoryDatabase, key: bytes, row: Any) -> Append:
    """An append whose verdict's key is taken."""
    return Append(twin.head, twin.head.position, verdicts=[VerdictRow(key, row.digests, row.verdict, 1)])


def taken_position(twin: MemoryDatabase) -> Append:
    """An append whose position is taken."""
    event = EventRow(UUID(int=7), 1, "simulation.noted.v1", b"{}", twin.head.position, None, bytes(32))
    return Append(twin.head, twin.head.position - 1, events=[event])
