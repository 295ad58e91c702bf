"""Settlement goes on, whatever goes wrong with one notification."""

from __future__ import annotations

from threading import Event

import pytest

from payments import worker
from payments.worker import SettlerThread
from tallystick.clock import SystemClock

LONG_S = 60.0


class Settler:
    """Fails once in every way, and then has nothing to do."""

    def __init__(self) -> None:
        self.faults: list[Exception] = [ValueError("an event that cannot be read"), KeyError("a rail's answer")]
        self.settled = Event()

    def sweep(self) -> int:
        return 0

    def work(self) -> int:
        if self.faults:
            raise self.faults.pop()
        self.settled.set()
        return 0


def test_settlement_goes_on_after_a_fault_that_nobody_expected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "_RETRY_S", 0.01)
    settler = Settler()
    thread = SettlerThread(settler, SystemClock())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    thread.start()
    try:
        assert settler.settled.wait(LONG_S), "nothing that is paid is credited any more"
    finally:
        thread.stop()
    assert "an event that cannot be read" in caplog.text
