"""A process of ours that stays: its logs, its telemetry, its parts, and the signals that end it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import time
from collections.abc import Generator
from queue import Empty, SimpleQueue
from threading import Event, Thread

from api.limits import STOP_S
from ledger.limits import SUBMIT_TIMEOUT_S
from tallystick.settings import Settings
from tallystick.telemetry.core import CLOSE_S, telemetry
from tallystick.telemetry.gauges import TraceSweeper, add_database_gauges
from tallystick.telemetry.logs import log_to
from tallystick.tuning import tune_process
from tallystick.wiring import Runtime, build

_log = logging.getLogger(__name__)
_TURN_S = 0.5
_SAY_S = 1.0

STOP_LIMIT_S = 20.0
"""How long the stop of one process may take, besides jobs in hand; ``compose.yaml`` allows for more."""

STUCK = 124
"""The exit status of a process that took longer, as ``timeout`` gives it."""

assert max(STOP_S, SUBMIT_TIMEOUT_S) + CLOSE_S < STOP_LIMIT_S, "what is in hand may end before"


@contextlib.contextmanager
def parts_of(settings: Settings, component: str) -> Generator[Runtime]:
    """The program's parts for a process that stays, seen as configured, closed with the block.

    :param component: ``api``, ``worker`` or ``followers``, as logs and traces name it.
    :raises tallystick.errors.ServiceError: the metrics port cannot be had.
    """
    log_to(None, settings, component)
    with telemetry(settings, component) as seen:
        parts = build(settings, seen, remote=True)
        sweeper = TraceSweeper(seen, parts.pool)
        add_database_gauges(seen, parts.pool)
        tune_process()
        try:
            sweeper.start()
            yield parts
        finally:
            sweeper.stop()
            parts.close()


class Stopping:
    """Set once, by a signal handler; waited for by any thread.

    A handler runs on the main thread in the middle of whatever that does, which mostly is to wait for this very thing:
    it must want nothing that the waiting holds. ``Event`` and ``Condition`` stand still for ever then; a
    ``SimpleQueue`` is made to be put into at any moment.
    """

    def __init__(self) -> None:
        self._set = False
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def is_set(self) -> bool:
        """Whether it is time to stop."""
        return self._set

    def set(self) -> None:
        """Say that it is time to stop."""
        self._set = True
        self._wakes.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is time to stop, or for ``timeout`` seconds; whether it is.

        The kernel may hand a signal to any thread, as it does when a paused process goes on; the handler runs on the
        main thread, and only once that does something: so it never sleeps for long.
        """
        ends = math.inf if timeout is None else time.monotonic() + timeout
        while not self._set and (left_s := ends - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                self._wakes.get(timeout=min(left_s, _TURN_S))
                self._wakes.put(None)  # for whoever else waits
        return self._set


def until_stopped() -> Stopping:
    """What SIGTERM and SIGINT set. Call it from the main thread."""
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


@contextlib.contextmanager
def ended_within(limit_s: float, stopping: Stopping) -> Generator[None]:
    """End this process with status ``STUCK`` if the block still runs ``limit_s`` after ``stopping`` was set.

    A database or node that is away is noticed; one that stands still with its connections open answers nothing and
    refuses nothing, and whatever waits for it would never end. What a kill leaves is taken up by others.
    """
    ended = Event()
    Thread(target=_end_if_late, args=(limit_s, stopping, ended), name="stop-limit", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _end_if_late(limit_s: float, stopping: Stopping, ended: Event) -> None:
    while not stopping.wait(_TURN_S):
        if ended.is_set():
            return
    if not ended.wait(limit_s):
        reason = "told to stop %g s ago, and something that stands still is waited for: ended as it is"
        saying = Thread(target=_log.error, args=(reason, limit_s), daemon=True)
        saying.start()
        saying.join(_SAY_S)  # whoever reads what we log may stand still, too
        os._exit(STUCK)
