"""One seed's run of the ledger's world: played, replayed from its history, shrunk when it fails."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ledger import limits
from simulation.dice import Dice
from simulation.found import Wrong
from simulation.ledger.chance import Chance, Weather, weather
from simulation.ledger.server import Server
from simulation.ledger.simpler import simpler
from simulation.ledger.steps import Step
from simulation.ledger.telling import Names, told
from simulation.ledger.world import World
from simulation.shrinking import shortest

NARROW = {"POSTED_MAX_UCR": 800, "DEBT_MAX_UCR": 60, "GRANTS_MAX": 2, "APPENDS_LOST_MAX": 1}
"""Bounds in some of the runs: so small that a few steps come to them."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to: what happened how often, and what went wrong with which history."""

    seed: int
    sky: Weather
    counts: Counter[str]
    history: tuple[Step, ...]
    wrong: Wrong | None


def play(seed: int, steps: int, server: Server | None = None) -> Run:
    """Play a seed, on a database of one's own if wanted."""
    dice = Dice(seed)
    sky = weather(dice)
    world = _world(sky, server)
    chance = Chance(dice, world, sky)
    history: list[Step] = []

    def chosen() -> Iterator[Step]:
        for _ in range(steps):
            history.append(chance.next())
            yield history[-1]

    with bounded(sky):
        wrong = _played(world, chosen())
    return Run(seed, sky, world.counts, tuple(history), wrong)


def replay(sky: Weather, history: Sequence[Step]) -> Wrong | None:
    """Play a history that was written down; what goes wrong."""
    with bounded(sky):
        return _played(_world(sky), history)


@contextmanager
def bounded(sky: Weather) -> Generator[None]:
    """Within it, bounds are where a run has them; the ledger and its model look at the same ones."""
    before = {name: getattr(limits, name) for name in NARROW}
    for name, bound in (NARROW if sky.narrow else before).items():
        setattr(limits, name, bound)
    try:
        yield
    finally:
        for name, bound in before.items():
            setattr(limits, name, bound)


def _played(world: World, steps: Iterable[Step]) -> Wrong | None:
    try:
        for step in steps:
            world.apply(step)
        world.settle()
    except Wrong as found:
        return found
    except Exception as error:  # noqa: BLE001  whatever it is, the history that leads to it is what is wanted
        return Wrong(_place(error), repr(error))
    return None


def _place(error: Exception) -> str:
    """Where an exception comes from, as the kind of a fault."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {frame.name}"


def shrink(run: Run) -> tuple[Wrong, list[Step]]:
    """The shortest history found that goes wrong in the same way, and what goes wrong in it."""
    assert run.wrong is not None
    kind = run.wrong.kind

    def fails(history: Sequence[Step]) -> bool:
        found = replay(run.sky, history)
        return found is not None and found.kind == kind

    history = shortest(run.history, fails, simpler)
    return replay(run.sky, history) or run.wrong, history


def story(wrong: Wrong, history: Sequence[Step]) -> list[str]:
    """A failure with its history, in words."""
    names = Names()
    lines = list(told(history, names))
    return [*lines, f"then: {names.text(str(wrong))}"]


def _world(sky: Weather, server: Server | None = None) -> World:
    return World(writers=sky.writers, remembered=sky.remembered, server=server)
