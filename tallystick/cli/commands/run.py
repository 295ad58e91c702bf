"""``tallystick run``."""

from __future__ import annotations

import contextlib
import logging
import time

import click

from tallystick import settings as settings_module
from tallystick.errors import ServiceError
from tallystick.run_process import Stopping, until_stopped
from tallystick.run_site import Site, Stopped, running_site
from tallystick.run_welcome import tries, welcome
from tallystick.telemetry.logs import log_to

_LOOK_S = 0.2
_ASK_EVERY_S = 5.0
_UNREACHABLE_MAX = 3


@click.command("run")
def command() -> None:
    """Run everything on this machine until stopped: servers, a node, API, worker, followers."""
    settings = settings_module.load()
    log_to(None, settings.with_values(log_level="warning"), "run")
    stopping = until_stopped()
    started = time.monotonic()

    def tell(what: str) -> None:
        if stopping.is_set():
            raise Stopped
        if what:
            click.echo(f"starting {what} …", err=True)

    with contextlib.suppress(Stopped), running_site(settings, tell) as site:
        greet(site, time.monotonic() - started)
        stay(site, stopping)
        click.echo("stopping …", err=True)
    logging.shutdown()


def greet(site: Site, seconds: float) -> None:
    """Print where it is, a key, and lines to paste."""
    found = welcome(site)
    programs = {child.program.name: child for child in site.supervisor.children}
    click.echo(f"\nTallystick is up after {seconds:.0f} s: {click.style(site.url, bold=True)}\n")
    click.echo(f"  data     {site.settings.data_dir}")
    click.echo(f"  logs     {site.logs}/{{{','.join(programs)}}}.log")
    if site.standin is not None:
        click.echo("  node     a stand-in without a GPU: what it paints says STAND-IN (COMFYUI_NODES names real ones)")
    if site.settings.sandbox:
        click.echo("  rail     the sandbox: anybody pays, with nothing (see README for real rails)")
    click.echo(f"  API key  {found.key}  ({found.organisation})\n")
    for what, line in tries(site.url, found.key):
        click.echo(f"# {what}\n{line}\n")
    click.echo("Ctrl-C stops it.")


def stay(site: Site, stopping: Stopping) -> None:
    """Keep every part running until told to stop.

    :raises ServiceError: a part dies again and again, or a database of ours does not come back.
    """
    asked_at, silent = time.monotonic(), 0
    while not stopping.wait(_LOOK_S):
        site.supervisor.look()
        if site.embedded and time.monotonic() - asked_at > _ASK_EVERY_S:
            asked_at = time.monotonic()
            silent = silent + 1 if site.unreachable() else 0
            if silent >= _UNREACHABLE_MAX:
                raise ServiceError("PostgreSQL", f"does not answer any more; its log is in {site.settings.data_dir}")
