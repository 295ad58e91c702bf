"""What rules look at and change: grants, receipts, and what each account was sold at and owes."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from msgspec import Struct

from projections.books.chart import DEFERRED
from projections.books.deferred import Grant
from projections.errors import Unbookable


class Receipt(Struct, kw_only=True):
    """What the books know of a receipt: what it brought, what of it still waits, and the tax owed on its sale.

    Revoked credits have brought ``taken_micro`` to the account ``taken_in``, where its money is taken from when it goes
    back; ``gone_for`` is why it did, and empty while it is here.
    """

    receipt_id: UUID
    generation: int
    rail: str
    asset: str
    amount_minor: int
    currency: str
    value_micro: int
    unapplied_micro: int
    suspense_micro: int
    tax_micro: int = 0
    taken_micro: int = 0
    taken_in: str = ""
    gone_for: str = ""

    def take(self, account: str, micro: int) -> None:
        """Revoked credits bring an amount to an account."""
        if micro and account != self.taken_in:
            self.taken_in, self.taken_micro = account, 0
        self.taken_micro += micro


class Tab(Struct, kw_only=True):
    """An account's price and what it owes for overdraft.

    Credits were listed last at ``list_micro`` for ``list_ucr`` units; ``owed_ucr`` units are overdrawn, at a receivable
    of ``owed_micro``.
    """

    account_id: UUID
    currency: str
    list_micro: int = 0
    list_ucr: int = 1
    owed_ucr: int = 0
    owed_micro: int = 0

    def sold(self, grant: Grant) -> None:
        """Take over the price of a grant, if it has one: list value, else what was paid."""
        value_micro = grant.list_value_micro or grant.total_micro
        if value_micro and not self.owed_ucr:
            self.currency = grant.currency
        if value_micro and self.currency == grant.currency:
            self.list_micro, self.list_ucr = value_micro, grant.granted_ucr

    def owe(self, units_ucr: int) -> int:
        """Overdraw: what the units cost at the last price, rounded down."""
        value_micro = self.list_micro * units_ucr // self.list_ucr
        self.owed_ucr += units_ucr
        self.owed_micro += value_micro
        return value_micro

    def clear(self, units_ucr: int) -> int:
        """Owe less: the receivable's part, by units; the last unit clears what is left."""
        if units_ucr > self.owed_ucr:
            raise Unbookable(f"account {self.account_id} owes {self.owed_ucr} of overdraft, not {units_ucr}")
        value_micro = self.owed_micro * units_ucr // self.owed_ucr
        self.owed_ucr -= units_ucr
        self.owed_micro -= value_micro
        return value_micro


class Known:
    """Grants, receipts and tabs as of one position."""

    def __init__(
        self, currency: str, grants: Iterable[Grant] = (), receipts: Iterable[Receipt] = (), tabs: Iterable[Tab] = ()
    ) -> None:
        self.currency = currency
        self.grants: dict[UUID, Grant] = {grant.grant_id: grant for grant in grants}
        self.receipts: dict[UUID, Receipt] = {receipt.receipt_id: receipt for receipt in receipts}
        self.tabs: dict[UUID, Tab] = {tab.account_id: tab for tab in tabs}

    def grant(self, grant_id: UUID) -> Grant:
        """A grant.

        :raises Unbookable: the books do not know it.
        """
        if (grant := self.grants.get(grant_id)) is None:
            raise Unbookable(f"grant {grant_id} was never booked")
        return grant

    def tab(self, account_id: UUID) -> Tab:
        """An account's tab, a new one if it has none."""
        return self.tabs.setdefault(account_id, Tab(account_id=account_id, currency=self.currency))

    def issue(self, grant: Grant) -> None:
        """A new grant, and its price.

        :raises Unbookable: it was booked before.
        """
        if grant.grant_id in self.grants:
            raise Unbookable(f"grant {grant.grant_id} was booked before")
        self.grants[grant.grant_id] = grant
        if grant.kind in DEFERRED or grant.list_value_micro:
            self.tab(grant.account_id).sold(grant)
