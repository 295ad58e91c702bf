"""``tallystick books …``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

import click
import psycopg

from ledger.drivers import Driver
from projections.books.beancount import Beancount
from projections.books.export import Export, export
from projections.books.follower import BooksFollower
from projections.books.formats import Format
from projections.books.hledger import Hledger
from projections.books.identities import TrialLine, broken, trial_balance
from projections.books.verify import BEAN_CHECK, HLEDGER, Verified, verify
from projections.errors import Differences, ProjectionError
from tallystick.cli.common import json_option, ok_mark, print_json, progress_bar, running
from tallystick.cli.database import with_database
from tallystick.read_models import bean_check, current, hledger, own_pool
from tallystick.schema import require_migrated
from tallystick.settings import Settings


@click.group("books")
def command() -> None:
    """Double entry, projected from the log by rule."""


@command.command("export")
@click.option("--format", "wanted", type=click.Choice(["beancount", "hledger"]), default="beancount", show_default=True)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the files.")
@click.option("--check", is_flag=True, help="Have bean-check or hledger check what was written.")
@json_option
def export_command(*, wanted: str, out: Path, check: bool, as_json: bool) -> None:
    """Write the books, one file per month, each with its opening balances."""
    with running() as settings, _told():
        require_migrated(settings)
        written = write(settings, wanted, out)
        verified = checked_by_program(settings, wanted, out) if check else None
    if as_json:
        files = [str(file) for file in written.files]
        found = {"files": files, "entries": written.entries, "position": written.position, "checked": verified}
        print_json(found)
    else:
        _show(written, verified)
    sys.exit(1 if verified and verified.complaints else 0)


@command.command("trial-balance")
@click.option("--at", type=click.IntRange(0), help="Position in the log; by default the end.")
@json_option
def trial_balance_command(*, at: int | None, as_json: bool) -> None:
    """Balance of every account at a position of the log; each commodity sums to zero."""
    with _told(), with_database() as (settings, pool):
        driver = Driver(pool)
        stand = current(BooksFollower(settings.book_currency), driver)
        position = stand.position if at is None else min(at, stand.position)
        lines = driver.drive(trial_balance(position))
    if as_json:
        print_json({"position": position, "accounts": [_as_dict(line) for line in lines]})
    else:
        for line in lines:
            click.echo(f"{line.account:44}{line.text:>24} {line.commodity}")
        click.echo(f"at position {position}")


def write(settings: Settings, wanted: str, out: Path) -> Export:
    """Bring the books up to date and write them.

    :raises Differences: an identity of the books does not hold: nothing was written.
    :raises NotReady: their follower is parked.
    """
    fmt: Format = Beancount(settings.book_currency) if wanted == "beancount" else Hledger()
    with own_pool(settings) as pool:
        driver = Driver(pool)
        current(BooksFollower(settings.book_currency), driver)
        if wrong := driver.drive(broken()):
            raise Differences([f"event {one.position}: {one.what}" for one in wrong])
    assert settings.database_url is not None
    with psycopg.connect(settings.database_url) as connection, progress_bar("writing the books") as progress:
        return export(connection, out, fmt, progress)


def checked_by_program(settings: Settings, wanted: str, folder: Path) -> Verified:
    """Have a bookkeeper's program check a folder.

    :raises CheckerMissing: it is not installed.
    """
    with progress_bar("checking") as progress:
        if wanted == "beancount":
            return verify(BEAN_CHECK, bean_check(settings), folder, progress)
        return verify(HLEDGER, hledger(), folder, progress)


@contextlib.contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except ProjectionError as error:
        raise click.ClickException(str(error)) from error


def _show(written: Export, verified: Verified | None) -> None:
    for file in written.files:
        click.echo(str(file))
    click.echo(f"{written.entries} entries in {len(written.files)} files, up to event {written.position}")
    if verified is not None:
        click.echo(f"{ok_mark(ok=not verified.complaints)}  {verified.program} on {verified.files} files")
        for complaint in verified.complaints:
            click.echo(complaint)


def _as_dict(line: TrialLine) -> dict[str, str]:
    return {"account": line.account, "commodity": line.commodity, "balance": line.text}
