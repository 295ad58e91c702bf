"""All ledgers behind one fixture: the twin in memory, PostgreSQL, and PostgreSQL with its writer behind a socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from psycopg_pool import ConnectionPool

from ledger.ports import Ledger
from ledger.store.memory import MemoryLedger
from ledger.store.socket import SocketLedger
from tallystick.clock import SystemClock
from tests.conftest import SECRET
from tests.support.ledger import ManualClock
from tests.support.servers import Database
from tests.support.writers import short_folder, store_of, writer_at


@dataclass
class World:
    """A ledger, and how time passes for it."""

    ledger: Ledger
    pass_s: Callable[[float], None]
    soon_s: int = 1
    """The end of what a test does something with before: long enough for a machine that stands still for a while."""

    def until_soon_has_passed(self) -> None:
        """After this, what was to end in ``soon_s`` has, though the writer's clock may be a little ahead."""
        self.pass_s(self.soon_s + 0.2)


@pytest.fixture
def socket_ledger(database: Database, pool: ConnectionPool[Any]) -> Iterator[SocketLedger]:
    """The ledger with a writer that is reached over a socket."""
    with short_folder() as folder, writer_at(folder / "w.sock", store_of(database.writer_url), SECRET.encode()):
        ledger = SocketLedger(folder / "w.sock", pool, clock=SystemClock(), secret=SECRET.encode())
        yield ledger
        ledger.close()


@pytest.fixture(params=["memory", "postgres", "socket"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A fresh ledger."""
    if request.param == "memory":
        clock = ManualClock()
        yield World(MemoryLedger(clock), clock.pass_s)
    else:
        yield World(request.getfixturevalue(f"{request.param}_ledger"), time.sleep, soon_s=4)
