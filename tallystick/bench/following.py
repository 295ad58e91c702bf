"""The statement follower beside the writer, and its rebuild alone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver, FollowerThread, catch_up
from ledger.follower import register
from projections.rebuild import empty
from projections.statement import NAME, StatementFollower
from tallystick.bench.processes import CONTEXT
from tallystick.listening import LogListener
from tallystick.tuning import tune_process

_SAMPLE_S = 0.1
_LAG = """
SELECT coalesce((SELECT extract(EPOCH FROM clock_timestamp() - e.recorded_at)
                 FROM events AS e WHERE e.notification_id = f.position + 1), 0)::float8
FROM followers AS f WHERE f.name = %s
"""


@contextlib.contextmanager
def following(url: str) -> Generator[None]:
    """Run the statement follower in a process of its own while the block does."""
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_follow, args=(url, theirs))
    process.start()
    try:
        ours.recv()
        yield
    finally:
        ours.send(None)
        process.join()


def lag_s(url: str, futures: list[Future[Any]]) -> float:
    """The longest that an event waited for the follower, looked at ten times a second until the load is over."""
    worst_s = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        while not all(future.done() for future in futures):
            row = connection.execute(_LAG, [NAME]).fetchone()
            worst_s = max(worst_s, row[0] if row else 0.0)
            time.sleep(_SAMPLE_S)
    return worst_s


def rebuild_events_per_s(url: str) -> float:
    """Empty the read model and fold the whole log again."""
    follower = StatementFollower()
    with ConnectionPool[Any](url, min_size=1, max_size=1, open=True) as pool:
        driver = Driver(pool)
        driver.drive(register(follower))
        driver.drive(empty(follower))
        start = time.perf_counter()
        catch_up(driver, [follower])
        seconds = time.perf_counter() - start
        with pool.connection() as connection:
            row = connection.execute("SELECT position FROM log_head").fetchone()
    assert row is not None
    return row[0] / seconds


def _follow(url: str, control: Connection) -> None:
    """The follower's process: as the product runs it, woken by what the writer appends, until told to end."""
    tune_process()
    with ConnectionPool[Any](url, min_size=1, max_size=1, open=True) as pool:
        driver, followers = Driver(pool), [StatementFollower()]
        catch_up(driver, followers)  # what is there already is no lag behind the load
        thread = FollowerThread(driver, followers)
        listener = LogListener(url, [thread.wake])
        thread.start()
        listener.start()
        control.send(True)  # noqa: FBT003  any value says that it is there
        with contextlib.suppress(EOFError):
            control.recv()
        listener.stop()
        thread.stop()
