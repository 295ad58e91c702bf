"""``tallystick verify``."""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from ledger.drivers import Driver
from ledger.proof.errors import ProofError
from ledger.proof.heads import Head
from ledger.verify import Report, verify
from projections.check import Checked
from tallystick.cli.common import json_option, ok_mark, print_json
from tallystick.cli.database import with_database
from tallystick.heads import read_heads
from tallystick.read_models import checked
from tallystick.settings import Settings
from tallystick.tuning import tune_process


@click.command("verify")
@click.option(
    "--head",
    "places",
    multiple=True,
    help="Exported heads: a file, a folder or s3://bucket/prefix; by default where this installation keeps them.",
)
@json_option
def command(*, places: tuple[str, ...], as_json: bool) -> None:
    """Replay the log against hashes, signed heads, state and read models; exit 1 naming the first bad position."""
    with with_database() as (settings, pool):
        tune_process()
        start = time.perf_counter()
        report = Driver(pool).drive(verify(_heads(places, settings)))
        projected = None if report.findings else checked(settings)
        seconds = time.perf_counter() - start
    if as_json:
        print_json(_as_dict(report, seconds) | _projected(projected))
    else:
        _show(report, seconds)
        _show_projected(projected)
    sys.exit(1 if report.findings or projected is None or projected.differences else 0)


def _heads(places: tuple[str, ...], settings: Settings) -> list[Head]:
    try:
        return read_heads(places, settings)
    except ProofError as error:
        raise click.ClickException(f"{ok_mark(ok=False)}  {error}") from error


def _as_dict(report: Report, seconds: float) -> dict[str, Any]:
    return {
        "ok": not report.findings,
        "events": report.events,
        "accounts": report.accounts,
        "holds": report.holds,
        "verdicts": report.verdicts,
        "heads": report.heads,
        "head_hash": report.head_hash.hex(),
        "seconds": round(seconds, 3),
        "findings": report.findings,
        "forks": report.forks,
    }


def _projected(projected: Checked | None) -> dict[str, Any]:
    """Read models are compared with a log that is sound; ``null`` where it is not."""
    return {"ok": bool(projected and not projected.differences), "projections": projected}


def _show_projected(projected: Checked | None) -> None:
    for difference in projected.differences if projected else ():
        click.echo(f"{ok_mark(ok=False)}  {difference.projection}, position {difference.position}: {difference.what}")
    if projected and not projected.differences:
        names = ", ".join(f"{one.name} at {one.position}" for one in projected.followers)
        click.echo(f"{ok_mark(ok=True)}  read models say what the log says: {names}")


def _show(report: Report, seconds: float) -> None:
    for finding in report.findings:
        until = f" to {finding.until}" if finding.until else ""
        click.echo(f"{ok_mark(ok=False)}  position {finding.position}{until}: {finding.what}")
    for fork in report.forks:
        click.echo(f"note  {fork}")
    if not report.findings:
        click.echo(
            f"{ok_mark(ok=True)}  {report.events} events, {report.accounts} accounts, {report.holds} holds, "
            f"{report.verdicts} verdicts, {report.heads} signed heads in {seconds:.1f} s; "
            f"head {report.head_hash.hex()[:16]}"
        )
