"""The database ends a session on which a job's transaction stood still: for the job, its connection is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.errors import ConnectionLost
from ledger.sansio import Statement
from tests.support.servers import Database
from workers.driving import Rows

PID = Statement("pid", "SELECT pg_backend_pid() AS pid, set_config('idle_in_transaction_session_timeout', '1ms', TRUE)")
ONE = Statement("one", "SELECT 1 AS one")
LONG_S = 60.0


@pytest.mark.parametrize("go_on", [lambda rows: rows.run(ONE, {}), lambda rows: rows.commit()], ids=["run", "commit"])
def test_a_session_that_a_time_limit_ended_is_a_lost_connection(
    go_on: Callable[[Rows], Any], database: Database, pool: ConnectionPool[Any]
) -> None:
    rows = Rows(pool)
    ended = rows.run(PID, {})[0]["pid"]
    until_gone(database, ended)
    with pytest.raises(ConnectionLost):
        go_on(rows)
    assert rows.run(ONE, {}) == [{"one": 1}], "on another connection it goes on"
    rows.commit()


def test_a_failed_statement_keeps_no_connection(pool: ConnectionPool[Any]) -> None:
    rows = Rows(pool)
    for _ in range(2 * pool.max_size):
        with pytest.raises(psycopg.errors.UndefinedTable):
            rows.run(Statement("wrong", "SELECT FROM what_is_not_there"), {})
        rows = Rows(pool)
    assert rows.run(ONE, {}) == [{"one": 1}]
    rows.commit()


def test_a_server_that_may_not_write_is_a_lost_connection(pool: ConnectionPool[Any]) -> None:
    rows = Rows(pool)
    rows.run(Statement("standby", "SET TRANSACTION READ ONLY"), {})
    with pytest.raises(ConnectionLost):
        rows.run(Statement("write", "DELETE FROM job_inputs WHERE FALSE"), {})


def until_gone(database: Database, pid: int) -> None:
    """Wait until the server has ended a session."""
    deadline = time.monotonic() + LONG_S
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        while connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None:
            assert time.monotonic() < deadline, "the session was not ended"
            time.sleep(0.02)
