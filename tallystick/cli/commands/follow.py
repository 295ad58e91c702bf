"""``tallystick follow``."""

from __future__ import annotations

import signal
from threading import Event

import click
import psycopg

from ledger.drivers import Driver, FollowerThread
from ledger.store.postgres import PostgresReader
from tallystick.cli.common import progress_bar, running
from tallystick.read_models import followers, own_pool, read_models, rebuild
from tallystick.schema import require_migrated
from tallystick.settings import Settings

_LISTEN_S = 1.0


@click.command("follow")
@click.option("--rebuild", "name", help="Drop this read model's rows, fold the log again, and end.")
def command(*, name: str | None) -> None:
    """Keep read models up to date until stopped."""
    with running() as settings:
        require_migrated(settings)
        if name is None:
            follow(settings)
        else:
            _rebuild(settings, name)


def follow(settings: Settings) -> None:
    """Run all followers, woken by every append, until SIGTERM or SIGINT."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    with own_pool(settings) as pool:
        thread = FollowerThread(Driver(pool), followers(settings))
        thread.start()
        try:
            while not stopping.is_set():
                _listen(settings, thread, stopping)
        finally:
            thread.stop()


def _listen(settings: Settings, thread: FollowerThread, stopping: Event) -> None:
    """Pass wake-ups on for as long as the connection lives; without one, followers look every second."""
    assert settings.database_url is not None
    try:
        with psycopg.connect(settings.database_url, autocommit=True) as connection:
            connection.execute("LISTEN tallystick_log")
            while not stopping.is_set():
                if any(True for _ in connection.notifies(timeout=_LISTEN_S, stop_after=1)):
                    thread.wake()
    except psycopg.OperationalError:
        stopping.wait(_LISTEN_S)


def _rebuild(settings: Settings, name: str) -> None:
    models = {model.name: model for model in read_models(settings)}
    if name not in models:
        raise click.BadParameter(f"expected one of {', '.join(models)}", param_hint="--rebuild")
    with own_pool(settings) as pool, progress_bar(f"rebuilding {name}") as progress:
        head = PostgresReader(pool).head()
        rebuild(models[name], Driver(pool), head, progress)
    click.echo(f"{name} is rebuilt up to event {head}")
