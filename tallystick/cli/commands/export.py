"""``tallystick export``."""

from __future__ import annotations

import gzip
import os
from contextlib import suppress
from pathlib import Path

import click

from ledger.drivers import Driver
from ledger.proof.dump import dump
from tallystick.cli.common import json_option, print_json, progress_bar
from tallystick.cli.database import with_database

_LEVEL = 4


@click.command("export")
@click.option("--to", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@json_option
def command(*, path: Path, as_json: bool) -> None:
    """Write the whole log with its verdicts to one file (JSON lines, gzip), which import takes in elsewhere."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with with_database() as (_, pool), progress_bar("exporting") as progress:
        try:
            with gzip.open(beside, "wb", compresslevel=_LEVEL) as file:
                footer = Driver(pool).drive(dump(file.write, progress))
            beside.replace(path)
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
        finally:
            with suppress(OSError):
                beside.unlink()
    if as_json:
        print_json(
            {"file": str(path), "events": footer.events, "verdicts": footer.verdicts, "head": footer.head_hash.hex()}
        )
    else:
        click.echo(f"{path}: {footer.events} events, {footer.verdicts} verdicts, head {footer.head_hash.hex()[:16]}")
