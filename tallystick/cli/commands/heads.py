"""``tallystick heads …``."""

from __future__ import annotations

from typing import Any

import click
import psycopg

from ledger.drivers import Driver, catch_up
from ledger.proof.errors import ProofError
from ledger.proof.exporter import HeadExporter
from ledger.proof.follower import ProofFollower
from ledger.proof.heads import SignedHead, line_of
from tallystick.cli.common import json_option, print_json
from tallystick.cli.database import with_database
from tallystick.clock import SystemClock
from tallystick.errors import NotReady
from tallystick.heads import head_keys, heads_place
from tallystick.run_process import Stopping, until_stopped
from tallystick.settings import load
from tallystick.vaults import open_heads


@click.group("heads")
def command() -> None:
    """Signed heads of the log: what it was at a time, kept where nobody can change it with the database."""


@command.command("key")
@click.option("--make", is_flag=True, help="Make the key that signs, unless there is one.")
@click.option("--rotate", is_flag=True, help="Sign with a new key from now on; old heads stay verifiable.")
@json_option
def key_command(*, make: bool, rotate: bool, as_json: bool) -> None:
    """Show the public keys: customers get them from here, not from a proof."""
    keys = head_keys(load())
    try:
        current = keys.rotate() if rotate else keys.signer(make=make)
    except NotReady as error:
        raise click.ClickException(str(error)) from error
    found = [
        {"key_id": name, "public_key": public.hex(), "signs": name == current.key_id}
        for name, public in sorted(keys.keyring().items())
    ]
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one['key_id']}  {one['public_key']}{'  signs now' if one['signs'] else ''}")


@command.command("export")
@click.option("--to", "place", help="A folder, or s3://bucket/prefix; by default as set, else in the data folder.")
@click.option("--every", type=click.FloatRange(1, 60), help="Go on until stopped, once in so many seconds.")
@json_option
def export_command(*, place: str | None, every: float | None, as_json: bool) -> None:
    """Sign the head of the log and keep it outside the database. Nothing there is ever written over."""
    with with_database() as (settings, pool):
        driver = Driver(pool)
        signer = head_keys(settings).signer(make=True)
        target = open_heads(place or heads_place(settings), settings)
        exporter = HeadExporter(driver, target, signer, SystemClock())
        stopping = until_stopped() if every else Stopping()
        while True:
            if signed := _exported(exporter, driver, again=every is not None):
                _show(signed, as_json=as_json)
            if every is None or stopping.wait(every):
                return


def _exported(exporter: HeadExporter, driver: Driver, *, again: bool) -> SignedHead | None:
    """The head that is kept now; None where that was hindered and is tried again, which is told.

    :raises ClickException, psycopg.OperationalError: it was hindered, and is not tried again.
    """
    try:
        catch_up(driver, [ProofFollower()])
        return exporter.export()
    except (ProofError, psycopg.OperationalError) as error:
        if again:
            click.echo(f"no head is kept, trying again: {error}", err=True)
            return None
        if isinstance(error, ProofError):
            raise click.ClickException(str(error)) from error
        raise


def _show(signed: SignedHead, *, as_json: bool) -> None:
    line: Any = line_of(signed)
    if as_json:
        print_json(line)
    else:
        click.echo(f"size {line.size}, root {line.root}, signed by {line.key_id}")
