"""The raw inbox, sans I/O: notifications are claimed by lease, looked up, settled and marked with their outcome.

Every step may be the last: killed before the append, another claimer does it; killed between append and mark,
another finds nothing to do and marks it. Nothing is marked before it is done.
"""

from __future__ import annotations

from ledger.errors import LedgerError
from ledger.sansio import Commit, Row, Run
from payments import statements
from payments.domain.policy import Terms
from payments.domain.settle import Question, settle_ref
from payments.domain.settlement import Outcome
from payments.effects import PaymentCore
from payments.errors import PaymentsError
from payments.limits import INBOX_BATCH_MAX, INBOX_LEASE_S, INBOX_RETRY_MAX_S


def work_inbox(terms: Terms, limit: int = INBOX_BATCH_MAX) -> PaymentCore[int]:
    """Handle what waits, at most ``limit``; how many were taken in hand."""
    handled = 0
    while handled < limit:
        rows: list[Row] = yield Run(statements.CLAIM_NOTIFICATIONS, {"lease_s": INBOX_LEASE_S, "limit": 1})
        yield Commit()
        if not rows:
            break
        yield from _handle(rows[0], terms)
        handled += 1
    return handled


def _handle(row: Row, terms: Terms) -> PaymentCore[None]:
    try:
        outcome = yield from settle_ref(Question(rail=row["rail"], ref=row["ref"], now=row["now"]), terms)
    except (PaymentsError, LedgerError) as error:
        yield Run(statements.POSTPONE, _postponed(row, error))
    else:
        yield Run(statements.MARK_HANDLED, _marked(row, outcome))
    yield Commit()


def _marked(row: Row, outcome: Outcome) -> Row:
    return {"notification_id": row["notification_id"], "outcome": outcome.kind, "detail": outcome.detail}


def _postponed(row: Row, error: PaymentsError | LedgerError) -> Row:
    """Ask again, soon at first; an outcome that is not known is never written down as a failure."""
    pause_s = min(2 ** min(row["attempts"], 16) / 2, INBOX_RETRY_MAX_S)
    return {"notification_id": row["notification_id"], "pause_s": pause_s, "detail": str(error)[:500]}
