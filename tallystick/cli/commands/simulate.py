"""``tallystick simulate``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

import click

from simulation.ledger.runs import Run, play, shrink, story
from tallystick.cli.common import json_option, print_json


@click.command("simulate")
@click.option("--seed", type=click.IntRange(0), help="The one run to play.")
@click.option("--seeds", help="Several, as FIRST-LAST.")
@click.option("--steps", type=click.IntRange(1, 1_000_000), default=300, show_default=True, help="Length of a run.")
@click.option("--shrink/--no-shrink", "shrinking", default=True, help="Look for the shortest history that fails.")
@json_option
def command(*, seed: int | None, seeds: str | None, steps: int, shrinking: bool, as_json: bool) -> None:
    """Play the ledger in a world that goes wrong, beside a model of its rules: one seed, one run.

    Several writers over one database, crashes at every step, lost answers, clocks that jump. Exit 1 and the shortest
    history found when an answer, a balance or an invariant is not what the rules say.
    """
    wanted = _seeds(seed, seeds)
    start = time.perf_counter()
    counts, played = Counter[str](), 0
    for number in wanted:
        run = play(number, steps)
        counts += run.counts
        played += len(run.history)
        if run.wrong is not None:
            _fail(run, steps, shrinking=shrinking)
    seconds = time.perf_counter() - start
    if as_json:
        print_json({"seeds": len(wanted), "steps": played, "seconds": round(seconds, 3), "counts": counts})
        return
    for name, count in sorted(counts.items()):
        click.echo(f"{count:>9,}  {name}")
    click.echo(f"{len(wanted):,} seeds, {played:,} steps in {seconds:.1f} s: nothing wrong")


def _seeds(seed: int | None, seeds: str | None) -> Sequence[int]:
    if seeds is None:
        return range(seed or 0, (seed or 0) + 1)
    first, dash, last = seeds.partition("-")
    if seed is not None or not dash or not (first.isdecimal() and last.isdecimal()) or int(first) > int(last):
        raise click.UsageError("--seeds is FIRST-LAST, and stands alone")
    return range(int(first), int(last) + 1)


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
