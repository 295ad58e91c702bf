"""A small world for payments, and one account's story in it."""

from __future__ import annotations

from payments.domain.policy import Policy
from payments.domain.products import AmountProduct, PackProduct
from payments.domain.settlement import Outcome
from payments.inbox import work_inbox
from payments.opening import OpenTopUp
from payments.sweep import sweep_changes, sweep_charges
from payments.views import TopUpView
from simulation.payments.reading import money_of, payment_events, topups_of
from simulation.payments.stage import PUBLIC_URL, SECRET, START, CountingIds, World, price_book, terms
from simulation.payments.tables import Crash, MemoryDriver, MemoryTables

__all__ = [
    "PUBLIC_URL",
    "SECRET",
    "START",
    "CountingIds",
    "Crash",
    "MemoryDriver",
    "MemoryTables",
    "World",
    "money_of",
    "payment_events",
    "price_book",
    "terms",
    "topups_of",
]
CREDIT = 1_000_000
TEN = AmountProduct(1_000)


class Story:
    """One account, one top-up of 10.00."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.world = World(policy)
        self.organisation_id, self.account_id = self.world.account()

    def opens(self, key: str = "k", product: AmountProduct | PackProduct = TEN, rail: str = "sandbox") -> TopUpView:
        """Ask for credits."""
        asked = OpenTopUp(
            organisation_id=self.organisation_id, account_id=self.account_id, key=key, product=product, rail=rail
        )
        return self.world.service.open(asked)

    def settles(self) -> list[Outcome]:
        """Deliver what was notified, and work the inbox to its end."""
        self.world.courier.deliver()
        self.world.driver.drive(work_inbox(self.world.terms))
        return [Outcome(row["outcome"], row["detail"]) for row in self.world.tables.inbox]

    def sweeps(self) -> list[Outcome]:
        """Lose what was notified; ask the source instead."""
        self.world.courier.drop()
        self.world.driver.drive(sweep_changes("sandbox"))
        self.world.driver.drive(sweep_charges())
        return self.settles()

    def now(self, topup: TopUpView) -> TopUpView:
        """The top-up as it is now."""
        return self.world.service.get(self.organisation_id, topup.topup_id)

    @property
    def posted(self) -> int:
        """Credits on the account."""
        balance = self.world.ledger.balance(self.account_id)
        assert balance is not None
        return balance.posted_ucr // CREDIT


def ref_of(topup: TopUpView) -> str:
    """What the rail calls its charge."""
    return topup.charges[-1].instruction.ref
