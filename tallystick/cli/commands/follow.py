"""``tallystick follow``."""

from __future__ import annotations

import click

from ledger.drivers import Driver
from ledger.store.postgres import PostgresReader
from tallystick.cli.common import progress_bar, running
from tallystick.read_models import own_pool, rebuild, rebuildable
from tallystick.run_process import STOP_LIMIT_S, ended_within, parts_of, until_stopped
from tallystick.schema import require_migrated
from tallystick.settings import Settings
from tallystick.tuning import tune_process
from tallystick.wiring import Background


@click.command("follow")
@click.option("--rebuild", "name", help="Drop this read model's rows, fold the log again, and end.")
def command(*, name: str | None) -> None:
    """Keep read models up to date and settle payments until stopped."""
    with running() as settings:
        require_migrated(settings)
        if name is None:
            follow(settings)
        else:
            _rebuild(settings, name)


def follow(settings: Settings) -> None:
    """Run all followers and settlement, woken by every append, until SIGTERM or SIGINT."""
    stopping = until_stopped()
    with ended_within(STOP_LIMIT_S, stopping), parts_of(settings, "followers") as parts:
        background = Background(parts)
        background.start()
        click.echo("following")
        try:
            stopping.wait()
        finally:
            background.stop()


def _rebuild(settings: Settings, name: str) -> None:
    models = {model.name: model for model in rebuildable(settings)}
    if name not in models:
        raise click.BadParameter(f"expected one of {', '.join(models)}", param_hint="--rebuild")
    with own_pool(settings) as pool, progress_bar(f"rebuilding {name}") as progress:
        tune_process()
        head = PostgresReader(pool).head()
        rebuild(models[name], Driver(pool), head, progress)
    click.echo(f"{name} is rebuilt up to event {head}")
