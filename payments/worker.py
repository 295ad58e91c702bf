"""Runs settlement: works the inbox when woken and every second, sweeps the rails behind it."""

from __future__ import annotations

import logging
from threading import Event, Thread

from ledger.ports import Clock
from payments.domain.policy import Terms
from payments.drivers import PaymentDriver
from payments.errors import PaymentsError
from payments.inbox import work_inbox
from payments.limits import SWEEP_INTERVAL_S
from payments.sweep import sweep_changes, sweep_charges, sweep_unopened

_log = logging.getLogger(__name__)
_POLL_S = 1.0
_RETRY_S = 0.5


class Settler:
    """Works the inbox and sweeps, one step at a time."""

    def __init__(self, driver: PaymentDriver, terms: Terms) -> None:
        self._driver = driver
        self._terms = terms

    def work(self) -> int:
        """Handle what waits in the inbox; how many."""
        return self._driver.drive(work_inbox(self._terms))

    def sweep(self) -> int:
        """Ask every source what moved and how open charges stand; what it finds waits in the inbox. How many moved."""
        moved = 0
        for rail in self._driver.rails:
            try:
                moved += self._driver.drive(sweep_changes(rail))
            except PaymentsError as error:
                _log.warning("rail %s was not swept: %s", rail, error)
        self._driver.drive(sweep_charges())
        self._driver.drive(sweep_unopened())
        return moved

    def settle_everything(self) -> None:
        """Sweep, then work until nothing is left that could be done now; for tests, demos and commands."""
        self.sweep()
        while self.work():
            continue


class SettlerThread:
    """Runs a settler until stopped. What goes wrong is told and tried again: what was paid waits in the inbox."""

    def __init__(self, settler: Settler, clock: Clock, *, sweep_every_s: float = SWEEP_INTERVAL_S) -> None:
        self._settler = settler
        self._clock = clock
        self._sweep_every_s = sweep_every_s
        self._stopping = Event()
        self._woken = Event()
        self._thread = Thread(target=self._run, name="settler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """A notification came."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is in hand and end."""
        self._stopping.set()
        self._woken.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        swept_at_s = self._clock.monotonic_s() - self._sweep_every_s
        while not self._stopping.is_set():
            self._woken.clear()
            try:
                if self._clock.monotonic_s() - swept_at_s >= self._sweep_every_s:
                    swept_at_s = self._clock.monotonic_s()
                    self._settler.sweep()
                busy = self._settler.work()
            except Exception:  # noqa: BLE001  told loudly and tried again; without this thread nothing paid is credited
                _log.exception("settlement cannot go on; trying again")
                self._stopping.wait(_RETRY_S)
                continue
            if not busy:
                self._woken.wait(_POLL_S)
