"""Histories for the read side: money and credits through a ledger, and the books made of its log in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.codec import RecordedEvent, encode_event
from ledger.domain.verdicts import Done
from ledger.ports import Companion, Ledger, Request
from payments.domain import events as payments
from projections.appends import paid_by
from projections.books.book import Book, decoded
from projections.books.model import Entry

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Booked(NamedTuple):
    """An event, and its entry if it has one."""

    recorded: RecordedEvent
    entry: Entry | None


def receipt_final(**facts: Any) -> payments.ReceiptFinal:
    """A receipt; what is not said is a plain payment on the sandbox rail."""
    plain: dict[str, Any] = {
        "receipt_id": uuid4(),
        "generation": 1,
        "rail": "sandbox",
        "external_id": uuid4().hex,
        "ref": "r",
        "asset": "USD",
        "amount_minor": max(1, facts.get("value_micro", 0) // 10_000),
        "case": "exact",
        "currency": "USD",
        "first_seen": EPOCH,
        "final_at": EPOCH,
    }
    return payments.ReceiptFinal(**plain | facts)


def receipt_applied(**facts: Any) -> payments.ReceiptApplied:
    """Waiting money that became credits."""
    plain: dict[str, Any] = {
        "generation": 1,
        "part": 1,
        "rail": "sandbox",
        "source": "unapplied",
        "currency": "USD",
        "tax_micro": 0,
        "topup_id": uuid4(),
        "organisation_id": uuid4(),
        "credits_ucr": 1,
    }
    return payments.ReceiptApplied(**plain | facts)


def buy(ledger: Ledger, account_id: UUID, *, amount_ucr: int, cost_micro: int, **more: Any) -> tuple[UUID, UUID]:
    """A grant with the receipt that paid for it, in one append; ids of grant and receipt.

    ``receipt`` has facts of the ReceiptFinal, the rest is for the GrantCredits.
    """
    facts = dict(more.pop("receipt", {}))
    grant_id, receipt_id = uuid4(), facts.pop("receipt_id", uuid4())
    extra_micro = sum(facts.get(name, 0) for name in ("tax_micro", "unapplied_micro", "suspense_micro", "fx_micro"))
    receipt = receipt_final(
        receipt_id=receipt_id,
        value_micro=cost_micro + extra_micro,
        net_micro=cost_micro,
        topup_id=uuid4(),
        account_id=account_id,
        grant_id=grant_id,
        credits_ucr=amount_ucr,
        **facts,
    )
    command = commands.GrantCredits(
        **{
            "account_id": account_id,
            "grant_id": grant_id,
            "amount_ucr": amount_ucr,
            "kind": "paid",
            "cost_micro": cost_micro,
            "receipt_id": receipt_id,
        }
        | more
    )
    append(ledger, [(receipt_id, 0, receipt)], command)
    return grant_id, receipt_id


def append(ledger: Ledger, events: Iterable[tuple[UUID, int, Any]], command: commands.Command | None = None) -> Done:
    """A command with events of other streams (stream, version before, event), or these alone."""
    companions = tuple(Companion(stream, after, (encode_event(event),)) for stream, after, event in events)
    request = Request(
        key=uuid4().hex, operation="test", command=command, scope_id=uuid4(), body={}, on_accept=companions
    )
    verdict = ledger.submit(request).verdict
    assert isinstance(verdict, Done), verdict
    return verdict


def book_all(log: Sequence[RecordedEvent], book: Book | None = None) -> Iterator[Booked]:
    """Book a whole log, event by event; ``book`` follows."""
    book = book or Book("USD")
    paid = paid_by(log)
    for recorded in log:
        item = decoded(recorded)
        yield Booked(recorded, book.entry(item, paid) if item else None)


def balances(entries: Iterable[Entry | None]) -> dict[tuple[str, str], int]:
    """Signed balances by account and commodity, without zeros."""
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    for entry in entries:
        for leg in entry.legs if entry else ():
            sums[leg.account, leg.commodity] += leg.amount
    return {key: amount for key, amount in sums.items() if amount}
