"""Followers of the read side on a real PostgreSQL: incremental, rebuilt, parked, killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Generator
from datetime import UTC, date
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger.domain.codec import NewEvent
from ledger.drivers import Driver, advance, catch_up
from ledger.follower import follow_once, register
from ledger.ports import Companion, Request
from projections.books.follower import BooksFollower
from projections.check import check
from projections.lines import Line
from projections.rebuild import Digest, ReadModel, digests, empty
from projections.statement import StatementFollower, StatementReader
from projections.usage import UsageReader
from tests.support.books import balances, book_all
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock
from tests.support.servers import Database

MODELS: tuple[ReadModel, ...] = (StatementFollower(), BooksFollower("USD"))


@pytest.fixture
def history(database: Database) -> Generator[History]:
    """A history that is in PostgreSQL as well."""
    clock = ManualClock()
    ledger, connection = mirrored(database.writer_url, clock)
    yield History(ledger, clock, Random(7))
    connection.close()


@pytest.fixture
def driver(pool: ConnectionPool) -> Driver:
    return Driver(pool)


def content(driver: Driver) -> list[Digest]:
    return [one for model in MODELS for one in driver.drive(digests(model.tables))]


def differences(database: Database) -> list[str]:
    """What the check finds, on a connection of its own."""
    with ConnectionPool(database.serving_url, min_size=1, max_size=1) as own:
        return [f"{one.projection}: {one.what}" for one in Driver(own).drive(check(MODELS)).differences]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_invariant_09_one_event_a_batch_gives_the_same_rows_as_all_at_once(
    driver: Driver, history: History, model: ReadModel
) -> None:
    history.play(150)
    driver.drive(register(model))
    while driver.drive(follow_once(model, limit=1)):
        continue
    one_by_one = driver.drive(digests(model.tables))
    driver.drive(empty(model))
    assert all(table.rows == 0 for table in driver.drive(digests(model.tables)))
    catch_up(driver, [model])
    assert driver.drive(digests(model.tables)) == one_by_one
    assert all(table.rows > 0 for table in one_by_one)


def test_invariant_10_dropping_read_models_that_grew_with_the_log_and_rebuilding_gives_the_same_bytes(
    driver: Driver, history: History, database: Database
) -> None:
    for _ in range(5):
        history.play(30)
        catch_up(driver, MODELS)
    before = content(driver)
    for model in MODELS:
        driver.drive(empty(model))
    catch_up(driver, MODELS)
    assert content(driver) == before
    assert differences(database) == []


def test_the_stored_books_are_those_that_the_rules_make_in_memory(
    driver: Driver, history: History, pool: ConnectionPool
) -> None:
    history.play(200)
    catch_up(driver, MODELS)
    expected = balances(entry for _, entry in book_all(history.ledger.log(after=0, limit=100_000)))
    with pool.connection() as connection:
        rows = connection.execute(
            "SELECT name, commodity, CAST(sum(debit) - sum(credit) AS bigint) FROM book_legs "
            "JOIN book_accounts USING (account_no) GROUP BY name, commodity"
        ).fetchall()
    assert {(name, commodity): amount for name, commodity, amount in rows if amount} == expected


def test_a_receipt_is_booked_with_its_grant_even_where_a_batch_ends_between_them(
    driver: Driver, history: History, pool: ConnectionPool
) -> None:
    history.play(1)
    history._buy()
    books = MODELS[1]
    driver.drive(register(books))
    with pool.connection() as connection:
        grant = connection.execute(
            "SELECT max(notification_id) FROM events WHERE topic = 'ledger.credits-granted.v1'"
        ).fetchone()
    assert grant is not None
    driver.drive(follow_once(books, limit=grant[0]))
    with pool.connection() as connection:
        found = connection.execute(
            "SELECT name FROM book_legs JOIN book_accounts USING (account_no) WHERE position = %s", [grant[0]]
        ).fetchall()
    assert ("Assets:Clearing:Sandbox",) in found
    assert ("Liabilities:Unapplied:Receipts",) not in found or history.waiting


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_follower_parks_at_an_event_it_cannot_read_with_its_place_and_reason_and_skips_nothing(
    driver: Driver, history: History, pool: ConnectionPool, model: ReadModel, caplog: pytest.LogCaptureFixture
) -> None:
    history.play(20)
    catch_up(driver, [model])
    good = history.ledger.head()
    tag, state = "payments.receipt-final.v1", b'{"type":"payments.receipt-final.v1","receipt_id":"nonsense"}'
    poison = Request(
        key="poison",
        operation="test",
        scope_id=uuid4(),
        body={},
        on_accept=(Companion(uuid4(), 0, (NewEvent(tag, state),)),),
    )
    history.ledger.submit(poison)
    history.play(10)
    assert advance(driver, model) == 0
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT position, parked_reason FROM followers WHERE name = %s", [model.name]
        ).fetchone()
    assert row is not None
    assert row[0] == good
    assert f"event {good + 1}" in row[1]
    assert "receipt_id" in row[1]
    assert model.name in caplog.text
    assert advance(driver, model) == 0, "a parked follower stays where it is"


def test_invariant_14_followers_killed_at_any_moment_write_every_row_exactly_once(
    driver: Driver, history: History, database: Database
) -> None:
    history.play(250)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", FOLLOW, database.serving_url], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(history.dice.uniform(0.0, 0.15))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    catch_up(driver, MODELS)
    killed = content(driver)
    for model in MODELS:
        driver.drive(empty(model))
    catch_up(driver, MODELS)
    assert content(driver) == killed
    assert differences(database) == []


FOLLOW = """
import sys
from psycopg_pool import ConnectionPool
from ledger.drivers import Driver
from ledger.follower import follow_once, register
from projections.books.follower import BooksFollower
from projections.statement import StatementFollower
models = (StatementFollower(), BooksFollower("USD"))
with ConnectionPool(sys.argv[1], min_size=1, max_size=1) as pool:
    driver = Driver(pool)
    for model in models:
        driver.drive(register(model))
    print("ready", flush=True)
    while True:
        for model in models:
            driver.drive(follow_once(model, limit=7))
