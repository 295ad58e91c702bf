"""What must always hold has tests that say so by name: `invariant_07`, or `invariant_05_06` for several at once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.requirements import ROOT

OF_THE_LEDGER = range(1, 43)
NAMED = re.compile(r"invariant_(\d\d(?:_\d\d)*)(?![0-9])")


def functions(path: Path) -> Iterator[str]:
    """Names of the test functions of a file, as pytest collects them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name


@cache
def proven() -> dict[int, list[str]]:
    """The tests of each invariant."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for name in functions(path):
            for numbers in NAMED.findall(name):
                for number in numbers.split("_"):
                    found.setdefault(int(number), []).append(f"{path.relative_to(ROOT)}::{name}")
    return found


def test_names_are_read_with_all_their_numbers() -> None:
    assert NAMED.findall("test_invariant_05_06_it_adds_up") == ["05_06"]
    assert NAMED.findall("test_invariant_07_one_and_invariant_08_two") == ["07", "08"]
    assert NAMED.findall("test_invariant_7_is_no_number") == []


@pytest.mark.parametrize("number", OF_THE_LEDGER, ids=lambda number: f"{number:02}")
def test_an_invariant_of_the_ledger_has_a_test_that_says_so(number: int) -> None:
    assert proven().get(number), f"no test is named invariant_{number:02}"
