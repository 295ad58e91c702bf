"""Followers fold every event once, in order, whoever runs them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.codec import RecordedEvent
from ledger.drivers import Driver, FollowerThread, advance, catch_up
from ledger.follower import Fold, FoldError, follow_once, register
from ledger.sansio import Copy, Core, Run, RunMany, Statement, Table, Wake
from ledger.store.postgres import PostgresLedger
from tests.support.ledger import hold, open_account
from tests.support.servers import Database

SEEN = Statement("seen", "INSERT INTO seen (position) VALUES (%(position)s)")
COUNT = Statement("count", "SELECT count(*) AS n FROM seen")
SEEN_ROWS = Table("seen", {"position": "bigint"})
SCANS = Statement("scans", "SELECT current_setting('enable_seqscan'), 1", lambda *columns: columns)


class Notebook:
    """Writes down every position; its table has a key, so a second time would fail."""

    name = "notebook"

    def __init__(self, poison: int | None = None) -> None:
        self.poison = poison

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        for event in events:
            if event.position == self.poison:
                raise FoldError(event.position, "cannot be read")
        yield RunMany(SEEN, [{"position": event.position} for event in events])
        yield Run(COUNT, {})


@pytest.fixture
def driver(database: Database, pool: ConnectionPool) -> Driver:
    """A driver, with the notebook's table."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("CREATE TABLE seen (position bigint PRIMARY KEY)")
        connection.execute("GRANT ALL ON seen TO public")
    return Driver(pool)


def positions(database: Database) -> list[int]:
    """What the notebook has."""
    with psycopg.connect(database.owner_url) as connection:
        return [row[0] for row in connection.execute("SELECT position FROM seen ORDER BY position")]


def test_a_follower_run_by_many_folds_each_event_once(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=100)
    with ThreadPoolExecutor(6) as threads:
        writing = [threads.submit(hold, postgres_ledger, account_id, 1) for _ in range(60)]
        for _ in range(4):
            threads.submit(catch_up, driver, [Notebook()])
        for task in writing:
            task.result()
    catch_up(driver, [Notebook()])
    assert positions(database) == list(range(1, postgres_ledger.head() + 1))


def test_a_poisoned_event_parks_its_follower_and_nobody_else(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    open_account(postgres_ledger, credit=100)
    catch_up(driver, [Notebook(poison=2)])
    with psycopg.connect(database.owner_url) as connection:
        name, position, reason = connection.execute("SELECT name, position, parked_reason FROM followers").fetchall()[0]
    assert (name, position) == ("notebook", 1) and "event 2: cannot be read" in reason
    assert advance(driver, Notebook()) == 0, "parked until somebody looks"
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE followers SET parked_reason = NULL")
    catch_up(driver, [Notebook()])
    assert positions(database) == [1, 2]


class Copyist(Notebook):
    """Copies what it has seen, and asks whether its statements may read whole tables."""

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        self.scans = yield Run(SCANS, {})
        yield Copy(SEEN_ROWS, [(event.position,) for event in events])


def test_a_fold_copies_rows_and_looks_them_up_by_key_alone(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    open_account(postgres_ledger, credit=1)
    copyist = Copyist()
    catch_up(driver, [copyist])
    assert positions(database) == [1, 2]
    assert copyist.scans == [("off", 1)], "a plan made while a table was empty is kept when it is large"
    assert driver.drive(_scans()) == [("on", 1)], "for whoever has the connection next"


def _scans() -> Core[list[tuple[str, int]]]:
    return (yield Run(SCANS, {}))


class Broken(Notebook):
    """A follower with a fault of ours."""

    name = "broken"

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        yield Run(COUNT, {})
        raise ZeroDivisionError(len(events))


def test_a_follower_with_a_fault_hinders_no_other(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    thread = FollowerThread(driver, [Broken(), Notebook()])
    thread.start()
    open_account(postgres_ledger, credit=1)
    deadline = time.monotonic() + 60
    while positions(database) != [1, 2] and time.monotonic() < deadline:
        time.sleep(0.05)
    thread.stop()
    assert positions(database) == [1, 2]


def test_a_thread_follows_on_wake_up_and_without(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    thread = FollowerThread(driver, [Notebook()])
    thread.start()
    open_account(postgres_ledger, credit=1)
    thread.wake()
    deadline = time.monotonic() + 60
    while positions(database) != [1, 2] and time.monotonic() < deadline:
        time.sleep(0.05)
    thread.stop()
    assert positions(database) == [1, 2]


class Frozen(Notebook):
    """Stands still in the middle of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.thawed = Event(), Event()

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        yield Run(COUNT, {})
        self.frozen.set()
        assert self.thawed.wait(100)
        yield from super().fold(events)


def test_a_process_that_stands_still_in_a_batch_does_not_stop_its_follower_for_the_others(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_account(postgres_ledger, credit=1)
    driver.drive(register(Notebook()))
    one = Frozen()
    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr("ledger.follower.FOLLOWER_IDLE_MAX_S", 3)
        still = threads.submit(driver.drive, follow_once(one))
        assert one.frozen.wait(60)
        monkeypatch.undo()
        deadline = time.monotonic() + 60
        while not positions(database) and time.monotonic() < deadline:
            advance(driver, Notebook())
            time.sleep(0.05)
        found = positions(database)
        one.thawed.set()
        with pytest.raises(psycopg.Error):
            still.result()
    assert found == [1, 2], "everybody else passes over it"
    assert positions(database) == [1, 2]


class Crier(Notebook):
    """Says that there is something new before it is committed, as folds must."""

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        yield from super().fold(events)
        yield Wake("new", str(len(events)))


def test_a_hint_goes_out_once_what_it_is_about_can_be_seen(
    database: Database, driver: Driver, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    open_account(postgres_ledger, credit=1)
    seen: list[tuple[str, str, list[int]]] = []
    crying = Driver(pool, wake=lambda topic, payload: seen.append((topic, payload, positions(database))))
    catch_up(crying, [Crier()])
    assert seen == [("new", "2", [1, 2])]
    with pytest.raises(FoldError):
        crying.drive(_cut_off())
    assert [hint[1] for hint in seen] == ["2", "nothing"], "what is rolled back is no news"


def _cut_off() -> Core[None]:
    yield Wake("new", "nothing")
    yield Run(COUNT, {})
    yield Wake("new", "never")
    raise FoldError(1, "cut off")