"""


def test_the_check_names_a_row_that_was_tampered_with(driver: Driver, history: History, database: Database) -> None:
    history.play(120)
    catch_up(driver, MODELS)
    assert differences(database) == []
    tampering = {
        "UPDATE statement_accounts SET posted_ucr = posted_ucr + 1": "statement: account",
        "UPDATE statement_accounts SET debt_ucr = debt_ucr + 1, posted_ucr = posted_ucr": "statement: account",
        "UPDATE statement_accounts SET frozen_ucr = frozen_ucr + 1": "books: Equity:Credits:Customer:Frozen is",
        "UPDATE book_tabs SET owed_micro = owed_micro + 1": "books: what customers owe",
        "UPDATE book_legs SET debit = debit + 7, credit = credit WHERE debit > 0 AND account_no = "
        "(SELECT account_no FROM book_accounts WHERE name = 'Equity:Credits:InTransit') AND position = (SELECT "
        "max(position) FROM book_entries WHERE kind = 'transfer-in')": "books: Equity:Credits:InTransit is",
        "UPDATE statement_lines SET detail = 'x' WHERE position = (SELECT min(position) FROM statement_lines)": (
            "statement: statement_lines"
        ),
        "UPDATE book_legs SET debit = debit + 1 WHERE debit > 0 AND position = (SELECT min(position) FROM book_legs)": (
            "books: an entry does not balance"
        ),
        "UPDATE book_changes SET deferred_micro = deferred_micro + 1 WHERE position = "
        "(SELECT min(position) FROM book_changes WHERE deferred_micro > 0)": "books: a grant's change is not",
        "DELETE FROM book_legs WHERE position = (SELECT min(position) FROM book_legs)": "books: an entry without legs",
        "UPDATE book_grants SET cost_micro = cost_micro + 1 WHERE kind = 'paid' AND position = "
        "(SELECT min(position) FROM book_grants WHERE kind = 'paid')": "books: the Deferred accounts",
    }
    for statement, expected in tampering.items():
        with psycopg.connect(database.serving_url) as connection:
            connection.execute(statement.encode())
        assert any(found.startswith(expected) for found in differences(database)), statement
        for model in MODELS:
            driver.drive(empty(model))
        catch_up(driver, MODELS)
    assert differences(database) == []


def test_moving_a_micro_between_two_commits_of_one_grant_balances_and_is_still_found(
    driver: Driver, history: History, database: Database
) -> None:
    history.play(250)
    catch_up(driver, MODELS)
    with psycopg.connect(database.serving_url) as connection:
        connection.execute(MOVE_A_MICRO.encode())
    found = differences(database)
    assert not any("does not balance" in one for one in found)
    assert any("the Deferred accounts" in one for one in found)


MOVE_A_MICRO = """
WITH deferred AS (
    SELECT l.position, row_number() OVER (ORDER BY l.position) AS n
    FROM book_legs AS l JOIN book_accounts AS a USING (account_no) JOIN book_entries AS e USING (position)
    WHERE a.name = 'Liabilities:Deferred:CreditPacks' AND e.kind = 'commit' AND l.debit > 1
), moved AS (SELECT position, CASE n WHEN 1 THEN 1 ELSE -1 END AS micro FROM deferred WHERE n <= 2)
UPDATE book_legs SET debit = debit + CASE WHEN debit > 0 THEN moved.micro ELSE 0 END,
    credit = credit + CASE WHEN credit > 0 THEN moved.micro ELSE 0 END
