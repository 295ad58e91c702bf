"""The heart of a worker goes on beating, whatever the database says once."""

from __future__ import annotations

from collections import deque
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tallystick.clock import SystemClock
from workers.attempt import heart as hearts
from workers.attempt.heart import Heart
from workers.limits import RENEW_S

LONG_S = 60.0


class Pool:
    """Connections whose statements fail with what is in ``failures``, one each, and after that find nothing."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = deque(failures)
        self.asked: list[str] = []
        self.out = 0
        self.closed = False
        self.description = None

    def getconn(self, **_how: Any) -> Pool:
        self.out += 1
        return self

    def putconn(self, _connection: Pool) -> None:
        self.out -= 1

    def cursor(self, **_how: Any) -> Pool:
        return self

    def execute(self, sql: bytes, _params: Any) -> Pool:
        self.asked.append(sql.decode())
        if self.failures:
            raise self.failures.popleft()
        return self

    def fetchall(self) -> list[Any]:
        return []

    def commit(self) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    "failure",
    [
        psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction"),
        psycopg.errors.FeatureNotSupported("cached plan must not change result type"),
        psycopg.errors.UndefinedColumn("somebody migrates"),
        psycopg.OperationalError("the server closed the connection"),
        ValueError("a fault of ours"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_heart_beats_on_after_an_error_that_nobody_expected(
    failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearts, "HEARTBEAT_S", 0.01)
    pool = Pool(failure)
    heart = Heart(pool, SystemClock())  # pyright: ignore[reportArgumentType]
    heart.start()
    try:
        beat = heart.add(uuid4(), uuid4())
        assert beat.changed.wait(LONG_S), "nobody looks after this attempt's lease any more"
        assert beat.lost, "its row was not there"
    finally:
        heart.stop()
    assert pool.out == 0, "a connection was never given back"


def test_what_a_failed_beat_renewed_is_renewed_again_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearts, "HEARTBEAT_S", 0.01)
    pool = Pool()
    commits = iter([psycopg.OperationalError("gone before the commit")])
    monkeypatch.setattr(pool, "commit", lambda: _raise_next(commits))
    heart = Heart(pool, SystemClock())  # pyright: ignore[reportArgumentType]
    heart.start()
    try:
        assert heart.add(uuid4(), uuid4()).changed.wait(LONG_S)
    finally:
        heart.stop()
    renewals = [sql for sql in pool.asked if "lease_until" in sql]
    assert len(renewals) == 2, f"a lease that was not renewed is not tried again for {RENEW_S} s"


def _raise_next(errors: Any) -> None:
    for error in errors:
        raise error
