"""The database's clock between two times that it was told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ledger.store.connection import LastClock
from tests.support.ledger import ManualClock


def test_it_is_carried_on_by_the_time_that_has_passed_here() -> None:
    clock = ManualClock()
    last, told = LastClock(clock), clock.now() + timedelta(seconds=7)
    assert last.carried_on() is None, "it was never told"
    asked_s = clock.monotonic_s()
    clock.pass_s(0.1)  # the answer was on its way
    last.note(told, asked_s)
    clock.pass_s(0.3)
    read = last.carried_on()
    assert read is not None
    since, drift = timedelta(seconds=0.4), timedelta(seconds=0.0004)
    assert (read.clock, read.own_clock) == (told + since + drift, clock.now())


@pytest.mark.parametrize(("passed_s", "carried"), [(1.0, True), (1.1, False)])
def test_it_is_asked_for_again_after_a_second(passed_s: float, *, carried: bool) -> None:
    clock = ManualClock()
    last = LastClock(clock)
    last.note(clock.now(), clock.monotonic_s())
    clock.pass_s(passed_s)
    assert (last.carried_on() is not None) == carried


def test_one_that_was_long_on_its_way_is_left_out_for_the_one_before() -> None:
    clock = ManualClock()
    last, told = LastClock(clock), clock.now()
    last.note(told, clock.monotonic_s())
    asked_s = clock.monotonic_s()
    clock.pass_s(0.2)
    last.note(told + timedelta(seconds=5), asked_s)
    read = last.carried_on()
    assert read is not None and read.clock < told + timedelta(seconds=1)
