"""``tallystick export``."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import click

from ledger.drivers import Driver
from ledger.proof.dump import dump
from tallystick.cli.common import json_option, print_json, progress_bar, running
from tallystick.read_models import own_pool
from tallystick.schema import require_migrated

_LEVEL = 4


@click.command("export")
@click.option("--to", "path", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@json_option
def command(*, path: Path, as_json: bool) -> None:
    """Write the whole log with its verdicts to one file (JSON lines, gzip), which import takes in elsewhere."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with running() as settings, own_pool(settings) as pool, progress_bar("exporting") as progress:
        require_migrated(settings)
        try:
            with gzip.open(beside, "wb", compresslevel=_LEVEL) as file:
                footer = Driver(pool).drive(dump(file.write, progress))
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    if as_json:
        print_json(
            {"file": str(path), "events": footer.events, "verdicts": footer.verdicts, "head": footer.head_hash.hex()}
        )
    else:
        click.echo(f"{path}: {footer.events} events, {footer.verdicts} verdicts, head {footer.head_hash.hex()[:16]}")
