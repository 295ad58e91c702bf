"""The callers' end of the socket: ``ledger.ports.LedgerWriter`` for all threads and event loops of one process.

Requests are checked and named where they are made. What waits is sent in one frame by whoever comes first; answers are
read by one thread, which wakes each event loop once a frame. A writer that restarts is found again, and asked again.
"""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread

from msgspec.structs import replace

from ledger import errors
from ledger.domain.verdicts import Answer, refused
from ledger.limits import SUBMIT_TIMEOUT_S
from ledger.ports import Clock, Request
from ledger.remote import limits, protocol
from ledger.remote.book import Book, Call
from ledger.remote.protocol import Outcomes, ProtocolError, Unwelcome, Welcome
from ledger.remote.sockets import new_socket
from ledger.tickets import THREADS, LoopHome, tell
from ledger.writer.prepare import Prepared, prepare

_log = logging.getLogger(__name__)
_READ_BYTES = 1024 * 1024
_SEND_AT = 128
"""Calls of one event loop that are sent without waiting for more, so that the writer begins while others still ask."""


class WriterClient:
    """One connection to the writer at ``path``, made when first needed. Close it to stop."""

    def __init__(self, path: Path, secret: bytes, clock: Clock) -> None:
        self._path = path
        self._secret = secret
        self._clock = clock
        self._book = Book()
        self._socket: socket.socket | None = None
        self._ready = False
        self._leftover = b""
        self._sending = Lock()
        self._tries = 0
        self._next_try_s = 0.0
        self._greeted_by_s = 0.0
        self._frames = protocol.from_writer()
        self._scheduled: set[asyncio.AbstractEventLoop] = set()
        self._home: LoopHome | None = None
        self._woken, self._waker = socket.socketpair()
        self._waker.settimeout(0.0)
        self._woken.settimeout(0.0)
        self._closing = False
        self._thread = Thread(target=self._run, name="writer-client", daemon=True)
        self._thread.start()

    @property
    def queued(self) -> int:
        """How many requests wait for an answer."""
        return self._book.waiting

    def submit(self, request: Request, *, timeout_s: float = SUBMIT_TIMEOUT_S) -> Answer:
        """See ``ledger.ports.LedgerWriter``."""
        return self.submit_many([request], timeout_s=timeout_s)[0]

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``ledger.ports.LedgerWriter``."""
        if not requests:
            return []
        future: Future[None] = Future()
        items = [self._prepare(request) for request in requests]
        call = Call(items, THREADS, future, ends_s=self._clock.monotonic_s() + timeout_s)
        if self._book.enter(call) or not self._ready:
            self._wake()
        self._flush()
        future.result()
        return call.result()

    async def submit_async(self, requests: Sequence[Request], *, timeout_s: float = SUBMIT_TIMEOUT_S) -> list[Answer]:
        """The same for a caller on an event loop; a caller that is cancelled cancels nothing that was sent."""
        if not requests:
            return []
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        items = [self._prepare(request) for request in requests]
        if (home := self._home) is None or home.loop is not loop:
            home = self._home = LoopHome(loop)
        call = Call(items, home, future, ends_s=self._clock.monotonic_s() + timeout_s)
        if self._book.enter(call) or not self._ready:
            self._wake()
        if len(self._book.unsent) >= _SEND_AT:
            self._flush()
        elif loop not in self._scheduled:
            self._scheduled.add(loop)
            loop.call_soon(self._flush_for, loop)
        await future
        return call.result()

    def close(self) -> None:
        """Give up what waits, and the connection."""
        self._closing = True
        tell(self._book.give_up("the connection to the writer is closed", closed=True))
        self._wake()
        self._thread.join(timeout=SUBMIT_TIMEOUT_S)

    def _prepare(self, request: Request) -> Prepared:
        """Check and name a request, and leave at home what the writer does not read."""
        prepared = prepare(request, self._secret)
        if request.body is None:
            return prepared
        return replace(prepared, request=replace(request, body=None))

    # ------------------------------------------------------------------ sending, on any thread

    def _flush_for(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled.discard(loop)
        self._flush()

    def _flush(self) -> None:
        """Send what waits. Who finds somebody sending leaves it to them: they look again when they have done."""
        while self._ready and not self._leftover and self._book.to_say and self._sending.acquire(blocking=False):
            try:
                self._send_next()
            finally:
                self._sending.release()

    def _send_next(self) -> None:
        connected = self._socket
        if connected is None or self._leftover:
            return
        frame, broken = self._book.take()
        for call in broken:
            self._fail(call)
        tell(broken)
        self._leftover = self._send(connected, frame) if frame else b""
        if self._leftover:
            self._wake()

    def _fail(self, call: Call) -> None:
        """Settle a call that cannot be encoded as a writer settles its own faults: nothing of it was written."""
        if call.doubtful:
            call.error = errors.OutcomeUnknown("the connection was lost once, and the request cannot be sent again")
            return
        now = self._clock.now()
        call.answers = [Answer(refused(errors.InternalError(), now, item.request.subject_id)) for item in call.items]

    def _send(self, connected: socket.socket, frame: bytes) -> bytes:
        """Send what the socket takes; the rest. A broken one is found by the thread that reads."""
        try:
            return frame[connected.send(frame) :]
        except BlockingIOError:
            return frame
        except OSError:
            self._ready = False
            with suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)
            return b""

    # ------------------------------------------------------------------ the thread that reads

    def _run(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except ProtocolError as error:
                self._refuse(f"what answers at {self._path} is no writer of ours: {error}")
            except Exception as error:  # noqa: BLE001  a fault of ours must leave nobody waiting for ever
                _log.exception("the connection to the writer failed")
                self._refuse(f"the connection to the writer failed: {error}")
        self._lose()
        self._woken.close()
        self._waker.close()

    def _turn(self) -> None:
        now_s = self._clock.monotonic_s()
        tell(self._book.expire(now_s))
        if self._socket is None and self._book.unsent and now_s >= self._next_try_s:
            self._connect(now_s)
        elif self._socket is not None and not self._ready and now_s > self._greeted_by_s:
            self._lose()
        self._flush()
        for descriptor, events in self._poll(now_s):
            if descriptor == self._woken.fileno():
                with suppress(BlockingIOError):
                    self._woken.recv(_READ_BYTES)
            else:
                self._serve(events)

    def _poll(self, now_s: float) -> list[tuple[int, int]]:
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        ends_s = self._book.next_end_s
        if self._socket is not None:
            poll.register(self._socket, select.POLLIN | (select.POLLOUT if self._leftover else 0))
            if not self._ready:
                ends_s = min(ends_s, self._greeted_by_s)
        elif self._book.unsent:
            ends_s = min(ends_s, self._next_try_s)
        return poll.poll(None if ends_s == float("inf") else max(0.0, ends_s - now_s) * 1_000 + 1)

    def _connect(self, now_s: float) -> None:
        self._next_try_s = now_s + limits.PAUSES_S[min(self._tries, len(limits.PAUSES_S) - 1)]
        self._tries += 1
        connected = new_socket()
        try:
            connected.connect(str(self._path))
            connected.send(protocol.frame(protocol.hello(self._secret)))
        except OSError:
            connected.close()
            return
        self._frames = protocol.from_writer()
        self._greeted_by_s = now_s + limits.GREETING_LIMIT_S
        self._socket = connected

    def _serve(self, events: int) -> None:
        if events & select.POLLOUT and self._socket is not None:
            with self._sending:
                self._leftover = self._send(self._socket, self._leftover)
        if events & ~select.POLLOUT:
            self._read()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._frames.feed(data)
        while (message := self._frames.take()) is not None:
            match message:
                case Welcome():
                    self._ready = True
                case Unwelcome():
                    self._refuse(f"the writer at {self._path} refuses this process: {message.reason}")
                    return
                case Outcomes():
                    self._hear(message)
        if not data:
            self._lose()

    def _hear(self, outcomes: Outcomes) -> None:
        settled, stopping = self._book.hear(outcomes)
        if settled:
            self._tries = 0
        if stopping:
            self._ready = False  # it says the rest of its answers and hangs up
            self._greeted_by_s = self._clock.monotonic_s() + limits.GREETING_LIMIT_S
        tell(settled)

    def _refuse(self, reason: str) -> None:
        """There is no talking to this writer: say so to all who wait."""
        _log.error("%s", reason)
        self._lose()
        self._next_try_s = self._clock.monotonic_s() + limits.PAUSES_S[-1]
        tell(self._book.give_up(reason))

    def _lose(self) -> None:
        self._ready = False
        with self._sending:  # nobody sends on it any more
            if self._socket is not None:
                self._socket.close()
            self._socket = None
            self._leftover = b""
            self._book.lose()

    def _wake(self) -> None:
        with suppress(OSError):  # full: it is awake already
            self._waker.send(b"!")
