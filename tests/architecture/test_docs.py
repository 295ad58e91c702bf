"""What we say about ourselves: examples run as printed, links lead somewhere, decisions are short and guarded."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import click
import pytest

from tallystick.cli.group import tallystick
from tallystick.settings import OTHER_VARIABLES, variables
from tests.support.requirements import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
HEADINGS = ["## Context", "## Decision", "## Consequences", "## Turned down", "## Guarded by"]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_ledgers_example_prints_what_it_says() -> None:
    failed, tried = doctest.testfile(str(ROOT / "ledger" / "README.md"), module_relative=False, encoding="utf-8")
    assert tried > 0 and failed == 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.split("#")[0]).exists(), target


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_a_decision_is_short_and_names_the_check_that_guards_it(page: Path) -> None:
    text = page.read_text()
    assert len(text.splitlines()) <= 40
    assert [line for line in text.splitlines() if line.startswith("## ")] == HEADINGS
    guards = TEST.findall(text.split("## Guarded by")[1])
    assert guards, "names a test"
    for path, function in guards:
        assert f"def {function}" in (ROOT / path).read_text(), (path, function)


def test_decisions_are_numbered_without_a_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_changelog_has_its_three_headings_under_every_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        assert re.findall(r"^### (.*)$", part, re.MULTILINE) == ["Safety and money", "Features", "Inside"]


def test_every_decision_is_in_the_list() -> None:
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (ROOT / "docs" / "adr" / "README.md").read_text()) == [
        page.name for page in DECISIONS
    ]


def test_every_variable_that_the_readme_names_is_a_setting() -> None:
    known = {variable.name for variable in variables().values()} | OTHER_VARIABLES
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)[`=]", (ROOT / "README.md").read_text()))
    assert named and named <= known


def test_every_command_is_in_the_changelog() -> None:
    line = re.search(r"^\* Commands: `([^`]*)`", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert line is not None and sorted(line[1].split()) == tallystick.list_commands(click.Context(tallystick))


def test_every_folder_of_tests_is_in_their_readme() -> None:
    told = set(re.findall(r"^\| `([\w/]+)/` ", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE))
    there = {folder.name for folder in (ROOT / "tests").iterdir() if folder.is_dir() and folder.name[0] not in "_."}
    assert {name for name in told if "/" not in name} == there
