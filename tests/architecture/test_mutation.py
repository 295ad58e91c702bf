"""Mutation testing reaches every function of the ledger's rules, and what it found is written down as it was."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.mutation import undecorated
from tests.support.requirements import ROOT

DOMAIN = ROOT / "ledger" / "domain"
MODULES = sorted(DOMAIN.rglob("*.py"))
REPORT = ROOT / "docs" / "mutation.md"


def functions(source: str) -> list[ast.FunctionDef]:
    """All functions and methods of a module."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(DOMAIN)))
def test_no_function_hides_behind_a_decorator(module: Path) -> None:
    source = module.read_text()
    bare = functions(undecorated(source))
    assert not [one.name for one in bare if one.decorator_list]
    assert len(bare) == len(functions(source))


def test_properties_and_caches_are_written_as_calls() -> None:
    method = "class A:\n    @property\n    def b(self) -> int:\n        return 1\n\n\n"
    source = method + "@cache\ndef c() -> int:\n    return 2\n"
    bare = undecorated(source)
    assert "    b = property(_get_b)\n" in bare and "c = cache(_find_c)\n" in bare and "@" not in bare


def test_the_report_adds_up_and_names_functions_that_are_there() -> None:
    text = REPORT.read_text()
    mutants, killed, survived = (
        int(number.replace(",", ""))
        for number in re.findall(r"^\| (?:mutants|killed|survived) \| ([\d,]+) \|", text, re.MULTILINE)
    )
    assert mutants == killed + survived and killed >= 0.9 * mutants
    told = re.findall(r"^\| `([\w/]+\.py)` `(\w+)` \| (\d+) \|", text, re.MULTILINE)
    assert sum(int(count) for _, _, count in told) == survived
    for path, name in ((path, name) for path, name, _ in told):
        assert name in {one.name for one in functions((DOMAIN / path).read_text())}, (path, name)
