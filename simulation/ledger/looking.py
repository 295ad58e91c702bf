"""Questions of readers, now and about the past, each compared with what the model says."""

from __future__ import annotations

from datetime import datetime, timedelta

from ledger.store.memory import MemoryLedger
from simulation.found import must, same
from simulation.ledger.steps import Look
from simulation.model import views
from simulation.model.answering import Model

HOLDS_SHOWN = 5


def look(step: Look, ledger: MemoryLedger, model: Model, now: datetime) -> None:
    """Ask one question.

    :raises Wrong: the ledger and the model do not say the same.
    """
    if step.what == "effective":
        _effective(step, ledger, model, now)
    elif step.back is not None:
        _as_of_position(step, ledger, model)
    elif step.back_s is not None:
        _as_of_time(step, ledger, model, now)
    else:
        _now(step, ledger, model, now)


def _now(step: Look, ledger: MemoryLedger, model: Model, now: datetime) -> None:
    book = model.book
    match step.what:
        case "balance":
            same("balance", said=ledger.balance(step.about), expected=views.balance(book, step.about, now))
        case "holds":
            said = ledger.open_holds(step.about, limit=HOLDS_SHOWN)
            same("open holds", said=said, expected=views.open_holds(book, step.about, HOLDS_SHOWN))
        case _:
            same("hold", said=ledger.hold(step.about), expected=views.hold(book, step.about))


def _as_of_position(step: Look, ledger: MemoryLedger, model: Model) -> None:
    past = model.past
    if not past.ends or step.back is None:
        return
    place = max(0, len(past.ends) - 1 - step.back)
    position, at = past.ends[place], past.times[place]
    match step.what:
        case "balance":
            said = ledger.balance_at(step.about, position=position)
            same("invariant_29 balance", said=said, expected=past.balance_at(step.about, position, at))
        case "holds":
            holds = ledger.open_holds_at(step.about, position=position, limit=HOLDS_SHOWN)
            same("invariant_29 holds", said=holds, expected=past.open_holds_at(step.about, position, HOLDS_SHOWN))
        case _:
            said = ledger.hold_at(step.about, position=position)
            same("invariant_29 hold", said=said, expected=past.hold_at(step.about, position))


def _as_of_time(step: Look, ledger: MemoryLedger, model: Model, now: datetime) -> None:
    at, past = now - timedelta(seconds=step.back_s or 0.0), model.past
    position = past.position_at(at)
    match step.what:
        case "balance":
            said = ledger.balance_at(step.about, recorded_at=at)
            same("invariant_29 balance at", said=said, expected=past.balance_at(step.about, position, at))
        case "holds":
            holds = ledger.open_holds_at(step.about, recorded_at=at, limit=HOLDS_SHOWN)
            same("invariant_29 holds at", said=holds, expected=past.open_holds_at(step.about, position, HOLDS_SHOWN))
        case _:
            said = ledger.hold_at(step.about, recorded_at=at)
            same("invariant_29 hold at", said=said, expected=past.hold_at(step.about, position))


def _effective(step: Look, ledger: MemoryLedger, model: Model, now: datetime) -> None:
    """Invariant 29: the sum of all that is meant until a time."""
    at = now - timedelta(seconds=step.back_s or 0.0)
    said = ledger.posted_effective(step.about, at)
    if step.about not in model.book.accounts:
        same("no posted by effective time", said=said, expected=None)
        return
    must("posted by effective time", holds=said is not None)
    assert said is not None
    expected = (model.past.posted_effective(step.about, at), model.book.position, at)
    same("invariant_29 effective", said=(said.posted_ucr, said.log_position, said.at), expected=expected)
