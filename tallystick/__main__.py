"""Entry point: ``tallystick`` or ``python -m tallystick``."""

from __future__ import annotations

import sys

import click
import psycopg

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
    except psycopg.OperationalError as error:  # the pool's are among them
        _end(f"the database does not answer: {_in_a_line(error)}", EXIT_FAILED)
    except (
        psycopg.ProgrammingError,
        psycopg.InternalError,
    ) as error:  # a right or a table is lacking, or it only reads
        _end(f"the database refuses: {_in_a_line(error)}", EXIT_FAILED)
    except OSError as error:
        if error.filename is None:
            raise
        _end(f"{error.filename}: {error.strerror}", EXIT_FAILED)


def _in_a_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _end(message: str, code: int) -> None:
    click.echo(f"{click.style('error:', fg='red')} {message}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
