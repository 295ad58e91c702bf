"""Payments whole, in memory: clock, ids, prices, a source that can be paid at, and the process that settles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec import structs

from ledger.domain import commands
from ledger.domain.verdicts import Answer, Done
from ledger.limits import SUBMIT_TIMEOUT_S
from ledger.ports import Clock, Request
from ledger.store.memory import MemoryLedger
from payments.domain.policy import Policy, Terms, Valuer, fixed_value
from payments.domain.products import PriceBook, PriceList
from payments.drivers import PaymentDriver
from payments.memory import MemoryStore
from payments.rail import Cursor, Instruction, Observation, OpenCharge
from payments.sandbox.courier import DirectCourier, FaultyCourier
from payments.sandbox.desk import SandboxDesk
from payments.sandbox.rail import SandboxRail
from payments.service import TopUpsService
from simulation.clocks import ManualClock
from simulation.payments.tables import MemoryDriver, MemoryTables

START = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"a secret of the sandbox in tests"
PUBLIC_URL = "https://tally.example"


class CountingIds:
    """Ids that are the same in every run."""

    def __init__(self) -> None:
        self.last = 0

    def new(self) -> UUID:
        """The next one."""
        self.last += 1
        return UUID(int=0x0190_0000_0000_7000_8000_0000_0000_0000 + self.last)


def price_book(**changes: Any) -> PriceBook:
    """Prices in force since ever."""
    return structs.replace(PriceBook(version="2026-01", valid_from=START - timedelta(days=1)), **changes)


def terms(policy: Policy | None = None, value: Valuer | None = None, **book: Any) -> Terms:
    """By what settlement decides in tests."""
    prices = PriceList([price_book(**book)])
    return Terms(prices=prices, value=value or fixed_value(prices.currency), policy=policy or Policy())


class MortalLedger(MemoryLedger):
    """A ledger that outlives the process which asks it."""

    def __init__(self, clock: Clock, driver: MemoryDriver) -> None:
        super().__init__(clock)
        self._driver = driver

    def submit(self, request: Request, *, timeout_s: float = SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self._driver.counted(lambda: super(MortalLedger, self).submit(request, timeout_s=timeout_s))


class MortalRail(SandboxRail):
    """A source that outlives the process which asks it."""

    def __init__(self, store: MemoryStore, clock: Clock, driver: MemoryDriver) -> None:
        super().__init__(store, clock, secret=SECRET, public_url=PUBLIC_URL)
        self._driver = driver

    def open(self, cmd: OpenCharge) -> Instruction:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).open(cmd))

    def lookup(self, ref: str) -> list[Observation]:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).lookup(ref))

    def changes(self, cursor: Cursor) -> tuple[list[Observation], Cursor]:
        """See ``Rail``."""
        return self._driver.counted(lambda: super(MortalRail, self).changes(cursor))


class World:
    """Payments whole, in memory: what a test turns its screws on."""

    def __init__(self, policy: Policy | None = None, value: Valuer | None = None, **book: Any) -> None:
        self.clock = ManualClock()
        self.ids = CountingIds()
        self.terms = terms(policy, value, **book)
        self.tables = MemoryTables(self.clock)
        self.inner = MemoryDriver(self.tables)
        self.ledger = self.tables.ledger = MortalLedger(self.clock, self.inner)
        self.store = MemoryStore()
        self.rail = MortalRail(self.store, self.clock, self.inner)
        self.driver = PaymentDriver(self.inner, self.ledger, {self.rail.name: self.rail})
        self.service = TopUpsService(self.driver, self.terms.prices, self.clock, self.ids)
        self.courier = FaultyCourier(DirectCourier(self.service.receive))
        self.desk = SandboxDesk(self.store, self.clock, self.ids, secret=SECRET, courier=self.courier)

    def account(self) -> tuple[UUID, UUID]:
        """A new organisation and its account."""
        organisation_id, account_id = self.ids.new(), self.ids.new()
        command = commands.OpenAccount(account_id=account_id, organisation_id=organisation_id)
        opened = self.ledger.submit(Request(key=str(account_id), operation="open-account", command=command))
        assert isinstance(opened.verdict, Done)
        return organisation_id, account_id
