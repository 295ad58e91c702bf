"""Drives the cores of jobs on threads: rows, the ledger, time. A transaction holds a connection, a core does not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from ledger.errors import ConnectionLost, LedgerError
from ledger.lost import is_lost
from ledger.ports import Clock, Ledger
from ledger.sansio import Commit, Row, Run, RunMany, Sleep, Statement, Submit, Wake
from workers.errors import StoreUnavailable
from workers.generation.asking import HoldOf, Now, Stream

T = TypeVar("T")
WakeUp = Callable[[str, str], None]
_CONNECTION_LIMIT_S = 10.0


class Rows:
    """Statements of one transaction after another, on whatever connection of the pool is free.

    Every failure of the connection is ``ConnectionLost``: whether a commit took effect is then not known. Whatever
    fails, the transaction is over and the connection is let go.
    """

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._connection: psycopg.Connection[Any] | None = None

    def run(self, statement: Statement, params: Mapping[str, Any]) -> list[Row]:
        """Run a statement in the open transaction, or begin one."""
        with self._letting_go():
            cursor = self._open().cursor(row_factory=dict_row).execute(statement.sql.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a statement once per row."""
        for row in rows:
            self.run(statement, row)

    def commit(self) -> None:
        """Commit, and let the connection go."""
        if self._connection is None:
            return
        with self._letting_go():
            self._connection.commit()
        self.give_back()

    def give_back(self) -> None:
        """Let the connection go; the pool rolls back what is open and drops what is broken."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.putconn(connection)

    @contextmanager
    def _letting_go(self) -> Generator[None]:
        try:
            yield
        except Exception as error:
            lost = is_lost(error, self._connection)
            if lost:
                self._close()  # what is asked next is asked of a new one, of another server perhaps
            self.give_back()
            if lost:
                raise ConnectionLost(str(error)) from error
            raise

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _open(self) -> psycopg.Connection[Any]:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._pool.getconn(timeout=_CONNECTION_LIMIT_S)
        return connection


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What cores are driven on. ``wake`` passes a hint on (topic, payload) and must not raise."""

    pool: ConnectionPool[Any]
    ledger: Ledger
    clock: Clock
    wake: WakeUp
    sleep: Callable[[float], None]


class CoreDriver:
    """Answers what every core asks for; a driver with a node or a store answers more."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._rows = Rows(around.pool)

    def drive(self, core: Generator[Any, Any, T]) -> T:
        """Run a core to its end. What the ledger, the database or a store cannot do is raised inside it first."""
        try:
            return self._drive(core)
        finally:
            self._rows.give_back()

    def _drive(self, core: Generator[Any, Any, T]) -> T:
        try:
            effect = next(core)
            while True:
                try:
                    told = self.answer(effect)
                except (LedgerError, StoreUnavailable) as error:
                    effect = core.throw(error)
                else:
                    effect = core.send(told)
        except StopIteration as end:
            return end.value

    def answer(self, effect: Any) -> Any:
        """Answer one effect."""
        match effect:
            case Run(statement, params):
                return self._rows.run(statement, params)
            case RunMany(statement, rows):
                return self._rows.run_many(statement, rows)
            case Commit():
                return self._rows.commit()
            case Wake(topic, payload):
                return self._around.wake(topic, payload)
            case Sleep(seconds):
                return self._around.sleep(seconds)
            case _:
                return self._ask_ledger(effect)

    def _ask_ledger(self, effect: Any) -> Any:
        if isinstance(effect, Submit):
            return self._around.ledger.submit(effect.request)
        try:
            return self._read(effect)
        except psycopg.Error as error:
            if not is_lost(error):
                raise
            raise ConnectionLost(str(error)) from error

    def _read(self, effect: Any) -> Any:
        match effect:
            case Stream(stream_id):
                return self._around.ledger.stream(stream_id)
            case HoldOf(hold_id):
                return self._around.ledger.hold(hold_id)
            case Now():
                return self._around.clock.now()
            case _:
                message = f"no answer to {effect!r}"
                raise TypeError(message)
