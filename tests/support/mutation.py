"""Mutation testing of the ledger's rules: `make mutation` breaks them in every way mutmut knows, in a copy.

Nothing is changed in the tree: the rules and their fast tests are copied into ``.venv-mutation`` and mutated there.
mutmut passes by decorated functions, so that in the copy properties and cached functions are written without one.
What came of it stands in ``docs/mutation.md``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.support.requirements import ROOT

COPY = ROOT / ".venv-mutation" / "copy"
COPIED = ["ledger/__init__.py", "ledger/errors.py", "ledger/limits.py", "ledger/domain", "tests/support/domain.py"]
TESTS = "tests/unit/ledger/domain"
PROPERTY = re.compile(r"^    @property\n    def (\w+)\((.*?)(?=^\S|^    @|^    def |\Z)", re.MULTILINE | re.DOTALL)
CACHED = re.compile(r"^@cache\ndef (\w+)\((.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
SETTINGS = f"""
[tool.mutmut]
source_paths = ["ledger/"]
only_mutate = ["ledger/domain/*"]
also_copy = ["tests"]
pytest_add_cli_args = ["-p", "no:randomly", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = ["{TESTS}"]

[tool.pytest.ini_options]
pythonpath = ["."]
addopts = ["--import-mode=importlib"]
"""


def undecorated(source: str) -> str:
    """The same module with its properties and caches written as calls."""
    source = PROPERTY.sub(r"    def _get_\1(\2    \1 = property(_get_\1)\n\n", source)
    return CACHED.sub(r"def _find_\1(\2\1 = cache(_find_\1)\n\n\n", source)


def make_copy() -> None:
    """A tree of the rules and what they and their tests import, and nothing else."""
    shutil.rmtree(COPY, ignore_errors=True)
    for name in (*COPIED, TESTS):
        source, target = ROOT / name, COPY / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for folder in ("tests", "tests/unit", "tests/support", "tests/unit/ledger"):
        (COPY / folder / "__init__.py").touch()
    for module in (COPY / "ledger" / "domain").rglob("*.py"):
        module.write_text(undecorated(module.read_text()))
    (COPY / "pyproject.toml").write_text(SETTINGS)


def main(mutmut: Path) -> int:
    """Mutate, and print what became of the mutants; 0 if at least nine in ten were killed."""
    make_copy()
    run = subprocess.run([mutmut, "run", "--max-children", "1"], cwd=COPY, check=False)
    if run.returncode:
        return run.returncode
    listed = subprocess.run([mutmut, "results", "--all", "True"], cwd=COPY, capture_output=True, text=True, check=True)
    lines = [line.strip() for line in listed.stdout.splitlines() if ": " in line]
    ends = Counter(line.rsplit(": ", 1)[1] for line in lines)
    killed = ends["killed"] + ends["timeout"]
    sys.stdout.write("\n".join(line for line in lines if not line.endswith("killed")) + "\n")
    sys.stdout.write(f"{dict(ends)}: {killed} of {len(lines)} killed, {100 * killed / len(lines):.1f} %\n")
    return int(killed < 0.9 * len(lines))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
