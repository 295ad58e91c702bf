"""``tallystick archive``."""

from __future__ import annotations

import sys

import click

from ledger.drivers import Driver, catch_up
from ledger.proof.archive import RANGE, Archive
from ledger.proof.errors import ProofError
from ledger.proof.follower import ProofFollower
from tallystick.cli.common import json_option, ok_mark, print_json
from tallystick.cli.database import with_database
from tallystick.parquet import Parquet
from tallystick.vaults import open_vault


@click.command("archive")
@click.option("--to", "place", required=True, help="A folder, or s3://bucket/prefix.")
@click.option("--check", is_flag=True, help="Write nothing: read all files back and compare them with the log.")
@click.option(
    "--range", "size", type=click.IntRange(32, 1_000_000), default=RANGE, show_default=True, help="Events a file."
)
@json_option
def command(*, place: str, check: bool, size: int, as_json: bool) -> None:
    """Copy closed ranges of the log to Parquet files, each read back before it counts. The log itself stays whole."""
    with with_database() as (settings, pool):
        driver = Driver(pool)
        archive = Archive(open_vault(place, settings), Parquet(), size)
        try:
            if check:
                _check(archive, driver, as_json=as_json)
            else:
                _extend(archive, driver, as_json=as_json)
        except ProofError as error:
            raise click.ClickException(str(error)) from error


def _extend(archive: Archive, driver: Driver, *, as_json: bool) -> None:
    catch_up(driver, [ProofFollower()])
    written = archive.extend(driver)
    if as_json:
        print_json(written)
        return
    for one in written:
        click.echo(f"{one.file}: {one.rows} events, {one.bytes} bytes, root {one.root[:16]}")
    click.echo(f"{len(written)} files written")


def _check(archive: Archive, driver: Driver, *, as_json: bool) -> None:
    wrong, manifests = archive.check(driver), archive.manifests()
    last = manifests[-1].last if manifests else 0
    if as_json:
        print_json({"ok": not wrong, "files": len(manifests), "last": last, "wrong": wrong})
    else:
        for line in wrong:
            click.echo(f"{ok_mark(ok=False)}  {line}")
        if not wrong:
            click.echo(f"{ok_mark(ok=True)}  {len(manifests)} files hold events 1 to {last} as the log does")
    sys.exit(1 if wrong else 0)
