"""Entry point: ``tallystick`` or ``python -m tallystick``."""

from __future__ import annotations

import sys

import click

from migrations.runner import MigrationError
from tallystick.cli.group import tallystick
from tallystick.errors import SettingsError, TallystickError

EXIT_FAILED = 1
EXIT_USAGE = 2


def main() -> None:
    """Run the command line; a mistake of the surroundings ends it with a line, not with a trace."""
    try:
        tallystick(prog_name="tallystick")
    except SettingsError as error:
        _end(str(error), EXIT_USAGE)
    except (TallystickError, MigrationError) as error:
        _end(str(error), EXIT_FAILED)


def _end(message: str, code: int) -> None:
    click.echo(f"{click.style('error:', fg='red')} {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
