"""``tallystick bench …``."""

from __future__ import annotations

import click
import msgspec
from msgspec.structs import asdict, replace

from tallystick.bench import as_of as past
from tallystick.bench import http as over_http
from tallystick.bench.ledger import QUICK, Bench, LedgerFigures, Plan
from tallystick.bench.load import Load
from tallystick.cli.common import json_option, print_json, running

MEMORY_ACCOUNTS = 1_000_000


@click.group("bench")
def command() -> None:
    """Measure, each time beside a named baseline in the same run."""


@command.command("ledger")
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Length of a part.")
@click.option("--callers", type=click.IntRange(1, 10_000), default=1_000, show_default=True)
@click.option("--accounts", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True)
@click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes of callers.")
@click.option("--memory", is_flag=True, help="Also the memory of a writer that touched a million accounts (minutes).")
@click.option("--quick", is_flag=True, help="Every part, as short as may be: no figure means anything.")
@json_option
def ledger(  # noqa: PLR0913  one a flag
    *, seconds: float, callers: int, accounts: int, processes: int, memory: bool, quick: bool, as_json: bool
) -> None:
    """The writer against the event library's recorder and bare batched inserts of the same rows."""
    plan = Plan(load=Load(callers=callers, accounts=accounts, seconds=seconds, processes=processes))
    plan = replace(QUICK if quick else plan, memory_accounts=MEMORY_ACCOUNTS if memory else 0)
    with running() as settings:
        owner_url = settings.database_owner_url
        assert owner_url is not None
        bench = Bench(owner_url, plan, lambda part: None if as_json else click.echo(f"measuring: {part}", err=True))
        figures = bench.figures()
    if as_json:
        print_json(figures)
    else:
        show(figures)


@command.command("http")
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True, help="Length of a part.")
@click.option("--connections", type=click.IntRange(1, 1_000), default=64, show_default=True)
@json_option
def http(*, seconds: float, connections: int, as_json: bool) -> None:
    """The ledger over HTTP, one by one and in batches of 1,000, on the server that we use and on the other."""
    load = over_http.Load(seconds=seconds, connections=connections)
    with running() as settings:
        figures = over_http.measure(
            settings, load, lambda part: None if as_json else click.echo(f"measuring: {part}", err=True)
        )
    if as_json:
        print_json(figures)
    else:
        show(figures)


@command.command("as-of")
@click.option("--events", type=click.IntRange(100, 10_000_000), default=1_000_000, show_default=True)
@click.option("--questions", type=click.IntRange(1, 100_000), default=300, show_default=True, help="Of each kind.")
@json_option
def as_of(*, events: int, questions: int, as_json: bool) -> None:
    """Questions about the past of accounts with 10, 1,000 and --events events."""
    with running() as settings:
        owner_url = settings.database_owner_url
        assert owner_url is not None
        figures = past.measure(
            owner_url, events, questions, lambda part: None if as_json else click.echo(f"measuring: {part}", err=True)
        )
    if as_json:
        print_json(figures)
        return
    for name, value in asdict(figures).items():
        told = asdict(value) if isinstance(value, past.Cost) else {"": value}
        click.echo(f"{name:20}" + "  ".join(f"{part} {figure:,}".strip() for part, figure in told.items()))


def show(figures: LedgerFigures | over_http.HttpFigures) -> None:
    """One figure a line."""
    for name, value in asdict(figures).items():
        if isinstance(value, int | float):
            click.echo(f"{name:26} {value:>12,}")
        elif value is not msgspec.UNSET:
            click.echo(f"{name:26} {value or '-'!s:>12}")
