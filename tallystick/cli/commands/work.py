"""``tallystick work``."""

from __future__ import annotations

import logging

import click

from tallystick.cli.common import running
from tallystick.run_process import STOP_LIMIT_S, ended_within, parts_of, until_stopped
from tallystick.run_worker import make_worker
from tallystick.schema import require_migrated
from tallystick.settings import Settings
from workers.process import DRAIN_S

_log = logging.getLogger(__name__)


@click.command("work")
@click.option(
    "--drain",
    "drain_s",
    type=click.FloatRange(0, 3600),
    default=DRAIN_S,
    show_default=True,
    help="Seconds that the jobs in hand may take when it is stopped; others take over what is left then.",
)
def command(*, drain_s: float) -> None:
    """Run jobs on the nodes of COMFYUI_NODES until stopped."""
    with running() as settings:
        require_migrated(settings)
        work(settings, drain_s)


def work(settings: Settings, drain_s: float) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in hand. Call it from the main thread."""
    stopping = until_stopped()
    with ended_within(drain_s + STOP_LIMIT_S, stopping), parts_of(settings, "worker") as parts:
        worker = make_worker(parts, drain_s=drain_s)
        worker.start()
        nodes = ", ".join(settings.comfyui_nodes) or "no node: COMFYUI_NODES names none"
        _log.info("working on %s", nodes)
        click.echo(f"working on {nodes}")
        try:
            stopping.wait()
        finally:
            _log.info("stopping; the jobs in hand have %.0f s", drain_s)
            worker.stop()
