"""The connections that the program serves with."""

from __future__ import annotations

from psycopg.pq import TransactionStatus

from tallystick.wiring import open_pool
from tests.support.servers import Database


def test_a_session_that_stands_still_in_a_transaction_is_ended_by_the_server(database: Database) -> None:
    with open_pool(database.serving_url, 1) as pool, pool.connection() as connection:
        assert connection.info.transaction_status is TransactionStatus.IDLE and not connection.autocommit
        row = connection.execute("SELECT current_setting('idle_in_transaction_session_timeout')").fetchone()
    assert row == ("30s",)
