"""The rules of money are pure, and fast tests of them alone reach every branch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.requirements import ROOT

DOMAIN = "ledger/domain"
TESTS = "tests/unit/ledger/domain"


def coverage(folder: Path, *arguments: str) -> str:
    """Run coverage.py with a data file of its own."""
    command = [sys.executable, "-m", "coverage", arguments[0], f"--data-file={folder / 'data'}", *arguments[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def measured(folder: Path) -> dict[str, Any]:
    """What the fast tests reach, by file."""
    without = [f"-pno:{plugin}" for plugin in ("randomly", "xdist", "cacheprovider")]
    coverage(folder, "run", "--branch", f"--source={DOMAIN}", "-m", "pytest", TESTS, "-q", *without)
    coverage(folder, "json", "-q", "-o", str(folder / "coverage.json"))
    return json.loads((folder / "coverage.json").read_text())["files"]


def test_every_branch_of_the_ledgers_rules_is_reached_by_fast_tests_of_them_alone(tmp_path: Path) -> None:
    found = measured(tmp_path)
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / DOMAIN).rglob("*.py")}
    assert set(found) == modules, "every module is measured"
    missed = {
        name: (one["missing_lines"], one["missing_branches"])
        for name, one in found.items()
        if one["missing_lines"] or one["missing_branches"]
    }
    assert missed == {}
    assert not [name for name in modules if "pragma: no" in (ROOT / name).read_text()], "nothing is exempt"
