"""The books in memory: grants and receipts that a run of events needs, and the entry that each event becomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from ledger.domain import events as ledger_events
from ledger.domain.codec import RecordedEvent, account_event, is_account_event, tag_of
from payments.domain import events as payments_events
from projections.appends import Funding
from projections.books import chart
from projections.books.deferred import Grant
from projections.books.known import Known, Receipt, Tab
from projections.books.model import Entry, Legs
from projections.books.receipts import receipt_entry
from projections.books.rules import account_entry, granted
from projections.errors import Unbookable
from workers.generation.events import JobCostRecorded, JobEvent, job_event

Bookable: TypeAlias = ledger_events.AccountEvent | payments_events.PaymentEvent | JobEvent
_JOB_COST = tag_of(JobCostRecorded)


class Item(NamedTuple):
    """A recorded event, decoded."""

    recorded: RecordedEvent
    event: Bookable


class Needs(NamedTuple):
    """Grants, receipts and accounts' tabs that the books must know before some events are booked."""

    grants: set[UUID]
    receipts: set[UUID]
    accounts: set[UUID]
    revoked: set[UUID]
    """Grants whose receipts must be known as well."""


class Book(Known):
    """What the books know as of one position; ``entry`` moves it over the next event."""

    def __init__(
        self, currency: str, grants: Iterable[Grant] = (), receipts: Iterable[Receipt] = (), tabs: Iterable[Tab] = ()
    ) -> None:
        super().__init__(currency, grants, receipts, tabs)

    def entry(self, item: Item, fundings: Mapping[UUID, Funding]) -> Entry | None:
        """Book one event; None where nothing moves. ``fundings`` has receipts by the grants that they paid for.

        :raises Unbookable: no rule holds for it; the book is then of no more use.
        """
        recorded, event = item
        if isinstance(event, ledger_events.CreditsGranted):
            funding = fundings.get(event.grant_id)
            entry, grant = granted(event, recorded.stream_id, recorded.position, funding, self.receipts)
            self.issue(grant)
            return entry
        if isinstance(event, ledger_events.AccountEvent):
            return account_entry(event, recorded.stream_id, recorded.position, self)
        if isinstance(event, payments_events.PaymentEvent):
            return receipt_entry(event, recorded.position, self.receipts, self.grants)
        return self._gpu(event, recorded.stream_id)

    def _gpu(self, event: JobEvent, job_id: UUID) -> Entry | None:
        if not isinstance(event, JobCostRecorded):
            return None
        legs = Legs()
        legs.debit(chart.GPU, self.currency, event.cost_micro)
        legs.credit(chart.ACCRUED_GPU, self.currency, event.cost_micro)
        return Entry(kind="gpu-cost", legs=legs.done(), reference=job_id) if event.cost_micro else None


def decoded(recorded: RecordedEvent) -> Item | None:
    """Decode an event that the books have to look at; None for all others.

    :raises Unbookable: a tag or field of the ledger or of payments that is not known.
    """
    try:
        if is_account_event(recorded.tag):
            return Item(recorded, account_event(recorded.state))
        if recorded.tag.startswith(payments_events.PREFIX):
            return Item(recorded, payments_events.payment_event(recorded.state))
        if recorded.tag == _JOB_COST:
            return Item(recorded, job_event(recorded.state))
    except msgspec.MsgspecError as error:
        raise Unbookable(f"{recorded.tag} cannot be read: {error}") from error
    return None


def needs(items: Iterable[Item]) -> Needs:
    """What must be known to book these events: what they name."""
    found = Needs(set(), set(), set(), set())
    for recorded, event in items:
        if isinstance(event, ledger_events.AccountEvent):
            _named_by_account(found, event, recorded.stream_id)
        elif isinstance(event, payments_events.ReceiptFinal | payments_events.ReceiptApplied):
            found.receipts.add(event.receipt_id)
            if event.grant_id is not None:
                found.grants.add(event.grant_id)
        elif isinstance(event, payments_events.ReceiptReversed):
            found.receipts.add(event.receipt_id)
    return found


def _named_by_account(found: Needs, event: ledger_events.AccountEvent, account_id: UUID) -> None:
    match event:
        case ledger_events.HoldCommitted() | ledger_events.CreditsDebited() | ledger_events.CreditsTransferredOut():
            found.grants.update(part.grant_id for part in event.slices)
        case ledger_events.CreditsReversed() | ledger_events.DebtRepaid():
            found.grants.update(part.grant_id for part in event.slices)
            found.accounts.add(account_id)
        case ledger_events.BalanceAdjusted():
            found.grants.update(part.grant_id for part in event.slices)
        case ledger_events.DebtIncurred():
            found.accounts.add(account_id)
        case ledger_events.CreditsTransferredIn():
            found.grants.update(part.grant_id for part in event.parts)
            found.accounts.add(account_id)
        case ledger_events.CreditsGranted():
            found.grants.add(event.grant_id)
            found.accounts.add(account_id)
            if event.receipt_id is not None:
                found.receipts.add(event.receipt_id)
        case ledger_events.CreditsRevoked():
            found.grants.add(event.grant_id)
            found.revoked.add(event.grant_id)
        case ledger_events.CreditsExpired() | ledger_events.GrantExtended():
            found.grants.add(event.grant_id)
        case _:
            pass
