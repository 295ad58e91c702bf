"""Exports checked by the programs that bookkeepers use, each month in a process of its own.

beancount is GPL-2 and runs as a program of an environment of its own; hledger is a program of the machine.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from msgspec import Struct

from projections.books.beancount import Beancount
from projections.books.export import Progress
from projections.books.hledger import Hledger
from projections.books.replay import replay
from projections.errors import CheckerMissing

PROCESSES = 2
CHECK_TIMEOUT_S = 600.0
_LINES_SHOWN = 20


class Checker(Struct, frozen=True, kw_only=True):
    """How a program is asked to check one file: what stands before its name."""

    name: str
    suffix: str
    before: tuple[str, ...]
    install: str


BEAN_CHECK = Checker(
    name="bean-check",
    suffix=Beancount.suffix,
    before=("--no-cache",),
    install="pip install beancount in an environment of its own, and set TALLYSTICK_BEAN_CHECK",
)
HLEDGER = Checker(
    name="hledger",
    suffix=Hledger.suffix,
    before=("check", "--strict", "ordereddates", "-f"),
    install="apt-get install hledger",
)


class Verified(Struct, frozen=True, kw_only=True):
    """Files that were checked, and what the checkers said against them; ``complaints`` empty means clean."""

    program: str
    files: int
    complaints: tuple[str, ...]


def verify(
    checker: Checker,
    program: Path | None,
    folder: Path,
    progress: Progress = lambda _done, _all: None,
) -> Verified:
    """Check every file of a folder, ``PROCESSES`` at a time; a beancount export is replayed as well.

    :raises CheckerMissing: the program is not there: nothing was checked.
    """
    if program is None or not program.is_file():
        raise CheckerMissing(checker.name, checker.install)
    files = sorted(folder.glob(f"[0-9]*{checker.suffix}"))
    complaints: list[str] = []
    with ThreadPoolExecutor(PROCESSES) as threads:
        answers = threads.map(partial(_complaint, checker, program), files)
        for done, complaint in enumerate(answers, start=1):
            complaints += [complaint] if complaint else []
            progress(done, len(files))
    complaints += _replayed(checker, files)
    return Verified(program=checker.name, files=len(files), complaints=tuple(complaints))


def _replayed(checker: Checker, files: Iterable[Path]) -> Iterator[str]:
    if checker.suffix == Beancount.suffix:
        yield from replay(files)


def _complaint(checker: Checker, program: Path, file: Path) -> str | None:
    command = [str(program), *checker.before, str(file)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False)  # noqa: S603  our own list
    except subprocess.TimeoutExpired:
        return f"{file.name}: {checker.name} did not end within {CHECK_TIMEOUT_S:.0f} s"
    if ended.returncode == 0:
        return None
    said = (ended.stderr + ended.stdout).strip().splitlines()[:_LINES_SHOWN]
    return "\n".join([f"{file.name}: {checker.name} refuses it", *said])
