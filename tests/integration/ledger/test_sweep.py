"""Time passes for accounts that nobody touches."""

from __future__ import annotations

import time
from uuid import uuid4

from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.store.postgres import PostgresLedger
from ledger.sweep import sweep
from ledger.verify import verify
from tests.support.ledger import CREDIT, grant, hold, open_account


def test_invariant_21_a_sweep_expires_what_is_due_and_only_what_is_the_ledgers(
    pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    ours = hold(postgres_ledger, account_id, CREDIT, lease_s=6)
    later = hold(postgres_ledger, account_id, CREDIT, lease_s=600)
    a_jobs = hold(postgres_ledger, account_id, CREDIT, lease_s=1, reference=uuid4())
    driver = Driver(pool, ledger=postgres_ledger)
    assert driver.drive(sweep()) == 0
    time.sleep(6.2)
    assert (driver.drive(sweep()), driver.drive(sweep())) == (1, 0)
    states = [view.state for one in (ours, later, a_jobs) if (view := postgres_ledger.hold(one))]
    assert states == ["expired", "open", "open"]


def test_invariant_33_a_sweep_books_grants_at_their_end_once(
    pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger)
    grant(postgres_ledger, account_id, 2 * CREDIT, lifetime_s=3_600)
    grant(postgres_ledger, account_id, 3 * CREDIT, lifetime_s=1)  # the last: whatever came later would book its end
    driver = Driver(pool, ledger=postgres_ledger)
    time.sleep(1.2)
    assert (driver.drive(sweep()), driver.drive(sweep())) == (1, 0)
    tags = [event.tag for event in postgres_ledger.stream(account_id)]
    assert tags.count("ledger.credits-expired.v1") == 1
    balance = postgres_ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == 2 * CREDIT
    assert driver.drive(verify()).findings == ()


def test_what_a_hold_pinned_of_an_ended_grant_expires_when_it_comes_back(
    pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    account_id = open_account(postgres_ledger)
    grant(postgres_ledger, account_id, 3 * CREDIT, lifetime_s=4)
    hold(postgres_ledger, account_id, CREDIT, lease_s=9)
    driver = Driver(pool, ledger=postgres_ledger)
    time.sleep(4.2)
    assert driver.drive(sweep()) == 1
    time.sleep(5.2)
    assert (driver.drive(sweep()), driver.drive(sweep())) == (1, 0)
    balance = postgres_ledger.balance(account_id)
    assert balance is not None and (balance.posted_ucr, balance.held_ucr) == (0, 0)
    events = postgres_ledger.stream(account_id)
    assert [event.tag for event in events][-2:] == ["ledger.hold-expired.v1", "ledger.credits-expired.v1"]
