"""The event library's own suites, run on our recorder; and its table beside ours."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import ApplicationRecorder, ProcessRecorder, TrackingRecorder
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.store.recorder import LogProcessRecorder, LogRecorder, LogTracker
from ledger.verify import verify
from tests.support.servers import Database


class _OnOurTables:
    database: Database
    pool: ConnectionPool[Any]

    @pytest.fixture(autouse=True)
    def _tables(self, database: Database, pool: ConnectionPool) -> Generator[None]:
        type(self).database = database
        owners: ConnectionPool[Any] = ConnectionPool(database.owner_url, min_size=1, max_size=8, open=True)
        with owners:
            type(self).pool = owners  # some of these recorders write log and positions in one transaction
            yield
        report = Driver(pool).drive(verify())
        wrong = [finding for finding in report.findings if "jumps from 0 to 0" not in finding.what]
        assert wrong == []  # but for streams of these suites that begin at version 0


class TestLogRecorder(_OnOurTables, ApplicationRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        return LogRecorder(self.pool, self.database.owner_url)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestLogTracker(_OnOurTables, TrackingRecorderTestCase):
    def create_recorder(self) -> TrackingRecorder:
        return LogTracker(self.pool)


class TestLogProcessRecorder(_OnOurTables, ProcessRecorderTestCase):
    def create_recorder(self) -> ProcessRecorder:
        return LogProcessRecorder(self.pool, self.database.owner_url)


del ApplicationRecorderTestCase, TrackingRecorderTestCase, ProcessRecorderTestCase

COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = %s AND table_name = %s
"""
KEY = """
SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = to_regclass(%s) AND i.indisprimary
"""


def test_the_librarys_columns_types_and_keys_are_a_subset_of_ours(database: Database) -> None:
    parts = {name: str(value) for name, value in conninfo_to_dict(database.owner_url).items()}
    datastore = PostgresDatastore(
        parts["dbname"],
        parts["host"],
        parts.get("port", "5432"),
        parts["user"],
        "",
        schema="theirs",
        originator_id_type="uuid",
    )
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA theirs")
        PostgresApplicationRecorder(datastore, events_table_name="stored_events").create_table()
        datastore.close()
        theirs = dict(connection.execute(COLUMNS, ["theirs", "stored_events"]).fetchall())
        ours = dict(connection.execute(COLUMNS, ["public", "events"]).fetchall())
        assert theirs and theirs.items() <= ours.items()
        keys = [connection.execute(KEY, [table]).fetchall() for table in ("theirs.stored_events", "events")]
        assert keys[0] == keys[1]


def test_an_insert_that_does_not_number_fails_loudly(database: Database) -> None:
    insert = """
        INSERT INTO events (originator_id, originator_version, topic, state, recorded_at, effective_at, hash)
        VALUES (gen_random_uuid(), 1, 'x', '', now(), now(), '')
    """
    with psycopg.connect(database.writer_url) as connection, pytest.raises(psycopg.errors.NotNullViolation) as caught:
        connection.execute(insert)
    assert caught.value.diag.column_name == "notification_id"
