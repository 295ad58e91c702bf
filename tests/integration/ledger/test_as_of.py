"""The past on PostgreSQL: what the twin answers, however far the follower is, from few rows."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger import as_of
from ledger.domain.codec import RecordedEvent, account_event, is_account_event
from ledger.drivers import Driver, catch_up
from ledger.effective import EffectiveFollower, posted_change
from ledger.follower import follow_once, register
from ledger.store.memory import MemoryLedger
from ledger.store.past import END_MOVES
from ledger.store.reads import PostgresReader
from ledger.writer import appending
from projections.rebuild import digests, empty
from tests.support.histories import mirrored
from tests.support.ledger import ManualClock
from tests.support.lives import Lives
from tests.support.servers import Database

EVERY = 8
STEPS = 200


class Twins:
    """One random history in memory and on PostgreSQL."""

    def __init__(self, ledger: MemoryLedger, reader: PostgresReader, lives: Lives) -> None:
        self.ledger, self.reader, self.lives = ledger, reader, lives
        self.log = ledger.log(after=0, limit=100_000)

    def moments(self) -> list[datetime]:
        """All times that are recorded or meant, and those beside them."""
        found = {time for event in self.log for time in (event.recorded_at, event.effective_at)}
        beside = timedelta(microseconds=1)
        return sorted({near for one in found for near in (one - beside, one, one + beside)})

    def meant_until(self, at: datetime) -> dict[Any, int]:
        """Posted of each account, by definition."""
        sums = dict.fromkeys(self.lives.accounts, 0)
        for event in self.log:
            if event.stream_id in sums and event.effective_at <= at:
                sums[event.stream_id] += posted_change(account_event(event.state))
        return sums


@pytest.fixture
def twins(database: Database, pool: ConnectionPool[Any], monkeypatch: pytest.MonkeyPatch) -> Twins:
    monkeypatch.setattr(appending, "SNAPSHOT_EVERY", EVERY)
    monkeypatch.setattr(as_of, "PAGE", EVERY)
    clock = ManualClock()
    ledger, connection = mirrored(database.writer_url, clock)
    with closing(connection):
        lives = Lives(ledger, clock, Random(29))
        lives.play(STEPS)
    clock.pass_s(10_000)
    return Twins(ledger, PostgresReader(pool), lives)


def test_invariant_29_every_position_and_time_is_as_in_the_twin(twins: Twins) -> None:
    for account_id in twins.lives.accounts:
        for event in twins.log:
            for point in ({"position": event.position}, {"recorded_at": event.recorded_at}):
                asked: dict[str, Any] = {"account_id": account_id, **point}
                assert twins.reader.balance_at(**asked) == twins.ledger.balance_at(**asked)
            asked = {"account_id": account_id, "position": event.position, "limit": 3}
            assert twins.reader.open_holds_at(**asked) == twins.ledger.open_holds_at(**asked)
    for _, hold_id in twins.lives.spent:
        for position in range(1, len(twins.log), 7):
            found = twins.reader.hold_at(hold_id, position=position)
            assert found == twins.ledger.hold_at(hold_id, position=position)


def test_invariant_29_effective_time_is_the_sum_of_what_is_meant_until_then(
    twins: Twins, pool: ConnectionPool[Any]
) -> None:
    def agree() -> None:
        for at in [*twins.moments()[:: 1 + turn], datetime.max.replace(tzinfo=twins.log[0].recorded_at.tzinfo)]:
            for account_id, posted_ucr in twins.meant_until(at).items():
                for reader in (twins.reader, twins.ledger):
                    found = reader.posted_effective(account_id, at)
                    assert found is not None
                    assert (found.posted_ucr, found.log_position) == (posted_ucr, len(twins.log)), (account_id, at)

    turn = 5
    agree()
    driver, follower = Driver(pool), EffectiveFollower()
    driver.drive(register(follower))
    for batch in (1, len(twins.log) // 3, len(twins.log) // 3):
        driver.drive(follow_once(follower, batch))
        agree()
    turn = 0
    catch_up(driver, [follower])
    agree()
    rows = pool_rows(pool, "SELECT count(*) FROM effective_changes WHERE span = 'year'")
    assert rows[0][0] >= 2 * len({event.recorded_at.year for event in twins.log if late(event)})


def test_invariant_10_effective_sums_that_grew_are_the_sums_made_again(twins: Twins, pool: ConnectionPool[Any]) -> None:
    driver, follower = Driver(pool), EffectiveFollower()
    driver.drive(register(follower))
    while driver.drive(follow_once(follower, 7)):
        continue
    grown = driver.drive(digests(follower.tables))
    driver.drive(empty(follower))
    assert driver.drive(digests(follower.tables))[0].rows == 0 < grown[0].rows
    catch_up(driver, [follower])
    assert driver.drive(digests(follower.tables)) == grown


def test_a_state_of_another_format_is_read_from_snapshot_and_events(twins: Twins, database: Database) -> None:
    expected = [twins.reader.balance(account_id) for account_id in twins.lives.accounts]
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE account_states SET format = 99, state = '?'")
    found = [twins.reader.balance(account_id) for account_id in twins.lives.accounts]
    assert [(one.posted_ucr, one.grants, one.account_version) for one in found if one] == [
        (one.posted_ucr, one.grants, one.account_version) for one in expected if one
    ]


def test_moves_of_a_grants_end_are_found_by_their_own_index(twins: Twins, pool: ConnectionPool[Any]) -> None:
    with pool.connection() as connection:
        connection.execute("SET LOCAL enable_seqscan = off")
        params = (twins.lives.accounts[0], 1, 100, twins.lives.accounts[0], 16)
        plan = connection.execute(f"EXPLAIN {END_MOVES}".encode(), params).fetchall()
    assert "Index Scan Backward using events_moved_ends" in str(plan)


def late(event: RecordedEvent) -> bool:
    return is_account_event(event.tag) and event.effective_at != event.recorded_at


def pool_rows(pool: ConnectionPool[Any], query: str) -> list[tuple[Any, ...]]:
    with pool.connection() as connection:
        return connection.execute(query.encode()).fetchall()
