"""The ledger's own page says what is there: its events, limits, commands and invariants."""

from __future__ import annotations

import re
import shlex
from typing import get_args

import click
import pytest

from ledger import limits
from ledger.domain import events
from ledger.domain.codec import tag_of
from tallystick.cli.group import tallystick
from tests.support.requirements import ROOT

PAGE = (ROOT / "ledger" / "README.md").read_text()
OTHERS = (events.BudgetSet, events.VerdictsSealed, events.LogForked)
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
LINES = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines()]
MENTIONED = [shlex.split(found) for found in re.findall(r"`(tallystick [a-z][^`]*)`", PAGE)]


def part(heading: str) -> str:
    """The text under a heading."""
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def test_every_event_is_told_once_and_none_that_is_not_there() -> None:
    told = re.findall(r"^\| `(ledger\.[\w.-]+)` \| \w", part("Events"), re.MULTILINE)
    assert told == [tag_of(kind) for kind in (*get_args(events.AccountEvent), *OTHERS)]


def test_every_limit_is_told_with_its_value() -> None:
    told = dict(re.findall(r"^\| `([A-Z0-9_]+)` \| ([\d,.]+) \|", part("Limits"), re.MULTILINE))
    assert told == {name: f"{value:,}" for name, value in vars(limits).items() if name.isupper()}


def test_every_invariant_of_the_ledger_is_told_once() -> None:
    told: list[int] = []
    for group in re.findall(r"\((\d[\d, –]*)\)$", part("What always holds"), re.MULTILINE):
        for piece in group.split(", "):
            first, _, last = piece.partition("–")
            told += range(int(first), int(last or first) + 1)
    assert sorted(told) == list(range(1, 43))


@pytest.mark.parametrize("words", [*LINES, *MENTIONED], ids=" ".join)
def test_a_command_line_is_one_that_the_program_understands(words: list[str]) -> None:
    command: click.Command = tallystick
    assert words.pop(0) == "tallystick"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{words[0]} is no command"
        command = found
        words = words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_page_names_commands() -> None:
    assert len(LINES) > 10 and len(MENTIONED) > 3
