"""What the simulator makes of a failure: one seed is one run, the shortest history, told in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ledger.domain.account import Account
from simulation.ledger import runs
from simulation.shrinking import shortest

STEPS = 200


def test_one_seed_is_one_run() -> None:
    first, again = runs.play(7, STEPS), runs.play(7, STEPS)
    assert first.history == again.history and first.counts == again.counts
    assert first.history != runs.play(8, STEPS).history


def test_a_history_needs_no_seed_to_be_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    _burn_backwards(monkeypatch)
    run = next(run for run in (runs.play(seed, STEPS) for seed in range(50)) if run.wrong)
    found = runs.replay(run.sky, run.history)
    assert found is not None and run.wrong is not None and str(found) == str(run.wrong)


def test_a_rule_broken_on_purpose_is_found_and_told_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    _burn_backwards(monkeypatch)
    run = next(run for run in (runs.play(seed, STEPS) for seed in range(50)) if run.wrong)
    wrong, history = runs.shrink(run)
    assert run.wrong is not None and wrong.kind == run.wrong.kind
    assert len(history) < 15 < len(run.history)
    told = "\n".join(runs.story(wrong, history))
    assert "account-1" in told and "grant-1" in told and told.splitlines()[-1]


def test_shrinking_drops_and_simplifies() -> None:
    def simpler(step: int) -> Iterator[int]:
        if step > 10:
            yield step - 10

    found = shortest(list(range(100)), lambda steps: sum(step % 10 == 7 for step in steps) >= 2, simpler)
    assert found == [7, 7]


def _burn_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    burn = Account.burn

    def backwards(account: Account, amount_ucr: int) -> object:
        grants, account.grants = account.grants, account.grants[::-1]
        try:
            return burn(account, amount_ucr)
        finally:
            account.grants = grants

    monkeypatch.setattr(Account, "burn", backwards)
