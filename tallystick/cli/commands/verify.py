"""``tallystick verify``."""

from __future__ import annotations

import sys
import time
from typing import Any

import click
from psycopg_pool import ConnectionPool

from ledger.drivers import Driver
from ledger.verify import Report, verify
from tallystick.cli.common import json_option, ok_mark, print_json, running


@click.command("verify")
@json_option
def command(*, as_json: bool) -> None:
    """Replay the whole log against its hashes and the stored state; exit 1 naming the first bad position."""
    with running() as settings, _pool(settings.database_url) as pool:
        start = time.perf_counter()
        report = Driver(pool).drive(verify())
        seconds = time.perf_counter() - start
    if as_json:
        print_json(_as_dict(report, seconds))
    else:
        _show(report, seconds)
    sys.exit(1 if report.findings else 0)


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


def _show(report: Report, seconds: float) -> None:
    for finding in report.findings:
        click.echo(f"{ok_mark(ok=False)}  position {finding.position}: {finding.what}")
    if not report.findings:
        click.echo(
            f"{ok_mark(ok=True)}  {report.events} events, {report.accounts} accounts, {report.holds} holds "
            f"in {seconds:.1f} s; head {report.head_hash.hex()[:16]}"
        )
