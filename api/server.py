"""Serves the application with uvicorn, in this process, until told to stop.

On the signal live streams say goodbye first; what is still open after ``STOP_S`` is cut. Without that one open stream
would keep the server from ever stopping.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from api.limits import STOP_S
from api.live.hub import Hub

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: ours, or one put around it."""

_BACKLOG = 2_048
"""Connections that may wait to be taken."""


class Server(uvicorn.Server):
    """Stops within ``STOP_S``, whoever is still connected."""

    def __init__(self, config: uvicorn.Config, hub: Hub) -> None:
        super().__init__(config)
        self._hub = hub

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn.Server``."""
        self._hub.close()
        await super().shutdown(sockets)


def make_server(app: Application, hub: Hub) -> Server:
    """A server; ``run(sockets=[…])`` serves until SIGINT or SIGTERM, or until ``should_exit`` is set."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
    )
    return Server(config, hub)


def bind(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 takes a free one. Who connects before the server runs waits for it.

    :raises OSError: the address is taken, or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
