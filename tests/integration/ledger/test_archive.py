"""The archive: whole ranges as Parquet in a folder and in a bucket, read back before they count."""

from __future__ import annotations

import io
import json
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import Any

import boto3
import psycopg
import pyarrow.parquet
import pytest
from moto.server import ThreadedMotoServer
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver, catch_up
from ledger.proof.archive import Archive
from ledger.proof.errors import BadFile, VaultUnavailable
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import Head, SignedHead
from ledger.proof.merkle import Frontier
from ledger.proof.ports import Vault
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.parquet import Parquet
from tallystick.settings import Settings
from tallystick.vaults import FolderVault, S3Vault, open_heads, open_vault
from tests.support import servers
from tests.support.cli import Commands
from tests.support.histories import History, mirrored
from tests.support.ledger import ManualClock
from tests.support.servers import Database

SIZE = 32


@pytest.fixture(scope="module")
def s3_server() -> Generator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, settings: Settings) -> Settings:
    client: Any = boto3.client(
        "s3", region_name="us-east-1", endpoint_url=s3_server, aws_access_key_id="t", aws_secret_access_key="t"
    )
    client.create_bucket(Bucket="copies")
    return settings.with_values(s3_endpoint_url=s3_server, s3_access_key_id="t", s3_secret_access_key="t")


