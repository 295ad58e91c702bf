"""What runs behind the web application goes on, whatever goes wrong once."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any, Self

import psycopg
import pytest

from tallystick import chores as chores_module
from tallystick import listening
from tallystick.chores import Chore, Chores
from tallystick.clock import SystemClock
from tallystick.listening import LogListener

LONG_S = 60.0


def test_chores_are_done_after_one_has_failed_in_a_way_that_nobody_expected(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(chores_module, "_TURN_S", 0.01)
    done, again = Event(), Event()

    def fail() -> None:
        if done.is_set():
            again.set()
        raise OSError("a disk that is full")

    chores = Chores((Chore("signed heads", 0.0, fail), Chore("sweep", 0.0, done.set)), SystemClock())
    chores.start()
    try:
        assert done.wait(LONG_S), "one chore ended all"
        assert again.wait(LONG_S), "it is not tried again"
    finally:
        chores.stop()
    assert "signed heads" in caplog.text and "a disk that is full" in caplog.text


class Connection:
    """A connection on which something was appended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def execute(self, _sql: str) -> None:
        """It listens."""

    def notifies(self, **_how: Any) -> Iterator[str]:
        yield "appended"


@pytest.mark.parametrize("where", ["connecting", "waking"])
def test_who_waits_for_events_is_woken_after_a_fault_that_nobody_expected(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "_TURN_S", 0.01)
    faults: dict[str, list[Exception]] = {"connecting": [], "waking": []}
    faults[where].append(ValueError("a fault"))
    woken = Event()

    def connect(*_args: object, **_how: object) -> Connection:
        if faults["connecting"]:
            raise faults["connecting"].pop()
        return Connection()

    def wake() -> None:
        if faults["waking"]:
            raise faults["waking"].pop()
        woken.set()

    monkeypatch.setattr(psycopg, "connect", connect)
    listener = LogListener("postgresql://nowhere", (wake,))
    listener.start()
    try:
        assert woken.wait(LONG_S), "nobody is woken any more"
    finally:
        listener.stop()
    assert "a fault" in caplog.text
