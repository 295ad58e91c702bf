"""What has to be done again and again whoever does it: sweeps that are safe to run anywhere, as often as one likes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Any, NamedTuple

import psycopg

from customers.errors import CustomersError
from ledger.errors import LedgerError
from ledger.ports import Clock

_log = logging.getLogger(__name__)
_TURN_S = 0.5


class Chore(NamedTuple):
    """Something to do every so many seconds."""

    name: str
    every_s: float
    do: Callable[[], Any]


class Chores:
    """A thread that does them, one after another. One that fails is tried again when it is due next."""

    def __init__(self, chores: Sequence[Chore], clock: Clock) -> None:
        self._chores = chores
        self._clock = clock
        self._due_s = dict.fromkeys((chore.name for chore in chores), clock.monotonic_s())
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self._stopping.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while not self._stopping.wait(_TURN_S):
            for chore in self._chores:
                if self._due_s[chore.name] <= self._clock.monotonic_s() and not self._stopping.is_set():
                    self._do(chore)

    def _do(self, chore: Chore) -> None:
        self._due_s[chore.name] = self._clock.monotonic_s() + chore.every_s
        try:
            chore.do()
        except (psycopg.Error, LedgerError, CustomersError) as error:
            _log.warning("%s is put off: %s", chore.name, error)
        except Exception:  # noqa: BLE001  told loudly, and the others are done meanwhile
            _log.exception("%s failed; it is tried again when it is due next", chore.name)
