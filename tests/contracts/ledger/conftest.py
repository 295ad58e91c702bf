"""Both ledgers behind one fixture."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ledger.ports import Ledger
from ledger.store.memory import MemoryLedger
from tests.support.ledger import ManualClock


@dataclass
class World:
    """A ledger, and how time passes for it."""

    ledger: Ledger
    pass_s: Callable[[float], None]


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh ledger."""
    if request.param == "memory":
        clock = ManualClock()
        yield World(MemoryLedger(clock), clock.pass_s)
    else:
        yield World(request.getfixturevalue("postgres_ledger"), time.sleep)
