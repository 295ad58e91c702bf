"""Jobs through crashes at any step, lost answers and bad nodes: one seed is one run, and replays a failure."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from simulation.dice import Dice
from simulation.jobs.world import Simulation


class PythonsOwn:
    """Chance as it was when a fault was found, so that its seed still finds it."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        self.fraction: Any = random.random
        self.between: Any = random.randint
        self.choose: Any = random.choice
        self.entropy: Any = random.randbytes


@pytest.mark.parametrize("seed", range(60))
def test_invariants_47_to_50_whatever_dies_a_job_is_stored_and_paid_once_or_released(seed: int) -> None:
    Simulation(Dice(seed)).run()


def test_invariant_49_a_hold_whose_lease_ended_is_not_taken_a_second_time() -> None:
    """A worker that came to a job after its hold's end took another beside it, which nobody released."""
    Simulation(PythonsOwn(267)).run()


@pytest.mark.long
@pytest.mark.parametrize("hundred", range(20))
def test_invariants_47_to_50_over_two_thousand_seeds(hundred: int) -> None:
    for seed in range(1_000 + 100 * hundred, 1_100 + 100 * hundred):
        Simulation(Dice(seed)).run()
