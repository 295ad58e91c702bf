"""Both stores behind one fixture, with the services on top."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest

from customers.keys import KeysService
from customers.memory import MemoryStore
from customers.organisations import OrganisationsService
from customers.ports import CustomerStore
from customers.postgres import PostgresStore
from ledger.ports import Clock, Ids, Ledger
from ledger.store.memory import MemoryLedger
from tallystick.clock import SystemClock, SystemIds
from tests.support.ledger import ManualClock


@dataclass
class World:
    """Services of customers on one store, and how time passes for them."""

    store: CustomerStore
    ledger: Ledger
    clock: Clock
    ids: Ids
    pass_s: Callable[[float], None]

    def keys(self, *, pepper: bytes = b"p" * 32, mode: str = "test") -> KeysService:
        """Another process's keys."""
        return KeysService(
            self.store,
            pepper=pepper,
            mode=mode,  # type: ignore[arg-type]
            clock=self.clock,
            ids=self.ids,
            entropy=os.urandom,
        )

    def organisations(self, ledger: Ledger | None = None) -> OrganisationsService:
        """Another process's organisations."""
        return OrganisationsService(self.store, ledger or self.ledger, ids=self.ids)

    def organisation_id(self, name: str = "Ada") -> UUID:
        """A new organisation."""
        return self.organisations().sign_up(self.ids.new().hex, name).organisation.organisation_id


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    """Fresh tables."""
    if request.param == "memory":
        clock = ManualClock()
        return World(MemoryStore(clock), MemoryLedger(clock), clock, SystemIds(), clock.pass_s)
    store = PostgresStore(request.getfixturevalue("pool"))
    return World(store, request.getfixturevalue("postgres_ledger"), SystemClock(), SystemIds(), time.sleep)
