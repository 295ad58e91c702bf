"""The end of a process's telemetry."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from tallystick.telemetry import core
from tallystick.telemetry.core import Telemetry
from tallystick.telemetry.providers import Providers

LIMIT_S = 60.0


@pytest.mark.parametrize("order", [1, -1], ids=["the second is stuck", "the first is stuck"])
def test_a_collector_that_does_not_answer_keeps_no_process_from_ending(
    order: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(core, "CLOSE_S", 0.2)
    sent, tested = Event(), Event()
    closers = [sent.set, lambda: tested.wait(2 * LIMIT_S)][::order]
    closing = Thread(target=Telemetry(Providers(closers=closers)).close, daemon=True)
    closing.start()
    closing.join(LIMIT_S)
    ended = not closing.is_alive()
    tested.set()
    assert ended
    assert sent.wait(LIMIT_S), "what others are told is told all the same"
    assert "does not answer" in caplog.text


def test_what_is_left_is_sent_before_a_process_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(core, "CLOSE_S", LIMIT_S)
    sent: list[str] = []
    Telemetry(Providers(closers=[lambda: sent.append("figures"), lambda: sent.append("spans")])).close()
    assert sorted(sent) == ["figures", "spans"]
    assert not caplog.text
