"""``tallystick simulate``."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import click

from simulation.dice import Dice
from simulation.jobs.world import Simulation as Jobs
from simulation.ledger.runs import Run, play, shrink, story
from simulation.payments.world import Simulation as Payments
from tallystick.cli.common import json_option, print_json


@click.command("simulate")
@click.option("--seed", type=click.IntRange(0), help="The one run to play.")
@click.option("--seeds", help="Several, as FIRST-LAST.")
@click.option("--steps", type=click.IntRange(1, 1_000_000), default=300, show_default=True, help="Length of a run.")
@click.option(
    "--what",
    type=click.Choice(["ledger", "payments", "jobs"]),
    default="ledger",
    show_default=True,
    help="Which world; a run of jobs ends when all jobs have.",
)
@click.option("--shrink/--no-shrink", "shrinking", default=True, help="Look for the shortest history that fails.")
@json_option
def command(*, seed: int | None, seeds: str | None, steps: int, what: str, shrinking: bool, as_json: bool) -> None:
    """Play a world that goes wrong, on one thread: one seed, one run.

    The ledger: several writers over one database and followers behind them, crashes at every step, lost answers, clocks
    that jump, beside a model of its rules. Exit 1 and the shortest history found when an answer, a balance or an
    invariant is not what the rules say.
    """
    wanted = _seeds(seed, seeds)
    start = time.perf_counter()
    counts = Counter[str]()
    with _quiet():
        for number in wanted:
            counts += _PLAYED[what](number, steps, shrinking)
    seconds = round(time.perf_counter() - start, 3)
    if as_json:
        print_json({"what": what, "seeds": len(wanted), "steps": steps, "seconds": seconds, "counts": counts})
        return
    for name, count in sorted(counts.items()):
        click.echo(f"{count:>9,}  {name}")
    click.echo(f"{what}: {len(wanted):,} seeds, {seconds:.1f} s: nothing wrong")


@contextmanager
def _quiet() -> Generator[None]:
    """What goes wrong in a simulated world is not to be logged: it is meant to."""
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _seeds(seed: int | None, seeds: str | None) -> Sequence[int]:
    if seeds is None:
        return range(seed or 0, (seed or 0) + 1)
    first, dash, last = seeds.partition("-")
    if seed is not None or not dash or not (first.isdecimal() and last.isdecimal()) or int(first) > int(last):
        raise click.UsageError("--seeds is FIRST-LAST, and stands alone")
    return range(int(first), int(last) + 1)


def _ledger(seed: int, steps: int, shrinking: bool) -> Counter[str]:  # noqa: FBT001  as the others
    run = play(seed, steps)
    if run.wrong is not None:
        _fail(run, steps, shrinking=shrinking)
    return run.counts


def _payments(seed: int, steps: int, _shrinking: bool) -> Counter[str]:  # noqa: FBT001  as the others
    world = Payments(Dice(seed))
    with _told("payments", seed, steps):
        world.run(steps)
    return world.counts


def _jobs(seed: int, steps: int, _shrinking: bool) -> Counter[str]:  # noqa: FBT001  as the others
    world = Jobs(Dice(seed))
    with _told("jobs", seed, steps):
        world.run()
    return Counter(world.stage.counts)


@contextmanager
def _told(what: str, seed: int, steps: int) -> Generator[None]:
    """Say how to see a failure again, with the place that found it."""
    try:
        yield
    except Exception:
        click.echo(f"again: tallystick simulate --what {what} --seed {seed} --steps {steps}", err=True)
        raise


def _fail(run: Run, steps: int, *, shrinking: bool) -> None:
    """Show what went wrong, how to see it again, and how little it takes."""
    assert run.wrong is not None
    click.echo(f"seed {run.seed}: wrong after {len(run.history)} steps: {run.wrong.kind}", err=True)
    click.echo(f"again: tallystick simulate --seed {run.seed} --steps {steps}", err=True)
    wrong, history = shrink(run) if shrinking else (run.wrong, list(run.history))
    click.echo(f"the shortest history found, {len(history)} steps:" if shrinking else "its history:", err=True)
    for line in story(wrong, history):
        click.echo(f"  {line}", err=True)
    sys.exit(1)


_PLAYED = {"ledger": _ledger, "payments": _payments, "jobs": _jobs}
