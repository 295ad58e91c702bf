"""What the log says of payments."""

from __future__ import annotations

from ledger.domain.codec import RecordedEvent
from ledger.ports import Ledger
from payments.domain import events
from payments.domain.topup import TopUp, fold


def topups_of(ledger: Ledger) -> list[TopUp]:
    """Every top-up of the log, folded."""
    found: list[TopUp] = []
    for event in ledger.log(after=0, limit=100_000):
        if event.tag == "payments.topup-opened.v1":
            topup = fold(ledger.stream(event.stream_id))
            assert topup is not None
            found.append(topup)
    return found


def payment_events(ledger: Ledger) -> list[events.PaymentEvent]:
    """Every event of payments, in the order of the log."""
    recorded: list[RecordedEvent] = ledger.log(after=0, limit=100_000)
    return [events.payment_event(event.state) for event in recorded if event.tag.startswith(events.PREFIX)]


def money_of(ledger: Ledger) -> list[events.ReceiptFinal]:
    """Every receipt that became final, in the order of the log."""
    return [event for event in payment_events(ledger) if isinstance(event, events.ReceiptFinal)]
