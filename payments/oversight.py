"""What operators and metrics ask: how the inbox stands, and which money waits for somebody."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from ledger.sansio import Commit, Core, Row, Run
from payments import statements
from payments.drivers import Drives
from payments.limits import PAGE_MAX


class InboxState(Struct, frozen=True, kw_only=True):
    """Notifications not handled yet, the age of the oldest in seconds, and how many ended with a human."""

    waiting: int
    needs_human: int
    oldest_s: float


class WaitingMoney(Struct, frozen=True, kw_only=True):
    """A receipt of which a part waits in Unapplied or Suspense; ``reason`` is a code."""

    receipt_id: UUID
    rail: str
    external_id: str
    currency: str
    unapplied_micro: int
    suspense_micro: int
    reason: str
    topup_id: UUID | None
    organisation_id: UUID | None
    first_seen: datetime


class Oversight:
    """Reads only; seconds behind the log."""

    def __init__(self, driver: Drives) -> None:
        self._driver = driver

    def inbox(self) -> InboxState:
        """How the inbox stands."""
        return InboxState(**self._driver.drive(_rows(Run(statements.INBOX_STATE, {})))[0])

    def waiting_money(self, limit: int = PAGE_MAX) -> list[WaitingMoney]:
        """Money that nobody has for his own yet, oldest first."""
        asked = Run(statements.LIST_WAITING, {"limit": min(limit, PAGE_MAX)})
        return [WaitingMoney(**row) for row in self._driver.drive(_rows(asked))]


def _rows(asked: Run) -> Core[list[Row]]:
    rows: list[Row] = yield asked
    yield Commit()
    return rows
