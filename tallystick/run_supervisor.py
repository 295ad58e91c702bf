"""Children of one process: started, watched, started again when they die, stopped in order, never left behind."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import tallystick
from tallystick.errors import ServiceError

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_LOG_LINES_SHOWN = 5
_LOG_BYTES_KEPT = 10 * 1024 * 1024
_DEATHS_MAX = 5
_DEATHS_WITHIN_S = 60.0
_RESTART_PAUSE_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a child runs: ``python -m module arguments``. ``stop_limit_s`` is how long it may take to end."""

    name: str
    module: str
    arguments: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    stop_limit_s: float = 3.0


class Child:
    """One child, and its log. Its standard input is the string by which it is held."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.deaths: list[float] = []
        self.again_at = 0.0
        _set_aside(log)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        program = self.program
        command = [sys.executable, "-m", "tallystick.run_child", program.module, *program.arguments]
        with self.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # our own arguments
                command,
                env={**os.environ, **program.environment, "PYTHONPATH": _python_path()},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which stops its children in order
            )

    def start_again(self) -> None:
        """Start it once more, into the same log."""
        self._close()
        self.process = self._start()

    def ask_to_stop(self) -> None:
        """Tell it to stop, as ``docker stop`` does."""
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def wait(self, limit_s: float) -> bool:
        """Wait for its end; kill it when the time is over. Whether it ended by itself."""
        try:
            self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        finally:
            self._close()
        return True

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n  ".join(line for line in lines[-_LOG_LINES_SHOWN:] if line.strip())

    def _close(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


class Supervisor:
    """Children in the order of their start. Used from one thread."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []

    def start(self, program: Program) -> Child:
        """Start a child; its log is ``<logs>/<name>.log``."""
        child = Child(program, self._logs / f"{program.name}.log")
        self.children.append(child)
        return child

    def check(self, child: Child) -> None:
        """Refuse to go on with a child that has ended.

        :raises ServiceError: with its last words.
        """
        status = child.process.poll()
        if status is not None:
            raise ServiceError(child.program.name, f"ended with {status}; its log: {child.log}\n  {child.last_words()}")

    def watch(self, stopping: Event) -> None:
        """Keep all children running until ``stopping`` is set.

        :raises ServiceError: one dies again and again.
        """
        while not stopping.wait(_POLL_S):
            self.look()

    def look(self) -> None:
        """Start again whoever has died. Raises as ``watch``."""
        for child in self.children:
            if child.process.poll() is not None:
                self._revive(child)

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        if child.again_at == 0.0:
            child.deaths = [at for at in child.deaths if now - at < _DEATHS_WITHIN_S] + [now]
            _log.warning("%s ended with %s", child.program.name, child.process.returncode)
            if len(child.deaths) > _DEATHS_MAX:
                self.check(child)
            child.again_at = now + _RESTART_PAUSE_S * len(child.deaths)
        elif now >= child.again_at:
            child.again_at = 0.0
            child.start_again()

    def stop(self, *names: str) -> list[str]:
        """Stop these children together, or all of them, last first; names of those that had to be killed."""
        chosen = [child for child in self.children if not names or child.program.name in names]
        groups = [chosen] if names else [[child] for child in reversed(chosen)]
        killed: list[str] = []
        for group in groups:
            for child in group:
                child.ask_to_stop()
            ends = time.monotonic() + max((child.program.stop_limit_s for child in group), default=0.0)
            killed += [child.program.name for child in group if not child.wait(max(0.0, ends - time.monotonic()))]
        self.children = [child for child in self.children if child not in chosen]
        return killed


def _python_path() -> str:
    """Where our packages are, before whatever the caller's path says."""
    ours = str(Path(tallystick.__file__).parents[1])
    return os.pathsep.join([ours, *filter(None, [os.environ.get("PYTHONPATH")])])


def _set_aside(log: Path) -> None:
    """Begin a new file where the old one has grown large; one old one is kept."""
    if log.exists() and log.stat().st_size > _LOG_BYTES_KEPT:
        log.replace(log.with_suffix(".log.1"))
