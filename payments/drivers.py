"""Answers what payments' cores ask of rails and of the log, and passes the rest on to the ledger's driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import psycopg

from ledger.errors import LedgerError
from ledger.limits import BATCH_COMMANDS_MAX
from ledger.ports import LedgerReader
from ledger.sansio import Core
from payments.effects import ListChanges, LookUp, OpenAtRail, PaymentCore, RailEffect, ReadStream
from payments.errors import PaymentsError, RailUnknown
from payments.rail import Rail

T = TypeVar("T")
Rails = Mapping[str, Rail]


class Drives(Protocol):
    """Runs cores; ``ledger.drivers.Driver`` is one."""

    def drive(self, core: Core[T]) -> T:
        """Run a core to its end."""
        ...


class PaymentDriver:
    """Runs cores of payments. No transaction is open while a rail is asked, so a slow source locks nothing."""

    def __init__(self, driver: Drives, ledger: LedgerReader, rails: Rails) -> None:
        self._driver = driver
        self._ledger = ledger
        self.rails = rails

    def drive(self, core: PaymentCore[T]) -> T:
        """Run a core to its end. Errors of rail, ledger and database are raised inside it first."""
        return self._driver.drive(answering(core, self._ledger, self.rails))


def answering(core: PaymentCore[T], ledger: LedgerReader, rails: Rails) -> Core[T]:
    """Wrap a core so that only the ledger's effects are left to answer."""
    try:
        effect = next(core)
        while True:
            try:
                if isinstance(effect, ReadStream):
                    told: Any = ledger.stream(effect.stream_id, limit=BATCH_COMMANDS_MAX)
                elif isinstance(effect, LookUp | OpenAtRail | ListChanges):
                    told = ask(rails, effect)
                else:
                    told = yield effect
            except (PaymentsError, LedgerError, psycopg.Error) as error:
                effect = core.throw(error)
            else:
                effect = core.send(told)
    except StopIteration as end:
        return end.value


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
