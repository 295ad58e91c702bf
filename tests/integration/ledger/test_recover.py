"""A restored backup that lacks a tail which was signed: told, owned up to, gone on from, and never forgotten."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from msgspec.structs import replace
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver, catch_up, fetch
from ledger.follower import READ
from ledger.proof.follower import ProofFollower
from ledger.proof.forks import FORKS_STREAM
from ledger.proof.heads import Head
from ledger.proof.reading import read_root
from ledger.proof.recovery import compare
from ledger.store.postgres import PostgresLedger
from ledger.writer.chain import GENESIS, expected_hash
from tallystick.clock import SystemClock
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.head_keys import HeadKeys
from tallystick.settings import Settings
from tallystick.vaults import FolderHeads, FolderVault, VaultHeads, heads_in_file
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


def keep(settings: Settings, head: Head) -> None:
    """Keep a head that the installation's key signs, whatever the log says."""
    signer = HeadKeys(settings.data_dir / "head-keys").signer(make=True)
    FolderHeads(settings.data_dir / "heads").append(signer.sign(head))


def last_head(settings: Settings) -> Head:
    signed = FolderHeads(settings.data_dir / "heads").last()
    assert signed is not None
    return signed.head


def write_to_the_stream_of_forks(database: Database) -> None:
    """Append what an earlier release let a caller append: an event of another kind, in the stream that tells forks."""
    with psycopg.connect(database.superuser_url) as connection:
        row = connection.execute("SELECT position, hash FROM log_head").fetchone()
        assert row is not None
        connection.execute(
            """
            INSERT INTO events (originator_id, originator_version, topic, state, notification_id, recorded_at,
                                effective_at, hash)
            SELECT %s, 1, 'other.thing-set.v1', '{"limit":5}', %s, recorded_at, recorded_at, '' FROM log_head
            """,
            [FORKS_STREAM, row[0] + 1],
        )
        (event,) = fetch(connection, READ, {"after": row[0], "limit": 1})
        digest = expected_hash(event, stream_hash=GENESIS, log_hash=row[1])
        connection.execute("UPDATE events SET hash = %s WHERE notification_id = %s", [digest, row[0] + 1])
        connection.execute("UPDATE log_head SET position = %s, hash = %s", [row[0] + 1, digest])


def test_an_event_of_another_kind_in_the_stream_of_forks_hinders_nothing(
    database: Database, settings: Settings
) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 4, 10)
    with psycopg.connect(database.superuser_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER events_never_change")
    write_to_the_stream_of_forks(database)
    size = answer(commands("heads", "export", "--json"))["size"]
    assert json.loads(commands("verify", "--json").stdout)["findings"] == []
    assert answer(commands("recover", "--json"))["forks"] == []
    keep(settings, replace(last_head(settings), size=size + 5, root=bytes(32)))
    assert answer(commands("recover", "--json"), 1)["loss"]["kept"] == size
    accepted = answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))
    assert accepted["ok"] and accepted["forks"] == [{"position": size + 1, "kept": size, "size": size + 5}]
    assert answer(commands("heads", "export", "--json"))["size"] == size + 1


def test_a_head_of_a_lost_tail_is_told_though_longer_and_later_ones_fit(database: Database, settings: Settings) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 5, 10)
    shared = answer(commands("heads", "export", "--json"))["size"]
    lost = replace(last_head(settings), size=shared + 2, root=bytes(32))
    also_lost = replace(lost, size=shared + 3, signed_at_us=lost.signed_at_us + 1)
    add_a_tail(database)
    longer = answer(commands("heads", "export", "--json"))["size"]
    assert longer > also_lost.size
    keep(settings, lost)
    keep(settings, also_lost)
    told = answer(commands("recover", "--json"), 1)
    assert [head["size"] for head in told["loss"]["heads"]] == [also_lost.size, lost.size]
    assert (told["loss"]["kept"], told["loss"]["size"]) == (shared, also_lost.size)
    words = commands("recover")
    assert words.exit_code == 1 and f"of size {lost.size}," in words.output
    accepted = answer(commands("recover", "--accept", "--operator", uuid4(), "--json"))
    assert accepted["ok"] and accepted["forks"] == [{"position": longer + 1, "kept": shared, "size": also_lost.size}]
    assert json.loads(commands("verify", "--json").stdout)["findings"] == []


def test_a_head_that_fits_and_was_signed_after_the_loss_does_not_say_what_was_kept(
    database: Database, settings: Settings
) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 6, 10)
    shared = answer(commands("heads", "export", "--json"))["size"]
    lost = replace(
        last_head(settings), size=shared + 50, root=bytes(32), signed_at_us=last_head(settings).signed_at_us + 1
    )
    add_a_tail(database)
    answer(commands("heads", "export", "--json"))
    keep(settings, lost)
    assert answer(commands("recover", "--json"), 1)["loss"]["kept"] == shared


def test_heads_of_every_size_are_compared_with_the_log_in_pages(
    database: Database, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.proof.recovery._PAGE", 7)
    size = play(database, ManualClock(), 7, 60)
    driver = Driver(pool)
    catch_up(driver, [ProofFollower()])
    heads = [head_at(driver, one) for one in range(size + 1)]
    assert driver.drive(compare(heads)).loss is None
    for wrong in (1, size // 2, size):
        others = [*heads[:wrong], replace(heads[wrong], root=bytes(32)), *heads[wrong + 1 :]]
        loss = driver.drive(compare(others)).loss
        assert loss is not None and [head.size for head in loss.heads] == [wrong] and loss.kept == wrong - 1


def head_at(driver: Driver, size: int) -> Head:
    root = driver.drive(read_root(size))
    return Head(size=size, root=root, log_hash=bytes(32), verdicts_hash=bytes(32), signed_at_us=size)


@pytest.mark.parametrize("command", ["verify", "recover"])
def test_a_place_that_is_named_and_has_no_head_is_an_error(
    database: Database, settings: Settings, tmp_path: Path, command: str
) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 8, 10)
    assert answer(commands(command, "--json"))["heads"] == 0, "none was kept yet, and none was named"
    answer(commands("heads", "export", "--json"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    for name in ("empty", "empty.jsonl", "mistyped", "mistyped.jsonl"):
        told = commands(command, "--head", settings.data_dir / "heads", "--head", tmp_path / name)
        assert told.exit_code == 1 and str(tmp_path / name) in told.output, told.output


@pytest.mark.parametrize("command", ["verify", "recover"])
def test_heads_are_found_in_whatever_form_they_were_kept(
    database: Database, settings: Settings, tmp_path: Path, command: str
) -> None:
    commands = at(settings, database)
    play(database, ManualClock(), 9, 10)
    answer(commands("heads", "export", "--json"))
    (kept,) = (settings.data_dir / "heads").iterdir()
    (tmp_path / "mailed.jsonl").write_bytes(kept.read_bytes().replace(b"\n", b"\r\n"))
    assert commands("proof", "head", "--out", tmp_path / "one.json").exit_code == 0
    VaultHeads(FolderVault(tmp_path / "bucket")).append(next(heads_in_file(kept)))
    for name in ("mailed.jsonl", "one.json", "bucket"):
        found = answer(commands(command, "--head", tmp_path / name, "--json"))
        assert (found["ok"], found["heads"]) == (True, 1), name
