"""Serves the application with uvicorn, in this process, until told to stop.

On the signal live streams say goodbye first; what is still open after ``STOP_S`` is cut. Without that one open stream
would keep the server from ever stopping.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from api.limits import STOP_S
from api.live.hub import Hub

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: ours, or one put around it."""

_BACKLOG = 2_048
"""Connections that may wait to be taken."""

_JOINED_BYTES_MAX = 65_536
"""From here on the transport says for itself when it has enough."""


class Joined:
    """A transport that sends what is written within one turn of the loop in one piece, or whenever that grows large.

    Uvicorn writes the head of an answer, then its body, and uvloop sends each write at once: two system calls, and a
    caller who is woken twice for one answer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._unsent: list[bytes] = []
        self._unsent_bytes = 0

    def write(self, data: bytes) -> None:
        """See ``asyncio.WriteTransport``."""
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(data)
        self._unsent_bytes += len(data)
        if self._unsent_bytes > _JOINED_BYTES_MAX:
            self._send()

    def close(self) -> None:
        """See ``asyncio.BaseTransport``; what was written is sent before."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._unsent:
            unsent, self._unsent, self._unsent_bytes = self._unsent, [], 0
            self._transport.writelines(unsent)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)


class Connection(AutoHTTPProtocol):
    """One connection, whose answers are sent in one piece."""

    def connection_made(self, transport: Any) -> None:
        """See ``asyncio.Protocol``."""
        joined: Any = Joined(transport, asyncio.get_running_loop())
        super().connection_made(joined)


class Server(uvicorn.Server):
    """Stops within ``STOP_S``, whoever is still connected."""

    def __init__(self, config: uvicorn.Config, hub: Hub, on_signal: Callable[[], None]) -> None:
        super().__init__(config)
        self._hub = hub
        self._on_signal = on_signal

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """See ``uvicorn.Server``: a signal handler, also before and after it serves."""
        self._on_signal()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """See ``uvicorn.Server``."""
        self._hub.close()
        await super().shutdown(sockets)


def make_server(app: Application, hub: Hub, on_signal: Callable[[], None] = lambda: None) -> Server:
    """A server; ``run(sockets=[…])`` serves until SIGINT or SIGTERM, or until ``should_exit`` is set.

    ``on_signal`` is called in the signal handler, so it must want no lock.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=STOP_S,
    )
    return Server(config, hub, on_signal)


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
