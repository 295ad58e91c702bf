"""Hears that something was appended to the log, on a connection of its own, and tells whoever wants to know.

A wake-up that is lost costs time only: whoever is told here also looks by itself every second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread

import psycopg

_log = logging.getLogger(__name__)
_TURN_S = 1.0


class LogListener:
    """A thread that calls every one of ``wakes`` after each append, whoever appended."""

    def __init__(self, database_url: str, wakes: Sequence[Callable[[], None]]) -> None:
        self._database_url = database_url
        self._wakes = wakes
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="log-listener", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End within a second or two."""
        self._stopping.set()
        self._thread.join(timeout=2 * _TURN_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._listen()
            except psycopg.OperationalError as error:
                _log.warning("nobody says when something is appended: %s", error)
            except Exception:  # noqa: BLE001  told loudly and tried again; whoever is to be woken looks by itself meanwhile
                _log.exception("nobody says when something is appended; trying again")
            self._stopping.wait(_TURN_S)

    def _listen(self) -> None:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            connection.execute("LISTEN tallystick_log")
            while not self._stopping.is_set():
                if any(True for _ in connection.notifies(timeout=_TURN_S, stop_after=1)):
                    for wake in self._wakes:
                        wake()
