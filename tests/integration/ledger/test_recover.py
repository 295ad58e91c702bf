"""A restored backup that lacks a tail which was signed: told, owned up to, gone on from, and never forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from psycopg_pool import ConnectionPool

from ledger.store.postgres import PostgresLedger
from tallystick.clock import SystemClock
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.settings import Settings
from tests.support import servers
from tests.support.cli import Commands
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock, open_account
from tests.support.servers import Database


def play(database: Database, clock: ManualClock, seed: int, steps: int) -> int:
    """A history of its own; the size of the log."""
    twin, connection = mirrored(database.writer_url, clock)
    History(twin, clock, Random(seed)).play(steps)
    connection.close()
    return twin.head()


def at(settings: Settings, database: Database) -> Commands:
    """Commands on a database, with the heads and keys of the installation."""
    return Commands(
        settings.with_values(
            database_url=database.serving_url,
            database_owner_url=database.owner_url,
            database_writer_url=database.writer_url,
        )
    )


def answer(result: Any, code: int = 0) -> Any:
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def restored(
    postgres_server: EmbeddedPostgres, database: Database, settings: Settings
) -> Generator[tuple[Commands, int, int]]:
    """Commands on a backup that was restored, the size it has, and the size of which a head was signed."""
    commands = at(settings, database)
    kept = play(database, ManualClock(), 1, 40)
    assert answer(commands("heads", "export", "--json"))["size"] == kept
    with servers.database_from(postgres_server, database.name) as backup:
        add_a_tail(database)
        lost = answer(commands("heads", "export", "--json"))["size"]
        assert lost > kept
        yield at(settings, backup), kept, lost


def add_a_tail(database: Database) -> None:
    with ConnectionPool(database.serving_url, min_size=1, max_size=2, open=True) as pool:
        ledger = PostgresLedger(database.writer_url, pool, clock=SystemClock(), secret=b"x" * 32, sleep=time.sleep)
        for _ in range(3):
            open_account(ledger, credit=1)
        ledger.close()


def test_invariant_38_a_lost_tail_is_told_owned_up_to_and_gone_on_from(restored: tuple[Commands, int, int]) -> None:
    commands, kept, lost = restored
    told = answer(commands("recover", "--json"), 1)
    assert (told["log_size"], told["loss"]["kept"], told["loss"]["size"]) == (kept, kept, lost)
    assert commands("heads", "export").exit_code == 1, "nothing is signed that does not go on from the last head"
    assert commands("recover", "--accept").exit_code == 2, "somebody must answer for it"
    assert answer(commands("recover", "--json"), 1) == told, "asking changes nothing"
    accepted = answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))
    assert accepted["ok"] and accepted["forks"] == [{"position": kept + 1, "kept": kept, "size": lost}]
    assert answer(commands("heads", "export", "--json"))["size"] == kept + 1
    assert answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))["log_size"] == kept + 1, "only once"


def test_invariant_36_a_loss_that_was_owned_up_to_is_still_reported(
    restored: tuple[Commands, int, int], settings: Settings
) -> None:
    commands, kept, lost = restored
    place = settings.data_dir / "heads"
    before = json.loads(commands("verify", "--head", place, "--json").stdout)
    assert before["findings"][0]["position"] == kept + 1 and before["findings"][0]["until"] == lost
    answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))
    answer(commands("heads", "export", "--json"))
    after = json.loads(commands("verify", "--head", place, "--json").stdout)
    assert after["findings"] == []
    assert after["forks"] == [f"the head signed at size {lost} is of a lost tail, as event {kept + 1} admits"]


def test_a_log_that_lost_nothing_has_nothing_to_recover(database: Database, settings: Settings) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 2, 20)
    answer(commands("heads", "export", "--json"))
    found = answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))
    assert found["ok"] and found["loss"] is None and found["forks"] == []
