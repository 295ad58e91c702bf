"""Payments on a real database with the real ledger, as the program wires them."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, TypeVar
from uuid import UUID

from psycopg_pool import ConnectionPool

from ledger.domain import commands
from ledger.drivers import Driver, catch_up
from ledger.sansio import Core, Run
from ledger.store.postgres import PostgresLedger
from payments.domain.policy import Terms
from payments.domain.products import AmountProduct, Product
from payments.drivers import PaymentDriver
from payments.follower import PaymentsFollower
from payments.opening import OpenTopUp
from payments.sandbox.courier import DirectCourier, FaultyCourier
from payments.sandbox.desk import SandboxDesk
from payments.sandbox.rail import SandboxRail
from payments.sandbox.store import PostgresStore
from payments.service import TopUpsService
from payments.views import TopUpView
from payments.worker import Settler
from tallystick.clock import SystemClock, SystemIds
from tests.support.ledger import done
from tests.support.payments import CREDIT, PUBLIC_URL, SECRET, terms

T = TypeVar("T")
TEN = AmountProduct(1_000)


class LiveWorld:
    """One process's worth of payments. Notifications are kept until a test delivers them."""

    def __init__(self, pool: ConnectionPool[Any], ledger: PostgresLedger, by: Terms | None = None) -> None:
        self.pool, self.ledger = pool, ledger
        self.terms = by or terms()
        self.clock, self.ids = SystemClock(), SystemIds()
        self.store = PostgresStore(pool)
        self.rail = SandboxRail(self.store, self.clock, secret=SECRET, public_url=PUBLIC_URL)
        self.inner = Driver(pool, ledger=ledger)
        self.driver = PaymentDriver(self.inner, ledger, {"sandbox": self.rail})
        self.service = TopUpsService(self.driver, self.terms.prices, self.clock, self.ids)
        self.settler = Settler(self.driver, self.terms)
        self.courier = FaultyCourier(DirectCourier(self.service.receive))
        self.desk = SandboxDesk(self.store, self.clock, self.ids, secret=SECRET, courier=self.courier)
        self.follower = PaymentsFollower()

    def account(self) -> tuple[UUID, UUID]:
        """A new organisation and its account."""
        organisation_id, account_id = self.ids.new(), self.ids.new()
        done(self.ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
        return organisation_id, account_id

    def opens(self, owner: tuple[UUID, UUID], key: str = "k", product: Product = TEN) -> TopUpView:
        """Ask for credits worth 10.00."""
        asked = OpenTopUp(organisation_id=owner[0], account_id=owner[1], key=key, product=product, rail="sandbox")
        return self.service.open(asked)

    def follow(self) -> None:
        """Bring the tables up to the log."""
        catch_up(self.inner, [self.follower])

    def settle(self) -> None:
        """Follow, sweep and work until nothing is left."""
        self.follow()
        self.settler.settle_everything()
        self.follow()

    def credits(self, account_id: UUID) -> int:
        """Credits on an account."""
        balance = self.ledger.balance(account_id)
        assert balance is not None
        return balance.posted_ucr // CREDIT

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the database."""
        with self.pool.connection() as connection:
            return connection.execute(sql.encode()).fetchall()

    def execute(self, sql: str) -> None:
        """Change what is in the database."""
        with self.pool.connection() as connection:
            connection.execute(sql.encode())


class DyingDriver(Driver):
    """Ends the process with SIGKILL before it runs the named statement."""

    def __init__(self, pool: ConnectionPool[Any], ledger: PostgresLedger, statement: str) -> None:
        super().__init__(pool, ledger=ledger)
        self._statement = statement

    def drive(self, core: Core[T]) -> T:
        """See ``Driver``."""
        return super().drive(self._watched(core))

    def _watched(self, core: Core[T]) -> Core[T]:
        try:
            effect = next(core)
            while True:
                if isinstance(effect, Run) and effect.statement.name == self._statement:
                    os.kill(os.getpid(), signal.SIGKILL)
                effect = core.send((yield effect))
        except StopIteration as end:
            return end.value


def main() -> None:
    """Work the inbox of a database (as who serves and who writes: two arguments) and die at a statement (the third)."""
    url, writer_url, statement = sys.argv[1:]
    with ConnectionPool[Any](url, min_size=1, max_size=4) as pool:
        ledger = PostgresLedger(writer_url, pool, clock=SystemClock(), secret=b"secret", sleep=time.sleep)
        world = LiveWorld(pool, ledger)
        dying = PaymentDriver(DyingDriver(pool, ledger, statement), ledger, {"sandbox": world.rail})
        Settler(dying, world.terms).work()


if __name__ == "__main__":
    main()
