"""``tallystick verify``."""

from __future__ import annotations

import sys
import time
from typing import Any

import click
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.verify import Report, verify
from projections.check import Checked
from tallystick.cli.common import json_option, ok_mark, print_json, running
from tallystick.read_models import checked


@click.command("verify")
@json_option
def command(*, as_json: bool) -> None:
    """Replay the log against its hashes, stored state and read models; exit 1 naming the first bad position."""
    with running() as settings, _pool(settings.database_url) as pool:
        start = time.perf_counter()
        report = Driver(pool).drive(verify())
        projected = None if report.findings else checked(settings)
        seconds = time.perf_counter() - start
    if as_json:
        print_json(_as_dict(report, seconds) | _projected(projected))
    else:
        _show(report, seconds)
        _show_projected(projected)
    sys.exit(1 if report.findings or projected is None or projected.differences else 0)


def _pool(database_url: str | None) -> ConnectionPool[Any]:
    assert database_url is not None
    return ConnectionPool(database_url, min_size=1, max_size=1, open=False)


def _as_dict(report: Report, seconds: float) -> dict[str, Any]:
    return {
        "ok": not report.findings,
        "events": report.events,
        "accounts": report.accounts,
        "holds": report.holds,
        "head_hash": report.head_hash.hex(),
        "seconds": round(seconds, 3),
        "findings": report.findings,
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
        click.echo(f"{ok_mark(ok=False)}  position {finding.position}: {finding.what}")
    if not report.findings:
        click.echo(
            f"{ok_mark(ok=True)}  {report.events} events, {report.accounts} accounts, {report.holds} holds "
            f"in {seconds:.1f} s; head {report.head_hash.hex()[:16]}"
        )
