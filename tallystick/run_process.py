"""A process of ours that stays: its logs, its telemetry, its parts, and the signals that end it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Generator
from threading import Event

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


class Stopping(Event):
    """An event set by a signal handler.

    The kernel may hand a signal to any thread, as it does when a paused process goes on; the handler runs on the main
    thread, and only once that does something: so it never sleeps for long.
    """

    def wait(self, timeout: float | None = None) -> bool:
        """See ``Event``."""
        while timeout is None and not super().wait(_TURN_S):
            continue
        return super().wait(timeout)


def until_stopped() -> Stopping:
    """An event that SIGTERM and SIGINT set. Call it from the main thread."""
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping
