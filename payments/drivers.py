"""Drives payments' cores: rails and ledger are asked here, statements and hints by the ledger's driver.

A connection is held only from a statement to its commit. Whoever asks a rail or waits for the ledger holds none, so
that no number of callers can starve each other, and a slow source locks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import psycopg

from ledger.errors import LedgerError
from ledger.limits import BATCH_COMMANDS_MAX
from ledger.ports import Ledger
from ledger.sansio import Core, Submit
from payments.effects import ListChanges, LookUp, OpenAtRail, PaymentCore, PaymentEffect, RailEffect, ReadStream
from payments.errors import PaymentsError, RailUnknown
from payments.rail import Rail

T = TypeVar("T")
Rails = Mapping[str, Rail]
_OUTSIDE = (ReadStream, LookUp, OpenAtRail, ListChanges, Submit)
_Outside: TypeAlias = ReadStream | RailEffect | Submit
_ERRORS = (PaymentsError, LedgerError, psycopg.Error)


class Drives(Protocol):
    """Runs cores; ``ledger.drivers.Driver`` is one."""

    def drive(self, core: Core[T]) -> T:
        """Run a core to its end."""
        ...


@dataclass(frozen=True, slots=True)
class _End(Generic[T]):
    value: T


class PaymentDriver:
    """Runs cores of payments. Errors of rail, ledger and database are raised inside the core first."""

    def __init__(self, driver: Drives, ledger: Ledger, rails: Rails) -> None:
        self._driver = driver
        self._ledger = ledger
        self.rails = rails

    def drive(self, core: PaymentCore[T]) -> T:
        """Run a core to its end, statements in transactions, the rest between them."""
        at: PaymentEffect | _End[T] = _resumed(lambda: next(core))
        while not isinstance(at, _End):
            at = self._outside(core, at) if isinstance(at, _OUTSIDE) else self._driver.drive(_inside(core, at))
        return at.value

    def _outside(self, core: PaymentCore[T], effect: _Outside) -> PaymentEffect | _End[T]:
        try:
            told = self._answer(effect)
        except _ERRORS as error:
            raised = error
            return _resumed(lambda: core.throw(raised))
        return _resumed(lambda: core.send(told))

    def _answer(self, effect: _Outside) -> Any:
        match effect:
            case ReadStream(stream_id):
                return self._ledger.stream(stream_id, limit=BATCH_COMMANDS_MAX)
            case Submit(request):
                return self._ledger.submit(request)
            case _:
                return ask(self.rails, effect)


def ask(rails: Rails, effect: RailEffect) -> Any:
    """Ask one rail.

    :raises RailUnknown: no such rail here.
    :raises PaymentsError: as the rail does.
    """
    rail = rails.get(effect.rail)
    if rail is None:
        raise RailUnknown(rail=effect.rail)
    match effect:
        case LookUp(_, ref):
            return rail.lookup(ref)
        case OpenAtRail(_, command):
            return rail.open(command)
        case ListChanges(_, cursor):
            return rail.changes(cursor)


def _inside(core: PaymentCore[T], at: PaymentEffect | _End[T]) -> Core[PaymentEffect | _End[T]]:
    """Run on while only the database is needed; what is asked for next, or the end."""
    while not isinstance(at, (_End, *_OUTSIDE)):
        try:
            told = yield at
        except _ERRORS as error:
            raised = error
            at = _resumed(lambda raised=raised: core.throw(raised))
        else:
            at = _resumed(lambda told=told: core.send(told))
    return at


def _resumed(resume: Callable[[], PaymentEffect]) -> Any:
    """What a core asks for next, or its end."""
    try:
        return resume()
    except StopIteration as end:
        return _End(end.value)
