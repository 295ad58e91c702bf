"""Who appends to the log: the writer's process, and how every other process finds it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from typing import Any

import psycopg
from psycopg_pool import ConnectionPool

from ledger.ports import Clock
from ledger.remote.server import WriterServer
from ledger.remote.sockets import SocketError, listening
from ledger.store.connection import WriterStore
from ledger.store.postgres import PostgresLedger
from ledger.store.socket import SocketLedger
from ledger.writer_thread import WriterThread
from tallystick.clock import SystemClock
from tallystick.errors import NotReady, ServiceError
from tallystick.settings import Settings
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.writer import batch_observer
from tallystick.writer_probe import PURPOSE, unavailable

_CONNECT_TIMEOUT_S = 5


def open_ledger(
    settings: Settings, pool: ConnectionPool[Any], clock: Clock, telemetry: Telemetry, *, remote: bool
) -> SocketLedger | PostgresLedger:
    """The ledger with the writer's process behind it; or, if that may be and none runs, with a writer of our own.

    :param remote: whether it must be the writer's process, which is waited for when it is needed.
    :raises NotReady: there is none, and the role of this process may not append.
    """
    secret = settings.key_for(PURPOSE)
    if remote or unavailable(settings) is None:
        return SocketLedger(settings.writer_path, pool, clock=clock, secret=secret)
    require_writing_role(settings, unavailable(settings) or "")
    return PostgresLedger(
        settings.writer_url, pool, clock=clock, secret=secret, sleep=time.sleep, observer=batch_observer(telemetry)
    )


def require_writing_role(settings: Settings, otherwise: str = "") -> None:
    """Refuse to write as a role that may not.

    :param otherwise: what else was tried.
    :raises NotReady: saying which setting names another role.
    """
    with psycopg.connect(settings.writer_url, connect_timeout=_CONNECT_TIMEOUT_S) as connection:
        row = connection.execute("SELECT has_table_privilege('events', 'INSERT')").fetchone()
        if row != (True,):
            said = f"{otherwise}, and " if otherwise else ""
            raise NotReady(
                f"{said}{connection.info.user} may not append to the log: start tallystick write, "
                "whose DATABASE_WRITER_URL names a role that may"
            )


@contextlib.contextmanager
def writing(settings: Settings, telemetry: Telemetry) -> Generator[WriterServer]:
    """The writer, answering at its socket while the block runs; then it finishes what it has taken.

    :raises NotReady: the role may not append.
    :raises ServiceError: another writer answers there, or the socket's folder is not private.
    """
    require_writing_role(settings)
    clock, secret = SystemClock(), settings.key_for(PURPOSE)
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(listening(settings.writer_path))
        except SocketError as error:
            raise ServiceError("writer", str(error)) from error
        writer = WriterThread(
            WriterStore(settings.writer_url, clock, time.sleep), secret, observer=batch_observer(telemetry)
        )
        server = WriterServer(writer, listener, secret, clock)
        telemetry.gauge(
            "tallystick.ledger.queue", "{request}", "requests that wait for the writer", lambda: [(writer.queued, {})]
        )
        telemetry.gauge(
            "tallystick.ledger.callers",
            "{process}",
            "processes connected to the writer",
            lambda: [(server.connections, {})],
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
