"""``tallystick serve``."""

from __future__ import annotations

import signal

import click

from api.app import create_app
from api.server import bind, make_server
from tallystick.cli.common import running
from tallystick.errors import ServiceError
from tallystick.pages import pages_of
from tallystick.run_process import STOP_LIMIT_S, Stopping, ended_within, parts_of
from tallystick.schema import require_migrated
from tallystick.settings import Settings
from tallystick.telemetry.http import SeenApplication
from tallystick.wiring import Background, make_services


@click.command("serve")
@click.option("--http-only", is_flag=True, help="Leave followers and settlement to other processes.")
def command(*, http_only: bool) -> None:
    """Serve the API until stopped; SIGTERM ends it within seconds, live streams included."""
    with running() as settings:
        require_migrated(settings)
        serve(settings, background=not http_only)


def serve(settings: Settings, *, background: bool = True) -> None:
    """Serve on the configured address; returns after SIGINT or SIGTERM. Call it from the main thread.

    :raises ServiceError: the address is taken.
    """
    try:
        listening = bind(settings.host, settings.port)
    except OSError as error:
        raise ServiceError("http", f"{settings.host}:{settings.port}: {error.strerror}") from error
    port, stopping = listening.getsockname()[1], Stopping()
    with ended_within(STOP_LIMIT_S, stopping), parts_of(settings.with_values(port=port), "api") as parts:
        services = make_services(parts)
        app = SeenApplication(create_app(services, pages_of(parts)), parts.telemetry, parts.ids)
        server = make_server(app, services.hub, stopping.set)
        # The server passes its signal on after it has ended; without handlers of ours it would end us before the rest.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        behind = Background(parts, also_wake=services.hub.wake) if background else None
        if behind is not None:
            behind.start()
        click.echo(f"serving {parts.public_url}")
        try:
            server.run(sockets=[listening])
        finally:
            if behind is not None:
                behind.stop()
            services.crossing.close()
