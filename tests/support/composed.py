"""Services of ours as ``compose.yaml`` says them, run as plain processes with the addresses of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom
from typing import Any

import yaml

from tests.support.requirements import ROOT

FILE = ROOT / "compose.yaml"
IMAGE = "tallystick:local"
ENTRYPOINT = ["tallystick"]
HEALTHY_WITHIN_S = 60.0
_SHARES = [range(first, first + 2_000, 4) for first in range(20_000, 32_000, 2_000)]
"""What each process that runs tests gives of the ports: every fourth, as who runs a site takes four in a row."""
_ours = _SHARES[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % len(_SHARES)]
_dice = SystemRandom()
_given: set[int] = set()


def services() -> dict[str, dict[str, Any]]:
    """All services of the file, by name."""
    return yaml.safe_load(FILE.read_text())["services"]


def ours() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: service for name, service in services().items() if service["image"] == IMAGE}


def free_port() -> int:
    """A port for a process that is still to start: none that anybody else is given meanwhile.

    Not the system, to connections; not this process again; not a process that runs other tests beside this one.
    """
    for _ in range(100):
        port = _dice.choice(_ours)
        if port in _given:
            continue
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            _given.add(port)
            return port
    raise AssertionError("no port is free")


def default_of(text: str) -> str:
    """``${NAME:-default}`` as compose reads it where NAME is not set."""
    return text.split(":-", 1)[1][:-1] if text.startswith("${") else text


class Process:
    """One service: its command, environment and health check, with every port and address replaced by ours."""

    def __init__(self, name: str, addresses: Mapping[str, str], folder: Path) -> None:
        self.service = ours()[name]
        self._addresses = addresses
        self._folder = folder
        self._log = folder / f"{name}.log"
        command = [*self.service.get("entrypoint", ENTRYPOINT), *self.service["command"]]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._program(command), env=self._environment(), cwd=folder, stdout=log, stderr=log
            )

    def wait_until_healthy(self) -> None:
        """Run the service's own health check until it is content."""
        test = self.service["healthcheck"]["test"]
        assert test[0] == "CMD"
        deadline = time.monotonic() + HEALTHY_WITHIN_S
        while True:
            assert self._process.poll() is None, self.log
            checked = subprocess.run(
                self._program(test[1:]), env=self._environment(), capture_output=True, text=True, check=False
            )
            if checked.returncode == 0:
                return
            assert time.monotonic() < deadline, checked.stderr + self.log
            time.sleep(0.2)

    def wait(self, limit_s: float = HEALTHY_WITHIN_S) -> int:
        """Wait for its end; its exit status."""
        return self._process.wait(limit_s)

    def stop(self) -> int:
        """End it as ``docker stop`` does; its exit status."""
        self._process.terminate()
        return self.wait()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it wrote, to be shown where something is wrong."""
        return self._log.read_text()[-4000:]

    def _program(self, command: list[str]) -> list[str]:
        words = [self._ours(word) for word in command]
        return [str(Path(sys.executable).with_name(words[0])), *words[1:]]

    def _environment(self) -> dict[str, str]:
        given = {name: self._ours(default_of(str(value))) for name, value in self._given().items()}
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), "PYTHONPATH": str(ROOT)} | given

    def _given(self) -> dict[str, Any]:
        return self.service.get("environment", {})

    def _ours(self, text: str) -> str:
        theirs = "|".join(re.escape(word) for word in self._addresses)
        return re.sub(theirs, lambda found: self._addresses[found[0]], text)


def write_secrets(path: Path, values: Mapping[str, str | None]) -> None:
    """The one secret file; JSON strings are TOML strings."""
    path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
