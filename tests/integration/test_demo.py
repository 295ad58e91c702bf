"""``tallystick demo``: the whole story with real figures, and a failure that says where."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import socket
from collections.abc import Generator
from pathlib import Path

import pytest
from PIL import Image

from tests.support import instances
from tests.support.composed import free_port
from tests.support.site import tallystick

pytestmark = pytest.mark.timeout(150)

STEPS = ["start", "sign up", "top up", "quote", "job", "image", "debit", "statement", "books", "verify"]


@pytest.fixture
def folder() -> Generator[Path]:
    """Where the servers' own folder is made, in reach of their user."""
    found = instances.new_folder()
    yield found
    shutil.rmtree(found)


def processes_that_know(folder: Path) -> list[str]:
    """Commands of processes that were started with, or told of, a folder."""
    found: list[str] = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command, environment = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
            found += [command.decode()] if str(folder).encode() in command + environment else []
    return found


def steps(said: str) -> dict[str, str]:
    """What each step said."""
    return dict(re.findall(rf"^({'|'.join(STEPS)}) +(\S.*)$", said, re.MULTILINE))


def test_the_story_is_told_with_real_figures_and_leaves_nothing(tmp_path: Path, folder: Path) -> None:
    done = tallystick("demo", environment={"TALLYSTICK_DATA_DIR": str(tmp_path), "TMPDIR": str(folder)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = steps(done.stdout)
    assert list(told) == STEPS
    assert re.fullmatch(
        r"1000 credits for 10\.00 USD, paid at the sandbox's desk, credited after \d+\.\d s", told["top up"]
    )
    assert "costs 1 credit" in told["quote"] and "accepted → running → succeeded" in told["job"]
    assert told["debit"] == "1 credit charged, none held, 1000 - 1 = 999 available"
    assert told["statement"] == "3 lines that add up to 999 credits"
    picture = Path(told["image"].split(": ")[1])
    with Image.open(io.BytesIO(picture.read_bytes())) as found:
        assert found.size == (1024, 1024)
    assert list((tmp_path / "demo" / "books").glob("*.beancount"))
    assert "hashes, balances and holds are what the log says" in told["verify"]
    assert "nothing is left running" in done.stdout
    assert not list(folder.iterdir()), "servers lived there"
    assert not processes_that_know(folder)


def test_a_step_that_fails_is_named_with_its_reason_and_the_logs(tmp_path: Path, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:  # the three behind it are the other processes'
        environment = {
            "TALLYSTICK_DATA_DIR": str(tmp_path),
            "TMPDIR": str(folder),
            "TALLYSTICK_METRICS_PORT": str(taken.getsockname()[1]),
        }
        done = tallystick("demo", environment=environment)
    assert done.returncode == 1
    assert "failed at step start: api: ended with 1; its log: " in done.stdout
    assert "Address already in use" in done.stdout
    found = re.search(r"logs and data: (\S+)", done.stdout)
    assert found is not None and (Path(found[1]) / "logs" / "api.log").exists()
    assert not processes_that_know(folder)


def test_the_sandbox_beside_live_keys_is_refused(tmp_path: Path) -> None:
    environment = {"TALLYSTICK_DATA_DIR": str(tmp_path), "STRIPE_API_KEY": "sk_live_0123456789"}
    done = tallystick("demo", environment=environment)
    assert done.returncode == 1
    assert "the sandbox is not for an installation with real money" in done.stderr and "STRIPE_API_KEY" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not list(tmp_path.iterdir())
