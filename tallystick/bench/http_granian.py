"""The same application behind granian, to be measured: ``python -m tallystick.bench.http_granian``."""

from __future__ import annotations

import asyncio
import signal

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from api.app import create_app
from tallystick import settings as settings_module
from tallystick.pages import pages_of
from tallystick.run_process import parts_of
from tallystick.settings import Settings
from tallystick.telemetry.http import SeenApplication
from tallystick.wiring import make_services


def serve(settings: Settings) -> None:
    """Serve on the configured address until SIGTERM, without what goes on behind."""
    with parts_of(settings, "api") as parts:
        services = make_services(parts)
        app = SeenApplication(create_app(services, pages_of(parts)), parts.telemetry, parts.ids)
        server = Server(
            app, settings.host, settings.port, interface=Interfaces.ASGI, websockets=False, log_enabled=False
        )

        async def run() -> None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
            await server.serve()

        uvloop.run(run())
        services.crossing.close()


if __name__ == "__main__":
    serve(settings_module.load())
