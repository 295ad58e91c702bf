"""In which order a sweep takes what is due, whatever order the database happens to read rows in."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.codec import account_event
from ledger.domain.commands import HoldCredits
from ledger.domain.events import HoldExpired
from ledger.drivers import Driver
from ledger.store.postgres import PostgresLedger
from ledger.sweep import sweep
from tests.support.ledger import CREDIT, done, open_account
from tests.support.servers import Database

LEASES_S = (3, 2, 2, 1)
"""Of holds made in one append, so that two of them end in the same microsecond."""


@pytest.fixture
def as_they_lie(database: Database) -> Generator[ConnectionPool[Any]]:
    """Connections that read rows as they lie in the table: an index would give them an order that nobody asked for."""
    options = " ".join(f"-c enable_{way}=off" for way in ("indexscan", "indexonlyscan", "bitmapscan"))
    with ConnectionPool(database.serving_url, min_size=1, max_size=1, kwargs={"options": options}, open=True) as pool:
        yield pool


def holds_in_one_append(ledger: PostgresLedger) -> list[UUID]:
    account_id = open_account(ledger, credit=10)
    first, *others = [
        HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=lease_s) for lease_s in LEASES_S
    ]
    done(ledger, first, linked=tuple(others))
    return [command.hold_id for command in (first, *others)]


def expired(ledger: PostgresLedger) -> list[UUID]:
    """Holds in the order in which the log says that they expired."""
    said = [account_event(event.state) for event in ledger.log(after=0, limit=100)]
    return [event.hold_id for event in said if isinstance(event, HoldExpired)]


def test_invariant_18_holds_expire_in_the_order_of_their_lease_ends_and_then_of_their_creation(
    database: Database, as_they_lie: ConnectionPool[Any], postgres_ledger: PostgresLedger
) -> None:
    last, second, third, first = holds_in_one_append(postgres_ledger)
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("UPDATE holds SET amount_ucr = amount_ucr WHERE hold_id = %s", [second])  # it lies last now
        lie = [row[0] for row in connection.execute("SELECT hold_id FROM holds ORDER BY ctid")]
        ends = connection.execute("SELECT count(DISTINCT lease_until) FROM holds").fetchone()
    assert (lie, ends) == ([last, third, first, second], (3,))
    time.sleep(max(LEASES_S) + 0.2)
    driver = Driver(as_they_lie, ledger=postgres_ledger)
    assert driver.drive(sweep(limit=2)) == 2
    assert expired(postgres_ledger) == [first, second]
    assert driver.drive(sweep()) == 2
    assert expired(postgres_ledger) == [first, second, third, last]
