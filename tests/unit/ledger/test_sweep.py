"""A sweep whose clock and the writer's differ for a moment."""

from __future__ import annotations

from ledger.ports import Request
from ledger.sansio import Commit, Run, Submit
from ledger.store.memory import MemoryLedger
from ledger.sweep import sweep
from tests.support.ledger import CREDIT, ManualClock, grant, open_account


def swept(ledger: MemoryLedger, clock: ManualClock, *, set_back_s: float = 0.0) -> list[Request]:
    """What a sweep asks for, by accounts that are due; the clock is set back between its reading and the decisions."""
    asked: list[Request] = []
    due = [row for row in ledger.database.accounts.values() if row.next_due_at and row.next_due_at <= clock.now()]
    minute = int(clock.now().timestamp()) // 60
    rows = {"due-accounts": [{"account_id": row.account_id, "version": row.version, "minute": minute} for row in due]}
    clock.pass_s(-set_back_s)
    core = sweep()
    told: object = None
    while True:
        try:
            question = core.send(told)
        except StopIteration:
            return asked
        match question:
            case Run():
                told = rows.get(question.statement.name, [])
            case Commit():
                told = None
            case Submit():
                asked.append(question.request)
                told = ledger.submit(question.request)
            case _:
                raise AssertionError(question)


def test_a_grants_end_that_was_asked_for_too_early_is_booked_a_minute_later() -> None:
    clock = ManualClock()
    ledger = MemoryLedger(clock)
    account_id = open_account(ledger)
    grant(ledger, account_id, 3 * CREDIT, lifetime_s=30)
    clock.pass_s(30.005)
    (early,) = swept(ledger, clock, set_back_s=0.01)
    clock.pass_s(0.02)
    (replayed,) = swept(ledger, clock)
    assert replayed.key == early.key
    tags = [event.tag for event in ledger.stream(account_id)]
    assert "ledger.credits-expired.v1" not in tags
    clock.pass_s(60)
    swept(ledger, clock)
    assert [event.tag for event in ledger.stream(account_id)] == [*tags, "ledger.credits-expired.v1"]
    assert swept(ledger, clock) == []
