# ruff: noqa: N999  named as its command is
"""``tallystick import``."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import IO, cast

import click
import psycopg
from psycopg_pool import ConnectionPool

from ledger.checks.loading import load
from ledger.drivers import Driver
from ledger.proof.errors import ProofError
from ledger.proof.records import Reader
from tallystick.cli.common import json_option, print_json, progress_bar, running
from tallystick.schema import require_migrated
from tallystick.tuning import tune_process


@click.command("import")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@json_option
def command(*, path: Path, as_json: bool) -> None:
    """Take an export into a new, migrated database, checking every hash; all or nothing.

    Keys keep their answers where TALLYSTICK_SECRET is the same as where the export was made.
    """
    with running() as settings, gzip.open(path, "rb") as file, progress_bar("importing") as progress:
        require_migrated(settings)
        tune_process()
        assert settings.database_owner_url is not None
        with ConnectionPool(settings.database_owner_url, min_size=1, max_size=1, open=True) as pool:
            try:
                footer = Driver(pool).drive(load(Reader(cast("IO[bytes]", file)), progress))
            except (ProofError, psycopg.DataError, psycopg.IntegrityError) as error:
                raise click.ClickException(f"{path}: {error}") from error
    if as_json:
        print_json({"events": footer.events, "verdicts": footer.verdicts, "head": footer.head_hash.hex()})
    else:
        click.echo(f"{footer.events} events, {footer.verdicts} verdicts, head {footer.head_hash.hex()[:16]}")
