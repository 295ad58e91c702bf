"""Server processes: started as an ordinary user, ended with us, their last words kept for the error."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tallystick.embedded import guard
from tallystick.embedded.folders import ServiceUser
from tallystick.errors import DataFolderError, ServiceError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.02
_LOG_LINES_SHOWN = 6
_FULL_DISK = "No space left on device"
_ENDED_STATES = "ZX"


def command_for(user: ServiceUser | None, arguments: Sequence[str | Path], *, end_signal: int) -> list[str]:
    """The command line that runs a program as the servers' user and ends it with us."""
    uid, gid = (-1, -1) if user is None else (user.uid, user.gid)
    head = [sys.executable, "-I", "-S", guard.__file__, str(uid), str(gid), str(os.getpid()), str(end_signal)]
    return [*head, *(str(argument) for argument in arguments)]


def _environment() -> dict[str, str]:
    """Nothing of ours, but where this interpreter's own library lies if it has to be told."""
    found = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    if (libraries := os.environ.get(guard.LIBRARY_PATH)) is not None:
        found[guard.LIBRARY_PATH] = libraries
    return found


def run_once(service: str, user: ServiceUser | None, arguments: Sequence[str | Path], *, cwd: Path) -> None:
    """Run a program to its end.

    :raises ServiceError: it failed; :raises DataFolderError: because the disk is full.
    """
    command = command_for(user, arguments, end_signal=signal.SIGKILL)
    try:
        done = subprocess.run(  # noqa: S603  # our own arguments
            command, cwd=cwd, env=_environment(), capture_output=True, timeout=START_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(service, f"{arguments[0]} did not end within {START_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise _failure(service, cwd, (done.stdout + done.stderr).decode(errors="replace"))


def _failure(service: str, folder: Path, said: str) -> ServiceError:
    if _FULL_DISK in said:
        return DataFolderError(service, folder, _FULL_DISK)
    lines = [line for line in said.splitlines() if line.strip()]
    return ServiceError(service, "ended at start:\n  " + "\n  ".join(lines[-_LOG_LINES_SHOWN:]))


class Server:
    """One server process. Start it from the main thread: the kernel ends it with the thread that started it."""

    def __init__(self, service: str, user: ServiceUser | None, *, log: Path, stop_signals: Sequence[int]) -> None:
        self.service = service
        self._user = user
        self._log = log
        self._stop_signals = stop_signals
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "the server was started"
        return self._process.pid

    def start(self, arguments: Sequence[str | Path], *, cwd: Path, ready: Callable[[], bool]) -> None:
        """Start it and wait until ``ready``.

        :raises ServiceError: it ended, or was not ready in time; :raises DataFolderError: the disk is full.
        """
        assert threading.current_thread() is threading.main_thread(), "a server ends with the thread that started it"
        command = command_for(self._user, arguments, end_signal=self._stop_signals[0])
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(  # noqa: S603  # our own arguments
                command,
                cwd=cwd,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # Ctrl-C is for us; we stop it when our own work has ended
            )
        finally:
            os.close(descriptor)
        self._wait_until(ready, cwd)

    def _wait_until(self, ready: Callable[[], bool], folder: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready():
            if self._process.poll() is not None:
                raise _failure(self.service, folder, self._log.read_text(encoding="utf-8", errors="replace"))
            if time.monotonic() > deadline:
                self.stop()
                raise ServiceError(self.service, f"not ready within {START_TIMEOUT_S:.0f} s; its log: {self._log}")
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop it, gently first; returns when it has ended."""
        if self._process is None:
            return
        for number in (*self._stop_signals, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.send_signal(number)
                self._process.wait(STOP_TIMEOUT_S)
                break
        self._process = None


def is_alive(pid: int) -> bool:
    """Whether there is such a process and it has not ended: in a container nobody may clear away what has."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state not in _ENDED_STATES


def command_of(pid: int) -> str:
    """What a process was started with; empty when it is gone or cannot be asked."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        asked = subprocess.run(  # noqa: S603  # a number
            ["/bin/ps", "-o", "command=", "-p", str(pid)], capture_output=True, check=False
        )
        return asked.stdout.decode(errors="replace").strip()


def end_stray(pid: int, stop_signals: Sequence[int]) -> None:
    """End a server that an earlier run of ours left behind."""
    for number in (*stop_signals, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            if not is_alive(pid):
                return
            time.sleep(_POLL_S)
