"""The product as somebody else installs it: one wheel, alone in a fresh environment, with what the lock pins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.requirements import ROOT, not_run

LIMIT_S = 300

OWNERS = """
import importlib.metadata, json
found = {}
for one in importlib.metadata.distributions():
    names = {file.parts[0].removesuffix(".py") for file in one.files or () if file.parts[0] != ".."}
    found[one.metadata["Name"]] = sorted(name for name in names if not name.endswith((".dist-info", ".data")))
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel in it."""

    wheel: Path
    home: Path

    def run(self, folder: Path, *command: str, limit_s: float = LIMIT_S, **environment: str) -> str:
        """Run a program of the environment from a folder, with nothing of ours in reach; its output. Must succeed."""
        program = self.home / "bin" / command[0]
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        done = subprocess.run(
            [program, *command[1:]],
            cwd=folder,
            env=clean | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    def owners(self, folder: Path) -> dict[str, list[str]]:
        """Top-level names of every installed distribution."""
        return json.loads(self.run(folder, "python", "-c", OWNERS))


def install(folder: Path) -> Installed:
    """Build the wheel and install it into a new environment; without a package registry the test is not run."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    wheel = next((folder / "dist").glob("*.whl"))
    home = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    _uv(home, "--require-hashes", "--requirement", str(ROOT / "requirements" / "runtime.lock"))
    _uv(home, "--no-deps", str(wheel))
    return Installed(wheel, home)


def _uv(home: Path, *arguments: str) -> None:
    command = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--python", home / "bin" / "python"]
    done = subprocess.run([*command, *arguments], env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode and "://" in done.stderr:
        not_run("a package registry", "set PIP_INDEX_URL, or come online")
    assert done.returncode == 0, done.stderr


def _environment() -> dict[str, str]:
    """uv does not read pip's variables."""
    found = dict(os.environ)
    for name in ("DEFAULT_INDEX=INDEX_URL", "INDEX=EXTRA_INDEX_URL", "FIND_LINKS=FIND_LINKS"):
        ours, theirs = name.split("=")
        if f"UV_{ours}" not in found and (given := found.get(f"PIP_{theirs}")):
            found[f"UV_{ours}"] = given
    return found
