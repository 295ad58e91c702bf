"""``tallystick write``."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator

import click

from tallystick import settings as settings_module
from tallystick.embedded import folders
from tallystick.embedded.services import services, with_secret
from tallystick.errors import NotReady
from tallystick.run_process import STOP_LIMIT_S, ended_within, until_stopped
from tallystick.schema import require_migrated
from tallystick.settings import Settings
from tallystick.telemetry.core import telemetry
from tallystick.telemetry.logs import log_to
from tallystick.tuning import tune_process
from tallystick.writer_probe import unavailable
from tallystick.writing import writing

_log = logging.getLogger(__name__)


@click.command("write")
@click.option("--check", is_flag=True, help="Write nothing: end with 0 if a writer answers that this release can use.")
def command(*, check: bool) -> None:
    """Append to the log what other processes of this host ask for, until stopped."""
    with _database_only() as settings:
        if check:
            if reason := unavailable(settings):
                raise NotReady(reason)
            return
        require_migrated(settings)
        write(settings)


def write(settings: Settings) -> None:
    """Write until SIGTERM or SIGINT, then finish what was taken. Call it from the main thread."""
    stopping = until_stopped()
    log_to(None, settings, "writer")
    with (
        ended_within(STOP_LIMIT_S, stopping),
        telemetry(settings, "writer") as seen,
        writing(settings, seen),
    ):
        tune_process()
        _log.info("writing for callers at %s", settings.writer_path)
        click.echo(f"writing for callers at {settings.writer_path}")
        stopping.wait()
        _log.info("stopping; what is queued is refused")


@contextlib.contextmanager
def _database_only() -> Generator[Settings]:
    """The settings with the addresses of the database alone: a writer needs nothing else."""
    settings = settings_module.load()
    if settings.embeds_postgres:
        with services(settings) as found:
            yield found
    else:
        folders.make_data_folder(settings.data_dir)
        yield with_secret(settings)
