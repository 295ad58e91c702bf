"""Children start, die, come back, and never outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from threading import Event

import pytest

from tallystick import run_child
from tallystick.errors import ServiceError
from tallystick.run_supervisor import Program, Supervisor
from tests.support import instances
from tests.support.requirements import ROOT

STAY = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + STAY
DIE = "import sys\nprint('the reason why', flush=True)\nsys.exit(3)\n"


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Supervisor]:
    """A supervisor whose children find the modules of the test."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = Supervisor(tmp_path / "logs")
    yield found
    for child in found.children:
        child.process.kill()
    found.stop()


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str, str], Program]:
    """Makes programs out of code."""

    def make(name: str, code: str) -> Program:
        (tmp_path / f"{name}.py").write_text(code)
        return Program(name=name, module=name, stop_limit_s=5.0)

    return make


def wait_for(what: Callable[[], object]) -> None:
    ends = time.monotonic() + 60
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_child_that_dies_is_started_again_into_the_same_log(
    supervisor: Supervisor, program: Callable[[str, str], Program]
) -> None:
    child = supervisor.start(program("stay", STAY))
    wait_for(lambda: child.log.read_text() == "up\n")
    before = child.process.pid
    child.process.kill()
    child.process.wait()
    wait_for(lambda: (supervisor.look(), child.log.read_text() == "up\nup\n")[1])
    assert child.process.pid != before
    assert supervisor.stop() == []
    instances.wait_until_ended({child.process.pid})


def test_a_child_that_dies_again_and_again_is_the_end_with_its_last_words(
    supervisor: Supervisor, program: Callable[[str, str], Program], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tallystick.run_supervisor._RESTART_PAUSE_S", 0.0)
    child = supervisor.start(program("die", DIE))
    with pytest.raises(ServiceError, match=r"die: ended with 3; its log: .*\n  the reason why") as error:
        supervisor.watch(Event())
    assert error.value.service == "die"
    assert child.log.read_text() == "the reason why\n" * 6


def test_a_stubborn_child_is_killed_and_named(supervisor: Supervisor, program: Callable[[str, str], Program]) -> None:
    good, bad = supervisor.start(program("good", STAY)), supervisor.start(program("bad", STUBBORN))
    wait_for(lambda: good.log.read_text() and bad.log.read_text())
    start = time.monotonic()
    assert supervisor.stop("good", "bad") == ["bad"]
    assert time.monotonic() - start < 30, "it would have slept for a minute"
    assert supervisor.children == []


def test_a_large_log_is_set_aside(
    supervisor: Supervisor, program: Callable[[str, str], Program], tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "stay.log"
    with log.open("wb") as file:
        file.truncate(11 * 1024 * 1024)
    child = supervisor.start(program("stay", STAY))
    wait_for(lambda: child.log.read_text() == "up\n")
    assert log.with_suffix(".log.1").stat().st_size > 10 * 1024 * 1024


@pytest.mark.parametrize("code", [STAY, STUBBORN], ids=["willing", "stubborn"])
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path, code: str) -> None:
    (tmp_path / "child.py").write_text(code)
    parent_code = (
        "import sys, time\nfrom pathlib import Path\nfrom tallystick.run_supervisor import Program, Supervisor\n"
        "child = Supervisor(Path(sys.argv[1])).start(Program(name='child', module='child'))\n"
        "print(child.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    with subprocess.Popen(
        [sys.executable, "-c", parent_code, str(tmp_path)], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_for(lambda: (tmp_path / "child.log").read_text() == "up\n")
        parent.send_signal(signal.SIGKILL)
        start = time.monotonic()
        instances.wait_until_ended({child})
        assert time.monotonic() - start < run_child.ORPHAN_LIMIT_S + 30, "it would have slept for a minute"
