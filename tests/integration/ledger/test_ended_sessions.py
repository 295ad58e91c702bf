"""The database ends the session of a writer that stood still under the lock: nothing of its batch is to blame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from ledger import errors
from ledger.store import statements as sql
from ledger.store.connection import WriterStore
from ledger.writer.requests import (
    Append,
    EventRow,
    Head,
    ReadAccountStream,
    ReadMore,
    ReadRefusals,
    ReadUnderLock,
    Reconnect,
    WriterRequest,
)
from tallystick.clock import SystemClock
from tests.support.servers import Database

LONG_S = 60.0
UNDER_LOCK = ReadUnderLock(keys=[], accounts={}, holds={}, streams=[], head_hash=b"")
EVENT = EventRow(uuid4(), 1, "simulation.noted.v1", b"{}", 1, None, bytes(32))
NOTED = Append(Head(1, bytes(32), SystemClock().now()), 0, events=[EVENT])


@pytest.fixture
def store(database: Database) -> Iterator[WriterStore]:
    found = WriterStore(database.writer_url, SystemClock(), time.sleep)
    yield found
    found.close()


@pytest.mark.parametrize(
    "asked",
    [
        ReadAccountStream(uuid4(), 0, 10),
        ReadMore(grants=[(uuid4(), uuid4())], budgets=[], usage=[]),
        ReadRefusals([uuid4()], SystemClock().now().date(), uuid4()),
        NOTED,
    ],
    ids=lambda asked: type(asked).__name__,
)
def test_a_writer_that_stood_still_under_the_lock_has_lost_its_connection(
    asked: WriterRequest, store: WriterStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sql, "SESSION", sql.SESSION.replace(" transaction_timeout=5s", " transaction_timeout=1s"))
        with pytest.raises(errors.ConnectionLost):
            stand_still_before(asked, store, database)
    store.answer(Reconnect(0))
    assert store.answer(UNDER_LOCK).head.position == 0, "on another connection it goes on"


def test_a_writer_of_a_server_that_became_a_standby_has_lost_its_connection(
    store: WriterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "SESSION", f"{sql.SESSION} -c default_transaction_read_only=on")
    store.answer(UNDER_LOCK)
    with pytest.raises(errors.ConnectionLost):
        store.answer(NOTED)


def stand_still_before(asked: WriterRequest, store: WriterStore, database: Database) -> None:
    """Take the lock, which on a busy machine may be late already, and ask when the session has been ended."""
    store.answer(UNDER_LOCK)
    until_gone(store, database)
    store.answer(asked)


def until_gone(store: WriterStore, database: Database) -> None:
    """Wait until the server has ended the writer's session."""
    assert store._connection is not None
    pid, deadline = store._connection.info.backend_pid, time.monotonic() + LONG_S
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        while connection.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is not None:
            assert time.monotonic() < deadline, "the session was not ended"
            time.sleep(0.02)
