"""Doctor finds what is wrong, names it, and says what to do."""

from __future__ import annotations

import psycopg
import pytest

from tallystick import doctor
from tallystick.doctor import Finding, examine
from tallystick.settings import Settings
from tests.support.requirements import ROOT
from tests.support.servers import Database
from tests.support.writers import short_folder, store_of, writer_at


def wrong(settings: Settings) -> list[Finding]:
    return [finding for finding in examine(settings) if not finding.ok]


def test_nothing_is_wrong_with_a_migrated_installation(settings: Settings) -> None:
    assert wrong(settings) == []


def test_a_server_older_than_the_readme_asks_for_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"| PostgreSQL ≥ {doctor.POSTGRES_VERSION_MIN // 10_000} |" in (ROOT / "README.md").read_text()
    monkeypatch.setattr(doctor, "POSTGRES_VERSION_MIN", 990_000)
    assert {found.remedy for found in wrong(settings)} == {"PostgreSQL 99 or newer is needed"}


def test_serving_as_the_owner_is_wrong(settings: Settings, database: Database) -> None:
    (found,) = wrong(settings.with_values(database_url=database.owner_url))
    assert found.name == "history"
    assert "everything, as its owner" in found.seen


def test_serving_as_superuser_is_wrong(settings: Settings, database: Database) -> None:
    assert [found.name for found in wrong(settings.with_values(database_url=database.superuser_url))] == ["history"]


def test_serving_as_the_writer_is_wrong(settings: Settings, database: Database) -> None:
    (found,) = wrong(settings.with_values(database_url=database.writer_url))
    assert found.name == "history" and "INSERT" in found.seen


def test_writing_as_who_serves_or_owns_is_wrong(settings: Settings, database: Database) -> None:
    for url in (database.serving_url, database.owner_url):
        assert [one.name for one in wrong(settings.with_values(database_writer_url=url))] == ["writing role", "writer"]


def test_a_host_that_may_not_append_wants_a_writer_that_answers(settings: Settings, database: Database) -> None:
    with short_folder() as folder:
        here = settings.with_values(database_writer_url=None, writer_socket=folder / "w.sock")
        (found,) = wrong(here)
        assert found.name == "writer" and "start tallystick write" in found.remedy
        with writer_at(here.writer_path, store_of(database.writer_url), here.key_for("ledger-digests")):
            assert wrong(here) == []
        with writer_at(here.writer_path, store_of(database.writer_url), b"another secret"):
            assert [one.name for one in wrong(here)] == ["writer"]


def test_a_single_right_on_past_events_is_wrong(settings: Settings, database: Database) -> None:
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("GRANT TRUNCATE ON events TO tallystick")
    (found,) = wrong(settings)
    assert "TRUNCATE" in found.seen


def test_an_unmigrated_database_is_wrong(settings: Settings, empty_database: Database) -> None:
    found = wrong(
        settings.with_values(database_url=empty_database.serving_url, database_owner_url=empty_database.owner_url)
    )
    assert [(finding.name, finding.remedy) for finding in found] == [("schema", "run tallystick migrate")]


def test_a_server_that_does_not_keep_commits_is_wrong(settings: Settings, database: Database) -> None:
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("ALTER ROLE tallystick SET synchronous_commit = off")
    try:
        (found,) = wrong(settings)
        assert (found.name, found.seen) == ("durability", "synchronous_commit = off")
    finally:
        with psycopg.connect(database.superuser_url) as connection:
            connection.execute("ALTER ROLE tallystick RESET synchronous_commit")


def test_what_does_not_answer_is_named_without_its_password(settings: Settings) -> None:
    there = "tally:hunter2@127.0.0.1:1"
    found = wrong(settings.with_values(database_url=f"postgresql://{there}/x", redis_url=f"redis://{there}/0"))
    assert [finding.name for finding in found] == ["database", "redis"]
    assert "hunter2" not in str(found)
