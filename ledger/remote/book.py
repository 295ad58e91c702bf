"""What a process waits for from the writer, sans I/O: calls not sent yet, calls sent, and when each must have ended.

A call may be sent again as often as a connection is lost: its requests have permanent keys. What was sent once and has
no answer is in doubt; in doubt, or being written, it ends unknown; otherwise it ends not done.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import count
from threading import Lock

from ledger import errors
from ledger.remote import limits, protocol
from ledger.remote.protocol import Calls, Outcomes, ProtocolError
from ledger.tickets import AnyFuture, Home, Ticket
from ledger.writer.prepare import Prepared

_log = logging.getLogger(__name__)


class Call(Ticket):
    """A ticket that another process is asked to settle until ``ends_s``."""

    __slots__ = ("doubtful", "ends_s", "size", "withdrawn")

    def __init__(self, items: Sequence[Prepared], home: Home, future: AnyFuture, *, ends_s: float) -> None:
        super().__init__(items, home, future)
        self.ends_s = ends_s
        self.size = sum(item.size for item in items) if len(items) > 1 else items[0].size
        self.doubtful = False
        self.withdrawn = False


class Book:
    """Calls of one process. Safe from many threads; settled calls are returned, to be told outside the lock."""

    def __init__(self) -> None:
        self.next_end_s = float("inf")
        self.unsent: list[Call] = []
        self._sent: dict[int, Call] = {}
        self._withdrawn: list[int] = []
        self._waiting = 0
        self._closed = False
        self._numbers = count(1)
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return self._waiting

    @property
    def to_say(self) -> bool:
        """Whether ``take`` has something."""
        return bool(self.unsent or self._withdrawn)

    def enter(self, call: Call) -> bool:
        """Take a call in; whether it ends before all others.

        :raises NotDone: too many wait already, or the client is closed.
        :raises InvalidRequest: it is larger than the writer would read at once.
        """
        if call.size > limits.FRAME_SIZE:
            _check_size(call)
        with self._lock:
            if self._closed:
                raise errors.NotDone("the connection to the writer is closed")
            if self._waiting + len(call.items) > limits.WAITING_MAX:
                raise errors.NotDone("too many requests wait for the writer")
            call.number = next(self._numbers)
            self._waiting += len(call.items)
            self.unsent.append(call)
            if call.ends_s >= self.next_end_s:
                return False
            self.next_end_s = call.ends_s
            return True

    def take(self) -> tuple[bytes, list[Call]]:
        """What is to be sent next, whose calls count as sent; and the calls of which nothing can be sent.

        The latter wait no more: they are to be settled by who asks.
        """
        with self._lock:
            if not self.unsent and not self._withdrawn:
                return b"", []
            calls = self._take_calls()
            withdrawn, self._withdrawn = self._withdrawn, []
            self._sent.update((call.number, call) for call in calls)
        try:
            return protocol.frame(Calls([(call.number, call.items) for call in calls], withdrawn)), []
        except Exception:  # noqa: BLE001  whatever it is, it is one call's, and none of the others' concern
            return self._take_apart(calls, withdrawn)

    def _take_apart(self, calls: Sequence[Call], withdrawn: list[int]) -> tuple[bytes, list[Call]]:
        """The same in a frame for each call, so that those which cannot be encoded are found and the others are sent.

        It may be all of them together that are too much for a frame; then each one fits.
        """
        frames = [protocol.frame(Calls([], withdrawn))] if withdrawn else []
        broken: list[Call] = []
        for call in calls:
            try:
                frames.append(protocol.frame(Calls([(call.number, call.items)], [])))
            except Exception:  # noqa: BLE001  as above
                _log.exception("a call of %d requests cannot be encoded: a fault of ours", len(call.items))
                broken.append(call)
        return b"".join(frames), self._drop(broken)

    def _drop(self, calls: Sequence[Call]) -> list[Call]:
        """Calls that are not sent after all; less those that have been settled meanwhile."""
        with self._lock:
            dropped = [call for call in calls if self._sent.pop(call.number, None) is not None]
            self._waiting -= sum(len(call.items) for call in dropped)
        return dropped

    def _take_calls(self) -> list[Call]:
        size = 0
        for number, call in enumerate(self.unsent):
            size += call.size
            if size > limits.FRAME_SIZE and number:
                calls, self.unsent = self.unsent[:number], self.unsent[number:]
                return calls
        calls, self.unsent = self.unsent, []
        return calls

    def hear(self, outcomes: Outcomes) -> tuple[list[Call], bool]:
        """Settle what has an outcome; the calls that are, and whether this writer takes no more."""
        settled: list[Call] = []
        stopping = False
        with self._lock:
            for number, answers in outcomes.answered:
                call = self._sent.pop(number, None)
                if call is not None:
                    call.answers = answers
                    if len(answers) != len(call.items):
                        call.error = errors.OutcomeUnknown("the writer answered something else")
                    settled.append(call)
            for number, word, details in outcomes.failed:
                call = self._sent.get(number)
                if call is None:
                    continue
                if word in {protocol.STOPPING, protocol.LOST}:
                    stopping = True
                    call.doubtful = call.doubtful or word == protocol.LOST
                    self.unsent.append(self._sent.pop(number))
                else:
                    call.error = _error(call, word, details)
                    settled.append(self._sent.pop(number))
            self._waiting -= sum(len(call.items) for call in settled)
        return settled, stopping

    def lose(self) -> None:
        """The connection is lost: all that was sent is in doubt, and is to be sent again."""
        with self._lock:
            again = list(self._sent.values())
            for call in again:
                call.doubtful = True
                call.withdrawn = False
            self._sent.clear()
            self._withdrawn.clear()
            self.unsent = again + self.unsent

    def expire(self, now_s: float) -> list[Call]:
        """Withdraw what was sent and must end now; the calls that end without more ado."""
        with self._lock:
            if now_s < self.next_end_s:
                return []
            over = [call for call in self.unsent if call.ends_s <= now_s]
            self.unsent = [call for call in self.unsent if call.ends_s > now_s]
            for call in over:
                call.error = _late(call)
            for call in [call for call in self._sent.values() if call.ends_s <= now_s]:
                if call.withdrawn:
                    call.error = errors.OutcomeUnknown("the writer did not say in time whether it was done")
                    over.append(self._sent.pop(call.number))
                else:
                    call.withdrawn, call.ends_s = True, now_s + limits.WITHDRAWAL_S
                    self._withdrawn.append(call.number)
            self._waiting -= sum(len(call.items) for call in over)
            ends_s = [call.ends_s for call in (*self.unsent, *self._sent.values())]
            self.next_end_s = min(ends_s, default=float("inf"))
        return over

    def give_up(self, reason: str, *, closed: bool = False) -> list[Call]:
        """End all calls: what was never sent is not done, the rest unknown."""
        with self._lock:
            self._closed = self._closed or closed
            over = [*self._sent.values(), *self.unsent]
            for call in over:
                doubtful = call.doubtful or call.number in self._sent
                call.error = errors.OutcomeUnknown(reason) if doubtful else errors.NotDone(reason)
            self._sent.clear()
            self.unsent = []
            self._waiting = 0
        return over


def _check_size(call: Call) -> None:
    try:
        protocol.frame(Calls([(0, call.items)], []))
    except ProtocolError as error:
        raise errors.InvalidRequest("requests", str(error)) from error
    except Exception:  # noqa: BLE001  its size is not what is wrong with it, and ``take`` finds what is
        return


def _error(call: Call, word: str, details: str) -> errors.LedgerError:
    """What a call without an answer ends as."""
    if word == protocol.TAKEN:
        return errors.OutcomeUnknown("the deadline passed while the request was being written")
    if call.doubtful:
        return errors.OutcomeUnknown("the connection was lost once, and the request could not be asked about again")
    if word == protocol.FULL:
        return errors.NotDone("the writer's queue is full")
    if word == protocol.WITHDRAWN:
        return errors.NotDone("the deadline passed while the request was queued")
    return errors.OutcomeUnknown(details or word)


def _late(call: Call) -> errors.LedgerError:
    if call.doubtful:
        return errors.OutcomeUnknown("the connection was lost, and the writer did not come back in time")
    return errors.NotDone("the deadline passed before a writer could be asked")