@pytest.fixture(params=["folder", "s3"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Vault:
    if request.param == "folder":
        return FolderVault(tmp_path / "archive")
    return open_vault(f"s3://copies/{tmp_path.name}/log", request.getfixturevalue("s3"))


@pytest.fixture
def driver(database: Database, pool: ConnectionPool) -> Driver:
    clock = ManualClock()
    twin, connection = mirrored(database.writer_url, clock)
    History(twin, clock, Random(3)).play(100)
    connection.close()
    driver = Driver(pool)
    catch_up(driver, [ProofFollower()])
    return driver


def log(database: Database) -> list[tuple[Any, ...]]:
    with psycopg.connect(database.serving_url) as connection:
        return connection.execute("SELECT notification_id, state, hash FROM events ORDER BY notification_id").fetchall()


def test_invariant_38_whole_ranges_are_copied_once_with_all_that_is_in_them(
    database: Database, driver: Driver, vault: Vault
) -> None:
    stored, archive = log(database), Archive(vault, Parquet(), SIZE)
    written = archive.extend(driver)
    assert [(one.first, one.last) for one in written] == [
        (first, first + SIZE - 1) for first in range(1, len(stored) - SIZE + 2, SIZE)
    ]
    assert archive.extend(driver) == [] and archive.manifests() == written
    assert archive.check(driver) == []
    for one in written:
        content = vault.get(one.file)
        assert content is not None
        table = pyarrow.parquet.read_table(io.BytesIO(content))
        rows = list(zip(*(table.column(name).to_pylist() for name in ("position", "state", "hash")), strict=True))
        assert rows == stored[one.first - 1 : one.last]
        frontier = Frontier()
        for _, _, digest in rows:
            frontier.add(digest)
        assert one.root == frontier.root().hex()
    with psycopg.connect(database.serving_url) as connection:
        count = connection.execute("SELECT count(*) FROM events").fetchone()
    assert count == (len(stored),), "rows stay"


class Rotten(FolderVault):
    """A disk that gives back something else than was written."""

    def get(self, name: str) -> bytes | None:
        content = super().get(name)
        return content and (content[:-9] + b"x" + content[-8:] if name.endswith(".parquet") else content)


def test_a_copy_that_does_not_read_back_never_counts(driver: Driver, tmp_path: Path) -> None:
    archive = Archive(Rotten(tmp_path), Parquet(), SIZE)
    with pytest.raises(BadFile):
        archive.extend(driver)
    assert archive.manifests() == []


def test_invariant_38_a_check_finds_a_changed_a_lost_and_a_swapped_file(driver: Driver, tmp_path: Path) -> None:
    archive = Archive(FolderVault(tmp_path), Parquet(), SIZE)
    first, second, *_ = archive.extend(driver)
    whole, other = (tmp_path / first.file).read_bytes(), (tmp_path / second.file).read_bytes()
    (tmp_path / first.file).write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    assert archive.check(driver) == [f"{first.file} is not what its manifest says"]
    (tmp_path / first.file).write_bytes(other)
    assert archive.check(driver) == [f"{first.file} is not what its manifest says"]
    (tmp_path / first.file).unlink()
    assert archive.check(driver) == [f"{first.file} is gone"]
    (tmp_path / first.file).write_bytes(whole)
    assert archive.check(driver) == []
    manifest = next(tmp_path.glob("manifests/*1-*.json"))
    manifest.unlink()
    assert "does not go on" in archive.check(driver)[0]


def test_invariant_38_a_check_finds_where_the_log_is_not_what_was_archived(
    database: Database, driver: Driver, tmp_path: Path
) -> None:
    archive = Archive(FolderVault(tmp_path), Parquet(), SIZE)
    first, second, *_ = archive.extend(driver)
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute("ALTER TABLE events DISABLE TRIGGER events_never_change")
        connection.execute("UPDATE events SET state = 'x' WHERE notification_id = 7")
        connection.execute("DELETE FROM events WHERE notification_id = 40")
    assert archive.check(driver)[:2] == [
        f"event 7 is not in the log as it is in {first.file}",
        f"event 40 is not in the log as it is in {second.file}",
    ]


def test_an_archive_of_another_log_is_not_gone_on_with(
    driver: Driver, postgres_server: EmbeddedPostgres, settings: Settings, tmp_path: Path
) -> None:
    command, place = ("archive", "--to", tmp_path, "--range", SIZE), FolderVault(tmp_path)
    assert Commands(settings)(*command).exit_code == 0
    before = {name: place.get(name) for name in place.names("")}
    last = Archive(place, Parquet(), SIZE).manifests()[-1].last
    with servers.database_from(postgres_server, servers.MIGRATED) as other:
        elsewhere = Commands(
            settings.with_values(
                database_url=other.serving_url,
                database_owner_url=other.owner_url,
                database_writer_url=other.writer_url,
            )
        )
        told = elsewhere(*command)
        assert told.exit_code == 1 and f"ends with event {last}, which this log does not have" in told.output
        clock = ManualClock()
        twin, connection = mirrored(other.writer_url, clock)
        History(twin, clock, Random(4)).play(200)
        connection.close()
        assert twin.head() >= last + SIZE, "there is something to archive"
        told = elsewhere(*command)
        assert told.exit_code == 1 and f"ends with event {last}, which is another in this log" in told.output
        assert "to another place" in told.output and "tallystick recover" in told.output
    assert {name: place.get(name) for name in place.names("")} == before
    assert Archive(place, Parquet(), SIZE).check(driver) == []


def test_nothing_in_a_vault_is_written_over(vault: Vault) -> None:
    vault.put("a/one", b"1")
    vault.put("a/one", b"1")
    with pytest.raises(BadFile):
        vault.put("a/one", b"2")
    vault.put("b/two", b"2")
    assert (vault.get("a/one"), vault.get("a/none")) == (b"1", None)
    assert (vault.names("a/"), vault.names("")) == (["a/one"], ["a/one", "b/two"])


def test_heads_are_kept_in_a_bucket_one_by_one(s3: Settings, tmp_path: Path) -> None:
    target = open_heads(f"s3://copies/{tmp_path.name}", s3)
    assert target.last() is None
    heads = [
        SignedHead(
            head=Head(
                size=size,
                root=bytes(32),
                log_hash=bytes(32),
                verdicts_hash=bytes(32),
                signed_at_us=1_700_000_000_000_000 + size * 3_600_000_000,
            ),
            key_id="k",
            signature=bytes(64),
        )
        for size in (9, 10, 60)
    ]
    for head in heads:
        target.append(head)
    assert list(target.heads()) == heads and target.last() == heads[-1]


def test_a_bucket_that_is_not_there_is_unavailable(s3: Settings) -> None:
    vault = S3Vault(s3, "nowhere", "")
    for ask in (lambda: vault.put("a", b""), lambda: vault.get("a"), lambda: vault.names("a")):
        with pytest.raises(VaultUnavailable) as raised:
            ask()
        assert raised.value.transient


def test_the_command_archives_and_checks(driver: Driver, settings: Settings, tmp_path: Path) -> None:
    command, place = Commands(settings), tmp_path / "copies"
    done = command("archive", "--to", place, "--range", 32, "--json")
    assert done.exit_code == 0, done.output
    files = json.loads(done.stdout)
    checked = command("archive", "--to", place, "--range", 32, "--check", "--json")
    assert json.loads(checked.stdout) == {"ok": True, "files": len(files), "last": len(files) * 32, "wrong": []}
    next((place / "events").iterdir()).write_bytes(b"")
    assert command("archive", "--to", place, "--range", 32, "--check").exit_code == 1
