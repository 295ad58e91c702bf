"""What some tests need and a machine may lack, and the list at the end of a run that says so."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
REQUIRE_ALL = "TALLYSTICK_REQUIRE_ALL"
_NOT_RUN = re.compile(r"not run: .*")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program under any of its names, on PATH or at a path within the checkout, and what installs it."""

    names: tuple[str, ...]
    install: str


TOOLS = {
    "chromium": Tool(("chromium", "chromium-browser", "google-chrome"), "apt-get install chromium"),
    "hledger": Tool(("hledger",), "apt-get install hledger"),
    "bean-check": Tool((".venv-books/bin/bean-check",), "requirements/prepare.sh books"),
}


def require(name: str) -> Path:
    """The path of a tool of ``TOOLS``; where it is missing the calling test is not run, or fails (``REQUIRE_ALL``)."""
    tool = TOOLS[name]
    for candidate in tool.names:
        found = shutil.which(ROOT / candidate if "/" in candidate else candidate)
        if found:
            return Path(found)
    return not_run(name, tool.install)


def not_run(what: str, install: str) -> NoReturn:
    """End the calling test as not run for want of ``what``; a failure where everything is required."""
    message = f"not run: {what} (install: {install})"
    if os.environ.get(REQUIRE_ALL):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def closing_list(reasons: Iterable[str]) -> list[str]:
    """The lines that end a run: each thing missing once."""
    found = (_NOT_RUN.search(reason) for reason in reasons)
    return sorted({match[0] for match in found if match})
