"""``tallystick doctor``."""

from __future__ import annotations

import sys

import click

from tallystick.cli.common import json_option, ok_mark, print_json, running
from tallystick.doctor import Finding, examine


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Say what is configured, reachable and migrated; exit 1 if something is wrong."""
    with running() as settings:
        findings = examine(settings)
    if as_json:
        print_json({"ok": all(finding.ok for finding in findings), "findings": findings})
    else:
        for finding in findings:
            _show(finding)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)


def _show(finding: Finding) -> None:
    click.echo(f"{ok_mark(ok=finding.ok)}  {finding.name}: {finding.seen}")
    if finding.remedy:
        click.echo(f"      {finding.remedy}")
