"""The writer's end of the socket: one thread that accepts and reads, for all callers' processes of a host.

Answers leave on the writer's own thread, right after the commit; what a socket does not take then, this thread sends
when it does. So the interpreter is shared by two threads, however many processes call.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
from contextlib import suppress
from threading import Event, Thread

from ledger.ports import Clock
from ledger.remote import limits, protocol
from ledger.remote.connection import Connection
from ledger.remote.protocol import Calls, FromClient, Hello, ProtocolError, Unwelcome
from ledger.remote.sockets import enlarge, may_connect, peer_uid
from ledger.writer_thread import WriterThread

_log = logging.getLogger(__name__)
_READ_BYTES = 1024 * 1024
_TURN_S = 0.5
_PAUSE_S = 0.05
"""After what may go wrong again at once, such as a caller whom there is no file descriptor for."""


class WriterServer:
    """Hands what callers send to a writer's queue. ``listener`` is the caller's; ``stop`` closes the writer too.

    What goes wrong with one caller ends that connection, and what goes wrong else is told: without this thread the
    writer would live on and hear nobody.
    """

    def __init__(self, writer: WriterThread, listener: socket.socket, secret: bytes, clock: Clock) -> None:
        self._writer = writer
        self._listener = listener
        self._secret = secret
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._connections: dict[Connection, float] = {}
        self._stopping = False
        self._thread = Thread(target=self._run, name="writer-socket", daemon=True)

    @property
    def connections(self) -> int:
        """How many processes are connected."""
        return len(self._connections)

    @property
    def queued(self) -> int:
        """How many requests wait for the writer."""
        return self._writer.queued

    def start(self) -> None:
        """Begin."""
        self._woken.setblocking(False)  # noqa: FBT003  positional there
        self._waker.setblocking(False)  # noqa: FBT003  positional there
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Accept nobody more, finish the batch in hand, refuse what is queued, and see the answers off."""
        self._writer.close()
        self._stopping = True
        self._wake()
        self._thread.join(timeout=2 * limits.DRAIN_S)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already
            self._waker.send(b"!")

    def _run(self) -> None:
        ends_s = float("inf")
        while self._clock.monotonic_s() < ends_s:
            if self._stopping:
                ends_s = min(ends_s, self._clock.monotonic_s() + limits.DRAIN_S)
                if not any(connection.unsent for connection in self._connections):
                    break
            self._try_a_turn()
        for connection in list(self._connections):
            self._end(connection)
        self._selector.close()

    def _try_a_turn(self) -> None:
        try:
            self._turn()
        except Exception:  # noqa: BLE001  told loudly, and the callers are heard on
            _log.exception("the writer's socket goes on after a fault")
            _pause()

    def _turn(self) -> None:
        for key, events in self._selector.select(_TURN_S):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                with suppress(BlockingIOError):
                    self._woken.recv(_READ_BYTES)
            else:
                self._serve(key.data, events)
        for connection, greeted_by_s in list(self._connections.items()):
            self._look_at(connection, greeted_by_s)

    def _look_at(self, connection: Connection, greeted_by_s: float) -> None:
        late = not connection.welcome and self._clock.monotonic_s() > greeted_by_s
        if connection.over or late:
            self._end(connection)
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
        if self._selector.get_key(connection.socket).events != wanted:
            self._selector.modify(connection.socket, wanted, connection)

    def _accept(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except OSError as error:
            _log.warning("a caller could not be let in: %s", error)
            _pause()
            return
        try:
            self._let_in(connected)
        except OSError as error:  # it has gone before anybody could ask who it is
            _log.warning("a caller could not be let in: %s", error)
            connected.close()

    def _let_in(self, connected: socket.socket) -> None:
        connected.setblocking(False)  # noqa: FBT003  positional there
        if not may_connect(uid := peer_uid(connected)) or len(self._connections) >= limits.CONNECTIONS_MAX:
            _log.warning("refused a caller of user %d", uid)
            connected.close()
            return
        enlarge(connected)
        connection = Connection(connected, self._writer, self._wake)
        self._selector.register(connected, selectors.EVENT_READ, connection)
        self._connections[connection] = self._clock.monotonic_s() + limits.GREETING_LIMIT_S

    def _serve(self, connection: Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                connection.flush()
            if events & selectors.EVENT_READ:
                self._read(connection)
        except ProtocolError as error:
            _log.warning("a caller does not speak the writer's protocol: %s", error)
            connection.say(Unwelcome(str(error)))
            connection.over = True
        except BlockingIOError:
            return
        except OSError:
            connection.over = True
        except Exception:  # noqa: BLE001  told loudly: what it sent is lost in part, so it must connect again
            _log.exception("a caller is given up after a fault")
            connection.over = True

    def _read(self, connection: Connection) -> None:
        data = connection.socket.recv(_READ_BYTES)
        if not data:
            connection.over = True
        connection.frames.feed(data)
        while (message := connection.frames.take()) is not None:
            self._hear(connection, message)

    def _hear(self, connection: Connection, message: FromClient) -> None:
        match message:
            case Hello():
                if reason := protocol.objection(message, self._secret):
                    raise ProtocolError(reason)
                connection.greet(os.getpid())
            case Calls():
                if not connection.welcome:
                    raise ProtocolError("calls before a greeting")
                connection.take(message)

    def _end(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.socket)
        connection.close()


def _pause() -> None:
    Event().wait(_PAUSE_S)
