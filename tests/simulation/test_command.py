"""``tallystick simulate`` as somebody at a terminal has it."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from ledger.domain import debts
from tallystick.cli.group import tallystick


def test_a_run_says_what_happened_and_that_nothing_is_wrong() -> None:
    done = CliRunner().invoke(tallystick, ["simulate", "--seeds", "0-2", "--steps", "150"])
    assert done.exit_code == 0
    assert "grant-credits: done" in done.output and "3 seeds" in done.output and "nothing wrong" in done.output


@pytest.mark.parametrize("what", ["ledger", "payments", "jobs"])
def test_every_world_can_be_counted_by_a_program(what: str) -> None:
    done = CliRunner().invoke(tallystick, ["simulate", "--seed", "1", "--steps", "40", "--what", what, "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["what"], said["seeds"]) == (what, 1) and said["counts"]


def test_a_failing_seed_is_told_with_its_shortest_history_and_how_to_see_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(debts, "PAYING", "promo")
    done = CliRunner().invoke(tallystick, ["simulate", "--seeds", "0-49", "--steps", "200"])
    assert done.exit_code == 1
    lines = done.output.splitlines()
    assert any(line.startswith("again: tallystick simulate --seed ") for line in lines)
    assert any(line.startswith("the shortest history found, ") for line in lines)
    assert lines[-1].startswith("  then: ")


def test_seeds_are_a_range() -> None:
    for wrong in ("7", "9-3", "a-b"):
        assert CliRunner().invoke(tallystick, ["simulate", "--seeds", wrong]).exit_code == 2
