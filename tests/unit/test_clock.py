"""The machine's clock and identifiers keep what ``ledger.ports`` promises."""

from __future__ import annotations

from datetime import UTC, timedelta

from ledger.ports import Clock, Ids
from tallystick.clock import SystemClock, SystemIds


def test_identifiers_are_uuid_version_7_of_now() -> None:
    ids: Ids = SystemIds()
    found = ids.new()
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"
    assert abs((found.int >> 80) / 1000 - SystemClock().now().timestamp()) < 60


def test_identifiers_do_not_repeat() -> None:
    ids = SystemIds()
    assert len({ids.new() for _ in range(10_000)}) == 10_000


def test_the_clock_is_in_utc_and_its_seconds_never_go_back() -> None:
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic_s() <= clock.monotonic_s()
