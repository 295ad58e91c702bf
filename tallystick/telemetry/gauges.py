"""What only the database knows: followers' lag, queues, nodes. Read when somebody asks, at most every few seconds."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from ledger.sansio import Row, Statement
from tallystick.telemetry import statements
from tallystick.telemetry.core import Reading, Telemetry

_log = logging.getLogger(__name__)
_FRESH_S = 2.0
_POOL_WAIT_S = 1.0
_FORGET_EVERY_S = 600.0
TRACES_KEPT = 1_000_000
"""Positions of the log, counted from its end, whose traces are kept."""


class DatabaseGauges:
    """Rows behind the gauges. A database that is away leaves them out: no value is better than an old one."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._lock = Lock()
        self._kept: dict[str, tuple[float, list[Row]]] = {}

    def rows(self, statement: Statement) -> list[Row]:
        """What a statement gives, a moment old at most."""
        with self._lock:
            read_at, rows = self._kept.get(statement.name, (float("-inf"), []))
            if time.monotonic() - read_at >= _FRESH_S:
                rows = self._read(statement)
                self._kept[statement.name] = (time.monotonic(), rows)
            return rows

    def _read(self, statement: Statement) -> list[Row]:
        try:
            with self._pool.connection(timeout=_POOL_WAIT_S) as connection:
                return connection.cursor(row_factory=dict_row).execute(statement.sql.encode()).fetchall()
        except psycopg.Error as error:
            _log.warning("gauges are left out: %s", error)
            return []


def add_database_gauges(telemetry: Telemetry, pool: ConnectionPool[Any]) -> None:
    """Show followers, queues and nodes in this process's metrics."""
    if not telemetry.measuring:
        return
    gauges = DatabaseGauges(pool)

    def of(statement: Statement, value: str, *labels: str) -> Callable[[], Sequence[Reading]]:
        def read() -> Sequence[Reading]:
            return [(float(row[value]), {label: row[label] for label in labels}) for row in gauges.rows(statement)]

        return read

    telemetry.gauge(
        "tallystick.follower.lag",
        "{event}",
        "events that a follower is behind",
        of(statements.FOLLOWERS, "lag", "name"),
    )
    telemetry.gauge(
        "tallystick.follower.parked",
        "1",
        "1 where an event that could not be folded stopped it",
        of(statements.FOLLOWERS, "parked", "name"),
    )
    telemetry.gauge(
        "tallystick.queue.depth", "{job}", "jobs that wait for a node", of(statements.QUEUES, "depth", "gpu_class")
    )
    telemetry.gauge(
        "tallystick.queue.oldest.wait",
        "s",
        "time that the oldest of them has waited",
        of(statements.QUEUES, "oldest_wait_s", "gpu_class"),
    )
    telemetry.gauge("tallystick.nodes", "{node}", "nodes by state", of(statements.NODES, "nodes", "gpu_class", "state"))


class TraceSweeper:
    """Keeps the table of traces bounded, from a thread, where this process writes traces."""

    def __init__(self, telemetry: Telemetry, pool: ConnectionPool[Any]) -> None:
        self._pool = pool
        self._stopping = Event()
        self._thread = Thread(target=self._work, name="traces", daemon=True) if telemetry.tracing else None

    def start(self) -> None:
        """Begin."""
        if self._thread is not None:
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout=_POOL_WAIT_S)

    def _work(self) -> None:
        while not self._stopping.wait(_FORGET_EVERY_S):
            try:
                forget_traces(self._pool)
            except psycopg.Error as error:
                _log.warning("old traces stay for now: %s", error)


def forget_traces(pool: ConnectionPool[Any], kept: int = TRACES_KEPT) -> int:
    """Delete traces of events far behind the log's end; how many."""
    with pool.connection() as connection:
        return connection.execute(statements.FORGET_TRACES.sql.encode(), {"kept": kept}).rowcount
