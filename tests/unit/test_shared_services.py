"""Who shares the servers of a data folder, and what a run that was killed left in there."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tallystick.embedded import services
from tallystick.errors import DataFolderBusy
from tallystick.settings import Settings

GONE = 2**30
"""A process id that no system gives."""


def publish(folder: Path, pid: int, name: str) -> None:
    """Say where the servers of a process are, as it does."""
    addresses = {"database_url": f"postgresql://{name}", "redis_url": f"unix://{name}"}
    (folder / "services.json").write_text(json.dumps({"pid": pid, "addresses": addresses}))


@pytest.fixture
def lock(tmp_path: Path) -> Generator[Path]:
    """A data folder's lock: held, but what stands in there is still from a run that was killed."""
    path = tmp_path / "lock"
    path.write_text(f"{GONE}\n")
    descriptor = os.open(path, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield path
    os.close(descriptor)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens while somebody waits for the servers, one thing a turn."""
    found: list[Any] = []
    now_s = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        if found:
            found.pop(0)()

    monkeypatch.setattr(services, "time", SimpleNamespace(monotonic=lambda: now_s, sleep=sleep))
    return found


@pytest.mark.parametrize("left_behind", [False, True], ids=["nothing is left", "its addresses are left"])
def test_servers_are_shared_though_the_lock_still_names_a_killed_run(
    lock: Path, turns: list[Any], *, left_behind: bool
) -> None:
    if left_behind:
        publish(lock.parent, GONE, "killed")
    turns += [
        lambda: lock.write_text(""),
        lambda: lock.write_text(f"{os.getpid()}\n"),
        lambda: publish(lock.parent, os.getpid(), "alive"),
    ]
    with services.services(Settings(data_dir=lock.parent, secret="x" * 40)) as found:
        assert found.database_url == "postgresql://alive"


def test_a_folder_in_use_is_refused_by_the_name_of_who_uses_it_now(lock: Path, turns: list[Any]) -> None:
    turns += [lambda: lock.write_text(f"{os.getpid()}\n")]
    with pytest.raises(DataFolderBusy) as busy, services.services(Settings(data_dir=lock.parent, secret="x" * 40)):
        pass
    assert busy.value.pid == os.getpid()


def test_addresses_of_a_killed_run_are_gone_before_servers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path, os.getpid(), "killed")  # in a container every run has the same process id
    seen: list[bool] = []

    class Starting:
        def __init__(self, *_arguments: object) -> None:
            seen.append((tmp_path / "services.json").exists())
            raise InterruptedError

    monkeypatch.setattr(services, "EmbeddedPostgres", Starting)
    with pytest.raises(InterruptedError), services.services(Settings(data_dir=tmp_path, secret="x" * 40)):
        pass
    assert seen == [False]
