"""The ledger from 200 seeds: every answer, event, balance and question about the past is what the model says."""

from __future__ import annotations

from collections import Counter

import pytest

from ledger import errors
from ledger.domain.commands import Command
from simulation.ledger import runs

STEPS = 300
MANY_STEPS = 2_000

# What needs more than a few steps of a few accounts; each has a test of its own elsewhere.
RARE = {"too-many-slices", "upgrade-needed", "internal-error"}


@pytest.mark.parametrize("ten", range(20))
def test_invariant_05_06_11_12_13_14_16_17_22_23_27_28_29_31_32_33_34_hold_whatever_goes_wrong(ten: int) -> None:
    for seed in range(10 * ten, 10 * ten + 10):
        play(seed)


@pytest.mark.parametrize("four", range(4))
def test_invariant_32_34_hold_over_long_histories(four: int) -> None:
    """What takes several commands about the same grants: refunds of what was used, and what comes back of it."""
    for seed in range(4 * four, 4 * four + 4):
        play(seed, MANY_STEPS)


def test_what_is_simulated_is_every_command_and_nearly_every_refusal() -> None:
    """A simulator that asks for less finds less, and nobody would notice."""
    counts: Counter[str] = Counter()
    for seed in range(60):
        counts += runs.play(seed, STEPS).counts
    for seed in range(100, 104):
        counts += runs.play(seed, MANY_STEPS).counts
    done = {name.removesuffix(": done") for name in counts if name.endswith(": done")}
    assert {str(kind.__struct_config__.tag) for kind in Command.__args__} <= done
    codes = {kind.code for kind in errors.Refusal.__subclasses__()}
    assert codes - RARE <= {name.rpartition(": ")[2] for name in counts}
    for trouble in ("acknowledgements lost", "writers crashed", "database restarts", "waits for the lock", "time-outs"):
        assert counts[trouble] > 10, trouble


@pytest.mark.long
@pytest.mark.parametrize("hundred", range(20))
def test_the_same_over_two_thousand_seeds(hundred: int) -> None:
    for seed in range(1_000 + 100 * hundred, 1_100 + 100 * hundred):
        play(seed)


def play(seed: int, steps: int = STEPS) -> None:
    """Play a seed; a failure tells the shortest history found."""
    run = runs.play(seed, steps)
    if run.wrong is not None:
        told = "\n".join(runs.story(*runs.shrink(run)))
        pytest.fail(f"tallystick simulate --seed {seed} --steps {steps}\n{told}", pytrace=False)
