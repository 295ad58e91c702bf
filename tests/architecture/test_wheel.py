"""The wheel, installed alone, is the whole program; nobody else owns our names."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tallystick import __version__
from tests.support import instances
from tests.support.requirements import ROOT
from tests.support.wheel import Installed, install

OURS = ("ledger", "customers", "payments", "workers", "projections", "simulation", "api", "tallystick", "migrations")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_every_file_of_our_packages_and_no_other(installed: Installed) -> None:
    tracked = subprocess.run(["git", "ls-files", *OURS], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    expected = {name for name in tracked.splitlines() if (ROOT / name).exists()}
    packed = {name for name in zipfile.ZipFile(installed.wheel).namelist() if ".dist-info/" not in name}
    assert expected <= packed
    assert {name.split("/")[0] for name in packed} == set(OURS)


def test_nobody_else_owns_our_names(installed: Installed, tmp_path: Path) -> None:
    owners = installed.owners(tmp_path)
    assert set(owners["tallystick"]) == set(OURS)
    for other, names in owners.items():
        assert other == "tallystick" or not set(names) & set(OURS), other


def test_the_command_is_there(installed: Installed, tmp_path: Path) -> None:
    assert installed.run(tmp_path, "tallystick", "--version").strip().endswith(__version__)
    assert "doctor" in installed.run(tmp_path, "tallystick", "--help")


@pytest.fixture
def nothing_elsewhere(tmp_path: Path) -> Generator[None]:
    """The folder is private, so root has its servers' data elsewhere."""
    yield
    instances.remove_moved(tmp_path)


@pytest.mark.usefixtures("nothing_elsewhere")
def test_doctor_is_content_with_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    installed.run(tmp_path, "tallystick", "migrate")
    assert "FAIL" not in installed.run(tmp_path, "tallystick", "doctor")
    assert [entry.name for entry in tmp_path.iterdir()] == [".tallystick"]


@pytest.mark.usefixtures("nothing_elsewhere")
def test_the_wheel_tells_one_credits_whole_life(installed: Installed, tmp_path: Path) -> None:
    told = installed.run(tmp_path, "tallystick", "demo")
    assert "nothing is left running" in told
    assert [entry.name for entry in tmp_path.iterdir()] == [".tallystick"]
