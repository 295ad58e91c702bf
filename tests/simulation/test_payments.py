"""Money in through crashes at any effect, and notifications in any order: one seed is one run."""

from __future__ import annotations

import pytest

from simulation.dice import Dice
from simulation.payments.world import Simulation

STEPS = 60


@pytest.mark.parametrize("ten", range(6))
def test_invariant_25_and_invariant_44_a_payment_is_one_credit_whatever_dies(ten: int) -> None:
    for seed in range(10 * ten, 10 * ten + 10):
        Simulation(Dice(seed)).run(STEPS)


def test_what_is_simulated_is_every_way_to_pay_and_enough_crashes() -> None:
    runs = [Simulation(Dice(seed)) for seed in range(10)]
    for run in runs:
        run.run(STEPS)
    counts = sum((run.counts for run in runs), runs[0].counts.__class__())
    for name in ("opens", "pays", "strays", "fails", "goes on", "notifies", "works", "sweeps", "spends", "crashes"):
        assert counts[name] > 1, name
