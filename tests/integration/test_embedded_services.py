"""Our own PostgreSQL and Redis: as root and as an ordinary user, side by side, killed, locked, and short of space."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from tallystick.embedded import folders
from tallystick.embedded.postgres import EmbeddedPostgres
from tallystick.errors import DataFolderError
from tests.support import instances
from tests.support.instances import Runner
from tests.support.requirements import not_run

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module", params=["root", "ordinary user"])
def runner(request: pytest.FixtureRequest) -> Generator[Runner]:
    if request.param == "ordinary user":
        with instances.as_ordinary_user() as found:
            yield found
    elif os.geteuid() == 0:
        yield instances.as_we_are()
    else:
        not_run("embedded services as root", "run the tests as root")


@pytest.fixture
def folder(runner: Runner) -> Generator[Path]:
    found = instances.new_folder(runner.uid)
    yield found
    shutil.rmtree(found)


def remember(url: str, value: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS remembered (value int)")
        connection.execute("INSERT INTO remembered VALUES (%s)", [value])


def remembered(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM remembered ORDER BY value").fetchall()]


def as_its_user(runner: Runner, url: str, query: str) -> str:
    """Ask as the user who started the servers, since nobody else is let in."""
    code = "import sys, psycopg; print(psycopg.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])"
    done = subprocess.run(
        runner.command(code, url, query), capture_output=True, text=True, check=False, **runner.options({})
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_servers_start_durable_as_an_ordinary_user_and_end_with_the_block(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        pids = found.pids()
        owners = {Path(f"/proc/{pid}").stat().st_uid for pid in pids - {found.process.pid}}
        assert owners and 0 not in owners
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert as_its_user(runner, found.addresses["database"], f"SELECT current_setting('{name}')") == "on"
        assert as_its_user(runner, found.addresses["database"], "SELECT current_user") == "tallystick"
        assert as_its_user(runner, found.addresses["owner"], "SELECT current_user") == "tallystick_owner"
        found.close()
    instances.wait_until_ended(pids)


def test_two_instances_run_side_by_side(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "one") as one, instances.instance(runner, folder / "two") as two:
        assert not set(one.addresses.values()) & set(two.addresses.values())
        for found in (one, two):
            assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"


def test_killing_the_parent_ends_the_servers_and_the_next_start_is_clean(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        servers = found.pids() - {found.process.pid}
        as_its_user(runner, found.addresses["owner"], "SELECT set_config('a.b', 'c', false)")
        instances.kill({found.process.pid})
        instances.wait_until_ended(servers)
    with instances.instance(runner, folder / "data") as found:
        assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"


def test_a_committed_row_survives_kill_9_of_everything(runner: Runner, folder: Path) -> None:
    code = (
        "import sys, psycopg; c = psycopg.connect(sys.argv[1], autocommit=True);"
        "c.execute('CREATE TABLE remembered AS SELECT 7 AS value')"
    )
    with instances.instance(runner, folder / "data") as found:
        subprocess.run(runner.command(code, found.addresses["owner"]), check=True, **runner.options({}))
        instances.kill(found.pids())
    with instances.instance(runner, folder / "data") as found:
        assert as_its_user(runner, found.addresses["owner"], "SELECT value FROM remembered") == "7"


def test_a_lock_file_that_names_somebody_elses_process_is_passed_over(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        instances.kill(found.pids())
    lock = folder / "data" / "postgres" / "data" / "postmaster.pid"
    user = lock.stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=user if os.geteuid() == 0 else None)
    try:
        lines = lock.read_text().splitlines(keepends=True)
        lock.write_text(f"{stranger.pid}\n" + "".join(lines[1:]))
        with instances.instance(runner, folder / "data") as found:
            assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"
        assert stranger.poll() is None, "the stranger was left alone"
    finally:
        stranger.kill()
        stranger.wait()


def test_a_folder_in_use_is_shared_or_refused_by_name(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as first:
        with instances.instance(runner, folder / "data", "share") as second:
            assert second.addresses == first.addresses
            second.close()
        assert as_its_user(runner, first.addresses["owner"], "SELECT 1") == "1"
        with pytest.raises(AssertionError, match=f"in use by process {first.process.pid}"):
            instances.instance(runner, folder / "data").__enter__()


def test_no_permission_that_was_there_is_changed(runner: Runner, folder: Path) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    if runner.uid is not None:
        os.chown(private, runner.uid, -1)
    watched = [private, *private.parents, *Path(folders.__file__).parents, *Path(psycopg.__file__).parents]
    before = {path: path.stat().st_mode for path in watched}
    with instances.instance(runner, private / "data") as found:
        assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"
        found.close()
    assert {path: path.stat().st_mode for path in watched} == before
    instances.remove_moved(private)


def test_a_path_too_long_for_a_socket_is_no_hindrance(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / ("d" * 120)) as found:
        assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"
        found.close()


def test_a_first_start_that_was_cut_off_is_done_again(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        found.close()
    home = folder / "data" / "postgres"
    (home / "data").rename(home / "data.new")
    (home / "data.new" / "PG_VERSION").unlink()
    with instances.instance(runner, folder / "data") as found:
        assert as_its_user(runner, found.addresses["owner"], "SELECT 1") == "1"


def test_a_cluster_of_another_version_is_refused_by_name(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        found.close()
    (folder / "data" / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    done = instances.run(runner, folder / "data", "doctor")
    assert done.returncode == 1
    assert "made by PostgreSQL 16, this is 18" in done.stderr


@contextmanager
def mounted(folder: Path, *options: str) -> Generator[Path]:
    """A small file system of its own at ``folder``; only root can have one."""
    if os.geteuid() != 0:
        not_run("a full or read-only disk", "run the tests as root")
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode != 0:
        not_run("a full or read-only disk", "run the tests where mount is allowed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def says_one_line(done: subprocess.CompletedProcess[str], *expected: str) -> None:
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for part in expected:
        assert part in done.stderr


@pytest.mark.parametrize("size", ["64k", "8m"])
def test_a_full_disk_is_one_clear_error(runner: Runner, folder: Path, size: str) -> None:
    owner = f"uid={runner.uid}" if runner.uid is not None else "uid=0"
    with mounted(folder / "disk", f"size={size}", owner, "mode=755") as disk:
        says_one_line(instances.run(runner, disk / "data", "doctor"), str(disk), "No space left on device")


def test_a_read_only_disk_is_one_clear_error(runner: Runner, folder: Path) -> None:
    with mounted(folder / "disk", "size=1m", "mode=755", "ro") as disk:
        says_one_line(instances.run(runner, disk / "data", "doctor"), str(disk / "data"), "Read-only file system")


def test_a_folder_we_may_not_write_is_one_clear_error(folder: Path, runner: Runner) -> None:
    if runner.uid is None and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.chmod(0o500)
    says_one_line(instances.run(runner, folder / "data", "doctor"), str(folder / "data"), "Permission denied")


def test_with_both_addresses_given_nothing_is_started(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "theirs") as theirs:
        given = {"DATABASE_URL": theirs.addresses["database"], "REDIS_URL": theirs.addresses["redis"]}
        secret = {"TALLYSTICK_SECRET": "s" * 40}
        with instances.instance(runner, folder / "ours", **given, **secret) as ours:
            assert ours.addresses["database"] == theirs.addresses["database"]
            assert ours.addresses["redis"] == theirs.addresses["redis"]
            assert not instances.descendants(ours.process.pid)


def test_a_server_left_behind_is_ended_by_the_next_start() -> None:
    folder = instances.new_folder()
    user = folders.service_user("nobody")
    first, second = EmbeddedPostgres(folder, user), EmbeddedPostgres(folder, user)
    try:
        first.start()
        left_behind = first.pid
        second.start()
        assert second.pid != left_behind
        remember(second.owner_url, 1)
        assert remembered(second.owner_url) == [1]
    finally:
        second.stop()
        first.stop()
        shutil.rmtree(folder)


def test_a_folder_of_another_user_is_refused_by_name() -> None:
    if os.geteuid() != 0:
        not_run("folders of other users", "run the tests as root")
    folder = instances.new_folder()
    (folder / "postgres").mkdir()
    try:
        with pytest.raises(DataFolderError, match="belongs to user 0, servers would run as"):
            EmbeddedPostgres(folder, folders.service_user("nobody")).start()
    finally:
        shutil.rmtree(folder)


def test_redis_holds_nothing_on_disk(runner: Runner, folder: Path) -> None:
    with instances.instance(runner, folder / "data") as found:
        if runner.uid is None:
            redis.Redis.from_url(found.addresses["redis"]).set("a", "b")
        found.close()
    assert not list((folder / "data" / "redis").glob("*.rdb"))