FROM moved, book_accounts AS a
WHERE book_legs.position = moved.position AND a.account_no = book_legs.account_no
  AND a.name IN ('Liabilities:Deferred:CreditPacks', 'Income:Usage:Gross')
"""


def test_statement_lines_run_and_no_other_organisation_sees_them(
    driver: Driver, history: History, pool: ConnectionPool
) -> None:
    history.play(150)
    catch_up(driver, MODELS)
    reader = StatementReader(pool)
    for account_id, organisation_id in history.organisations.items():
        lines = [line for page in pages(reader, organisation_id, account_id) for line in page]
        posted = held = frozen = debt = 0
        for line in lines:
            posted, held = posted + line.amount_ucr, held + line.held_change_ucr
            frozen, debt = frozen + line.frozen_change_ucr, debt + line.debt_change_ucr
            assert (line.posted_ucr, line.held_ucr, line.frozen_ucr, line.debt_ucr) == (posted, held, frozen, debt)
            assert line.available_ucr == posted - held - frozen
        balance = history.ledger.balance(account_id)
        assert balance is not None
        assert (held, frozen) == (balance.held_ucr, balance.frozen_ucr)
        assert [line.account_version for line in lines] == sorted({line.account_version for line in lines})
        newest = reader.latest(organisation_id, account_id, None, 500).lines
        assert newest == lines[::-1]
        assert reader.page(uuid4(), account_id, 0, 500).lines == []
        own = [account for account, owner in history.organisations.items() if owner == organisation_id]
        assert [one.account_id for one in reader.accounts(organisation_id, UUID(int=0), 10)] == sorted(own)


def pages(reader: StatementReader, organisation_id: UUID, account_id: UUID) -> Generator[list[Line]]:
    after, more = 0, True
    while more:
        page = reader.page(organisation_id, account_id, after, 7)
        yield page.lines
        more, after = page.has_more, page.lines[-1].position if page.lines else after


def test_usage_by_day_adds_up_to_what_the_statement_spent_and_is_the_organisation_s_own(
    driver: Driver, history: History, pool: ConnectionPool
) -> None:
    history.play(200)
    catch_up(driver, MODELS)
    first, last = date(2026, 1, 1), date(2026, 12, 31)
    spent_ucr, back_ucr, count = Counter[UUID](), Counter[UUID](), Counter[UUID]()
    on: defaultdict[UUID, set[date]] = defaultdict(set)
    for account_id, organisation_id in history.organisations.items():
        lines = [line for page in pages(StatementReader(pool), organisation_id, account_id) for line in page]
        overdraft = [line for line in lines if (line.kind, line.detail) == ("debt", "overdraft")]
        debits = [line for line in lines if line.kind in ("commit", "debit")]
        back = [line for line in lines if line.kind == "reversal"]
        spent_ucr[organisation_id] -= sum(line.amount_ucr for line in (*debits, *overdraft))
        count[organisation_id] += len(debits)
        back_ucr[organisation_id] += sum(line.amount_ucr for line in back)
        on[organisation_id] |= {line.recorded_at.astimezone(UTC).date() for line in (*debits, *overdraft, *back)}
    assert sum(spent_ucr.values()) > sum(back_ucr.values()) > 0
    for organisation_id in spent_ucr:
        days = UsageReader(pool).days(organisation_id, first, last)
        assert sum(day.spent_ucr for day in days) == spent_ucr[organisation_id]
        assert sum(day.reversed_ucr for day in days) == back_ucr[organisation_id]
        assert sum(day.debits for day in days) == count[organisation_id]
        assert {day.day for day in days} == on[organisation_id]
    assert UsageReader(pool).days(uuid4(), first, last) == []


def test_a_bought_grant_names_its_top_up_in_the_statement_and_a_commit_its_job(
    driver: Driver, history: History, pool: ConnectionPool
) -> None:
    history.play(150)
    catch_up(driver, MODELS)
    with pool.connection() as connection:
        rows = connection.execute(REFERENCES.encode()).fetchone()
        commits = connection.execute(
            "SELECT count(*) FROM statement_lines AS l JOIN holds AS h ON h.hold_id = l.subject_id "
            "WHERE l.kind = 'commit' AND l.reference_id IS DISTINCT FROM h.reference"
        ).fetchone()
    assert rows is not None
    assert rows[0] == rows[1] > 0
    assert commits == (0,)


REFERENCES = """
WITH paid AS (
    SELECT convert_from(state, 'UTF8')::jsonb AS event FROM events
    WHERE topic IN ('payments.receipt-final.v1', 'payments.receipt-applied.v1')
)
SELECT count(*) FILTER (WHERE CAST(l.reference_id AS text) = paid.event ->> 'topup_id'), count(*)
FROM statement_lines AS l JOIN paid ON paid.event ->> 'grant_id' = CAST(l.subject_id AS text)
WHERE l.kind = 'grant'
"""
