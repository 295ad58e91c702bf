"""A process of ours that stays: its logs, its telemetry, its parts, and the signals that end it."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Generator
from queue import Empty, SimpleQueue

from tallystick.settings import Settings
from tallystick.telemetry.core import telemetry
from tallystick.telemetry.gauges import TraceSweeper, add_database_gauges
from tallystick.telemetry.logs import log_to
from tallystick.tuning import tune_process
from tallystick.wiring import Runtime, build

_TURN_S = 0.5


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
