"""A follower that cannot go on stands still by itself, told where and why; what may pass parks nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.codec import RecordedEvent
from ledger.drivers import Driver, FollowerThread, advance, catch_up
from ledger.errors import LedgerError
from ledger.follower import Fold, FoldError
from ledger.sansio import Copy, Run, RunMany, Statement, Table
from ledger.store.postgres import PostgresLedger
from tests.support.ledger import open_account
from tests.support.servers import Database

SEEN = Statement("seen", "INSERT INTO seen (position, amount) VALUES (%(position)s, %(amount)s)")
ROWS = Table("seen", {"position": "bigint", "amount": "bigint"})
CAST = Statement("cast", "SELECT CAST(%(amount)s AS numeric)::bigint AS amount")
TOO_MUCH = 2**63


@pytest.fixture
def driver(database: Database, pool: ConnectionPool) -> Driver:
    """A driver, with a table to write to."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("CREATE TABLE seen (position bigint PRIMARY KEY, amount bigint CHECK (amount > 0))")
        connection.execute("GRANT ALL ON seen TO public")
    return Driver(pool)


class Summer:
    """Writes one row an event; at ``bad`` something goes wrong in a way of its own."""

    name = "summer"

    def __init__(self, way: str, bad: int = 3) -> None:
        self.way = way
        self.bad = bad

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        for event in events:
            if event.position == self.bad:
                yield from self._fail(event.position)
        yield RunMany(SEEN, [{"position": event.position, "amount": 1} for event in events])

    def _fail(self, position: int) -> Fold:
        match self.way:
            case "too long to copy":
                yield Copy(ROWS, [(position, TOO_MUCH)])
            case "out of range":
                yield Run(CAST, {"amount": TOO_MUCH})
            case "against a rule":
                yield Run(SEEN, {"position": position, "amount": 0})
            case "older schema":
                yield Run(Statement("older", "SELECT not_yet FROM seen"), {})
            case _:
                raise RAISED[self.way]


RAISED: dict[str, Exception] = {
    "unreadable": FoldError(3, "cannot be read"),
    "fault": ZeroDivisionError("of nothing"),
    "assertion": AssertionError(),
    "network": ConnectionResetError(),
    "memory": MemoryError(),
    "ledger": LedgerError(),
    "database": psycopg.OperationalError("away"),
}


def standing(database: Database) -> tuple[int, str | None, list[int]]:
    """Where the follower stands, why it is parked, and what it has written."""
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute("SELECT position, parked_reason FROM followers WHERE name = 'summer'").fetchone()
        rows = connection.execute("SELECT position FROM seen ORDER BY position").fetchall()
    position, reason = found or (0, None)
    return position, reason, [row[0] for row in rows]


OURS = {
    "unreadable": "event 3: cannot be read",
    "too long to copy": "event 3: OverflowError: ",
    "fault": "event 3: ZeroDivisionError: of nothing",
    "assertion": "event 3: AssertionError: ",
    "out of range": "event 3: NumericValueOutOfRange: bigint out of range",
    "against a rule": 'event 3: CheckViolation: new row for relation "seen" violates check constraint',
}


@pytest.mark.parametrize("way", OURS)
def test_what_would_fail_again_parks_the_follower_behind_all_that_it_could_fold(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    open_account(postgres_ledger, credit=1)
    open_account(postgres_ledger, credit=1)
    catch_up(driver, [Summer(way)])
    position, reason, rows = standing(database)
    assert (position, rows) == (2, [1, 2])
    assert reason is not None and reason.startswith(OURS[way]) and "\n" not in reason
    told = [one for one in caplog.records if one.levelno == logging.CRITICAL]
    assert [one.getMessage() for one in told] == [f"follower summer is parked at {reason}"]
    assert advance(driver, Summer("never", bad=0)) == 0, "parked until somebody looks"
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE followers SET parked_reason = NULL")
    catch_up(driver, [Summer("never", bad=0)])
    assert standing(database) == (4, None, [1, 2, 3, 4])


@pytest.mark.parametrize("way", ["network", "memory", "ledger", "database", "older schema"])
def test_what_may_pass_is_raised_and_parks_nobody(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger, way: str
) -> None:
    open_account(postgres_ledger, credit=1)
    open_account(postgres_ledger, credit=1)
    with pytest.raises((psycopg.Error, LedgerError, OSError, MemoryError)):
        catch_up(driver, [Summer(way)])
    assert standing(database) == (0, None, [])
    catch_up(driver, [Summer("never", bad=0)])
    assert standing(database) == (4, None, [1, 2, 3, 4])


class Fussy(Summer):
    """Cannot take more than one event at once."""

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        if len(events) > 1:
            raise ValueError(len(events))
        yield from super().fold(events)


def test_what_only_a_batch_is_too_much_for_is_folded_event_by_event(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    open_account(postgres_ledger, credit=1)
    open_account(postgres_ledger, credit=1)
    catch_up(driver, [Fussy("never", bad=0)])
    assert standing(database) == (4, None, [1, 2, 3, 4])


def test_a_follower_that_another_process_has_taken_further_is_not_parked(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_account(postgres_ledger, credit=1)
    open_account(postgres_ledger, credit=1)
    drive = driver.drive

    def raced(core: object) -> object:
        if getattr(core, "__name__", "") == "park":
            catch_up(Driver(driver._pool), [Summer("never", bad=0)])
        return drive(core)  # type: ignore[arg-type]

    monkeypatch.setattr(driver, "drive", raced)
    catch_up(driver, [Summer("fault")])
    assert standing(database) == (4, None, [1, 2, 3, 4])


class Other(Summer):
    """Another follower, which writes positions of its own."""

    name = "other"

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        yield RunMany(SEEN, [{"position": 100 + event.position, "amount": 1} for event in events])


def test_a_thread_parks_one_follower_and_goes_on_with_the_others(
    database: Database, driver: Driver, postgres_ledger: PostgresLedger
) -> None:
    open_account(postgres_ledger, credit=1)
    thread = FollowerThread(driver, [Summer("fault", bad=2), Other("never")])
    thread.start()
    deadline = time.monotonic() + 60
    wanted = (1, "event 2: ZeroDivisionError: of nothing", [1, 101, 102])
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if standing(database) == wanted:
            break
    thread.stop()
    assert standing(database) == wanted
