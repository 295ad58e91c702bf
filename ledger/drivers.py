"""Drivers: answer the requests of sans-I/O cores from PostgreSQL, and run followers on threads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from threading import Event, Thread
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import BaseRowFactory, args_row, dict_row
from psycopg_pool import ConnectionPool

from ledger.errors import LedgerError
from ledger.follower import FoldError, Follower, follow_once, next_position, park, register
from ledger.limits import FOLLOWER_BATCH_MAX
from ledger.ports import LedgerWriter
from ledger.sansio import Commit, Copy, Core, Effect, Run, RunMany, Sleep, Statement, Submit, Table, Wake

_log = logging.getLogger(__name__)
T = TypeVar("T")
Connection = psycopg.Connection[Any]
WakeUp = Callable[[str, str], None]
_POLL_S = 1.0
_RETRY_S = 0.5
_PASSING = (psycopg.Error, LedgerError, OSError, MemoryError)
"""Errors of the database, the network or the machine: what was tried is tried again."""
_OF_CONTENT = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""But what the database refuses for its content it refuses again."""
_GATHER_S = 0.05
"""Between batches under load: a batch costs nearly the same for ten events as for a hundred."""


def fetch(connection: Connection, statement: Statement, params: Mapping[str, Any]) -> list[Any]:
    """Run a statement in the open transaction, or begin one; its rows, if it has any. In binary, which costs least."""
    rows: BaseRowFactory[Any] = dict_row if statement.row is None else args_row(statement.row)
    cursor = connection.cursor(binary=True, row_factory=rows).execute(statement.sql.encode(), params)
    return cursor.fetchall() if cursor.description else []


class Driver:
    """Runs cores. ``wake`` passes a hint on (topic, payload) and must not raise; ``sleep`` waits seconds."""

    def __init__(
        self,
        pool: ConnectionPool[Any],
        *,
        ledger: LedgerWriter | None = None,
        wake: WakeUp = lambda _topic, _payload: None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._wake = wake
        self._sleep = sleep

    def drive(self, core: Core[T]) -> T:
        """Run a core to its end; an error of the database or the ledger is raised inside it first.

        An open transaction is rolled back when the core ends without ``Commit`` or fails.
        """
        with self._pool.connection() as connection:
            try:
                return self._run(core, connection)
            finally:
                connection.rollback()

    def _run(self, core: Core[T], connection: Connection) -> T:
        hints: list[Callable[[], None]] = []
        try:
            effect = next(core)
            while True:
                try:
                    told = self._answer(effect, connection, hints)
                except (psycopg.Error, LedgerError) as error:
                    effect = core.throw(error)
                else:
                    effect = core.send(told)
        except StopIteration as end:
            return end.value

    def _answer(self, effect: Effect, connection: Connection, hints: list[Callable[[], None]]) -> Any:
        match effect:
            case Run(statement, params):
                return fetch(connection, statement, params)
            case RunMany(statement, rows):
                if rows:
                    connection.cursor().executemany(statement.sql.encode(), rows)
                return None
            case Copy(table, rows):
                return _copy(connection, table, rows)
            case Commit():
                connection.commit()
                return _send(hints)
            case Submit(request):
                assert self._ledger is not None, "this driver has no ledger"
                return self._ledger.submit(request)
            case Sleep(seconds):
                assert self._sleep is not None, "this driver cannot sleep"
                return self._sleep(seconds)
            case Wake(topic, payload):
                context = copy_context()  # of whoever asked, so that a trace goes on
                hints.append(lambda: context.run(self._wake, topic, payload))
                return None if _in_transaction(connection) else _send(hints)


def _copy(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    text = f"COPY {table.name} ({', '.join(table.columns)}) FROM STDIN (FORMAT BINARY)"
    with connection.cursor().copy(text.encode()) as copy:
        copy.set_types([*table.columns.values()])
        for row in rows:
            copy.write_row(row)


def _in_transaction(connection: Connection) -> bool:
    return connection.info.transaction_status is not TransactionStatus.IDLE


def _send(hints: list[Callable[[], None]]) -> None:
    """Pass hints on once what they are about can be seen; an earlier one would find nothing."""
    while hints:
        hints.pop(0)()


class FollowerThread:
    """Runs some followers until stopped: on a wake-up, and every second behind it.

    The first event after a rest is folded at once; what comes behind it waits until there is more of it.
    """

    def __init__(self, driver: Driver, followers: Sequence[Follower]) -> None:
        self._driver = driver
        self._followers = followers
        self._stopping = Event()
        self._woken = Event()
        self._thread = Thread(target=self._work, name="followers", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    def stop(self) -> None:
        """Finish the batch in hand and end."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout=10.0)

    def _work(self) -> None:
        registered: set[str] = set()
        while not self._stopping.is_set():
            most = max(self._advance(follower, registered) for follower in self._followers)
            if not most:
                self._woken.wait(_POLL_S)
                self._woken.clear()
            elif most < FOLLOWER_BATCH_MAX:
                self._stopping.wait(_GATHER_S)

    def _advance(self, follower: Follower, registered: set[str]) -> int:
        """One batch of one follower; what hinders it does not hinder the others, and is tried again if it may pass."""
        try:
            if follower.name not in registered:
                self._driver.drive(register(follower))
                registered.add(follower.name)
            return advance(self._driver, follower)
        except Exception:  # noqa: BLE001  told loudly, tried again, and the lag is measured
            _log.exception("follower %s cannot go on; trying again", follower.name)
            self._stopping.wait(_RETRY_S)
            return 0


def advance(driver: Driver, follower: Follower) -> int:
    """Fold one batch; the number of events. An event that cannot be folded parks the follower, loudly.

    Raises only what may pass: errors of the database, the network or the machine.
    """
    try:
        return driver.drive(follow_once(follower))
    except Exception as error:
        if _may_pass(error):
            raise
        return _up_to_the_fault(driver, follower)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, _PASSING) and not isinstance(error, _OF_CONTENT)


def _up_to_the_fault(driver: Driver, follower: Follower) -> int:
    """Fold event by event until one cannot be folded, which parks the follower; how many were folded.

    None may be such: another process may have done it, or only the batch as a whole was too much.
    """
    for folded in range(FOLLOWER_BATCH_MAX):
        position = driver.drive(next_position(follower))
        try:
            if not driver.drive(follow_once(follower, limit=1)):
                return folded
        except Exception as error:
            if _may_pass(error):
                raise
            _park(driver, follower, position, error)
            return folded
    return FOLLOWER_BATCH_MAX


def _park(driver: Driver, follower: Follower, position: int, error: Exception) -> None:
    """Stop a follower at an event; a fault of ours is told with where it came from, and without the rows it was in."""
    if not isinstance(error, FoldError):
        _log.error("follower %s has a fault", follower.name, exc_info=error)
        first_line = str(error).partition("\n")[0]
        error = FoldError(position, f"{type(error).__name__}: {first_line}")
    _log.critical("follower %s is parked at event %d: %s", follower.name, error.position, error.reason)
    driver.drive(park(follower, position, str(error)))


def catch_up(driver: Driver, followers: Sequence[Follower]) -> None:
    """Fold all there is, now; for tests, rebuilds and commands that answer from projections."""
    for follower in followers:
        driver.drive(register(follower))
    while any(advance(driver, follower) for follower in followers):
        continue
