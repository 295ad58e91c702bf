"""Simulated time: one that passes for all, and clocks that differ from it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 30, 22, 0, tzinfo=UTC)
"""Two hours before a day ends, two days before a month does."""


class SimulatedClock:
    """``ledger.ports.Clock`` that stands until it is moved; ``apart_s`` is how far it is set from the true time."""

    def __init__(self) -> None:
        self._passed_s = 0.0
        self.apart_s = 0.0

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return START + timedelta(seconds=self._passed_s + self.apart_s)

    def monotonic_s(self) -> float:
        """Seconds since the start, whatever the clock was set to."""
        return self._passed_s

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self._passed_s += seconds


class ManualClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return self.at

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return (self.at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)
