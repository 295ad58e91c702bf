"""``tallystick migrate``."""

from __future__ import annotations

import click

from tallystick import schema
from tallystick.cli.common import json_option, print_json, running


@click.command("migrate")
@json_option
def command(*, as_json: bool) -> None:
    """Bring the database up to date."""
    with running() as settings:
        applied = schema.migrate(settings)
    if as_json:
        print_json({"applied": applied})
    else:
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply")
