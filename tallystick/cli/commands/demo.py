"""``tallystick demo``."""

from __future__ import annotations

import logging
import sys

import click
from rich.console import Console

from tallystick import settings as settings_module
from tallystick.demo import tell
from tallystick.telemetry.logs import log_to

_WIDE = 200
"""Columns where nobody looks on: no line is broken."""


@click.command("demo")
def command() -> None:
    """Live one credit's whole life on this machine, with real figures; exit 0 if every step held."""
    settings = settings_module.load()
    log_to(None, settings.with_values(log_level="error"), "demo")
    console = Console()
    well = tell(settings, console if console.is_terminal else Console(width=_WIDE))
    logging.shutdown()
    sys.exit(0 if well else 1)
