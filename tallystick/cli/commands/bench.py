"""``tallystick bench …``."""

from __future__ import annotations

import click
from msgspec.structs import asdict

from tallystick.bench.ledger import LedgerFigures, measure
from tallystick.bench.load import Load
from tallystick.cli.common import json_option, print_json, running


@click.group("bench")
def command() -> None:
    """Measure, each time beside a named baseline in the same run."""


@command.command("ledger")
@click.option("--seconds", type=click.FloatRange(0.5, 600), default=5.0, show_default=True, help="Length of a part.")
@click.option("--callers", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@click.option("--accounts", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of callers.")
@json_option
def ledger(*, seconds: float, callers: int, accounts: int, processes: int, as_json: bool) -> None:
    """The writer against the event library's recorder and bare batched inserts of the same rows."""
    load = Load(callers=callers, accounts=accounts, seconds=seconds, processes=processes)
    with running() as settings:
        owner_url = settings.database_owner_url
        assert owner_url is not None
        figures = measure(owner_url, load, lambda part: None if as_json else click.echo(f"measuring: {part}", err=True))
    if as_json:
        print_json(figures)
    else:
        show(figures)


def show(figures: LedgerFigures) -> None:
    """One figure a line."""
    for name, value in asdict(figures).items():
        click.echo(f"{name:22} {value:>12,}")
