"""One caller's process at the writer's end: its calls in hand, and answers on their way out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from ledger import errors
from ledger.domain.verdicts import Answer
from ledger.remote import limits, protocol
from ledger.remote.protocol import Calls, FromWriter, Outcomes, Welcome
from ledger.tickets import Ticket
from ledger.writer_thread import WriterThread


class Connection:
    """Home of the tickets of one process. Read on the server's thread; told on any.

    ``wake`` asks the server's thread to look at ``unsent`` and ``over`` again.
    """

    def __init__(self, connected: socket.socket, writer: WriterThread, wake: Callable[[], None]) -> None:
        self.socket = connected
        self.frames = protocol.from_client()
        self.welcome = False
        self.over = False
        self.unsent = bytearray()
        self._writer = writer
        self._wake = wake
        self._sending = Lock()
        self._counting = Lock()
        self._tickets: dict[int, Ticket] = {}
        self._waiting = 0

    def greet(self, pid: int) -> None:
        """Let it go on."""
        self.welcome = True
        self.frames.size_max = limits.FRAME_BYTES_MAX
        self.say(Welcome(pid))

    def take(self, message: Calls) -> None:
        """Queue calls; those there is no room for are refused at once."""
        for number in message.withdrawn:
            self._withdraw(number)
        tickets = [Ticket(items, self, number=number) for number, items in message.calls if items]
        room = self._room_for(tickets)
        with self._counting:
            for ticket in tickets[:room]:
                self._tickets[ticket.number] = ticket
                self._waiting += len(ticket.items)
        queued = self._writer.enqueue(tickets[:room])
        self._forget(tickets[queued:room])
        if refused := tickets[queued:]:
            word = protocol.STOPPING if self._writer.closing else protocol.FULL
            self.say(Outcomes([], [(ticket.number, word, "") for ticket in refused]))

    def tell(self, tickets: Sequence[Ticket]) -> None:
        """See ``ledger.tickets.Home``; called on the writer's thread."""
        answered: list[tuple[int, list[Answer]]] = []
        failed: list[tuple[int, str, str]] = []
        self._forget(tickets)
        for ticket in tickets:
            if ticket.error is None:
                answered.append((ticket.number, ticket.answers))
            else:
                failed.append((ticket.number, self._word(ticket.error), str(ticket.error)))
        self.say(Outcomes(answered, failed))

    def say(self, message: FromWriter) -> None:
        """Send a message, as much of it as the socket takes now; a reader that is too slow is given up."""
        frame = protocol.frame(message)
        with self._sending:
            if not self.unsent:
                frame = frame[self._send(frame) :]
            if self.over or not frame:
                return
            self.unsent += frame
            self.over = len(self.unsent) > limits.UNREAD_BYTES_MAX
        self._wake()

    def flush(self) -> None:
        """Send what is left; called on the server's thread when the socket takes more."""
        with self._sending:
            del self.unsent[: self._send(self.unsent)]

    def close(self) -> None:
        """Nobody waits here any more."""
        self.over = True
        self._writer.forget(self)
        with self._sending:
            self.socket.close()

    def _send(self, data: bytes | bytearray) -> int:
        with suppress(BlockingIOError):
            try:
                return self.socket.send(data)
            except OSError as error:
                if isinstance(error, BlockingIOError):
                    raise
                self.over = True  # the server's thread reads the end of it too
        return 0

    def _room_for(self, tickets: Sequence[Ticket]) -> int:
        """How many of the tickets one process may still have waiting."""
        waiting = self._waiting
        for count, ticket in enumerate(tickets):
            waiting += len(ticket.items)
            if waiting > limits.WAITING_MAX:
                return count
        return len(tickets)

    def _withdraw(self, number: int) -> None:
        ticket = self._tickets.get(number)
        if ticket is None:
            return  # its answer is on its way
        if self._writer.withdraw(ticket):
            self._forget([ticket])
            self.say(Outcomes([], [(number, protocol.WITHDRAWN, "")]))
        else:
            self.say(Outcomes([], [(number, protocol.TAKEN, "")]))

    def _forget(self, tickets: Sequence[Ticket]) -> None:
        with self._counting:
            for ticket in tickets:
                if self._tickets.pop(ticket.number, None) is not None:
                    self._waiting -= len(ticket.items)

    def _word(self, error: errors.LedgerError) -> str:
        if isinstance(error, errors.NotDone):
            return protocol.STOPPING
        return protocol.LOST if self._writer.closing else protocol.UNKNOWN
