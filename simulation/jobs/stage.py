"""What a run of jobs is about: ledger, tables, nodes, objects, and the chances that its seed gives."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TypeVar
from uuid import UUID

from ledger.domain import commands
from ledger.ids import uuid7
from ledger.ports import Request
from ledger.store.memory import MemoryLedger
from simulation.clocks import ManualClock
from simulation.jobs.twin import TwinDatabase
from workers.catalogue import shipped
from workers.nodes.memory import MemoryNode
from workers.objects.memory import MemoryObjects

T = TypeVar("T")
CREDIT = 1_000_000
SLOTS, CLASS = 2, "standard"
QUIET_AT_S = 120.0
"""From here on nothing goes wrong any more, so that everything can end."""

_GRANT = UUID(int=1)


class Luck(Protocol):
    """Chance of one run: ``simulation.dice.Dice``, or whatever gives the same every time."""

    def fraction(self) -> float:
        """A number from 0, less than 1."""
        ...

    def between(self, low: int, high: int, /) -> int:
        """A number from ``low`` to ``high``, both included."""
        ...

    def choose(self, among: list[T] | tuple[T, ...], /) -> T:
        """One of several."""
        ...

    def entropy(self, count: int, /) -> bytes:
        """Random bytes."""
        ...


class JobsDice:
    """Ids and chances of one run."""

    def __init__(self, luck: Luck, clock: ManualClock) -> None:
        self._luck = luck
        self._clock = clock
        self.fraction = luck.fraction
        self.between = luck.between

    def choose(self, among: list[T] | tuple[T, ...]) -> T:
        """One of several."""
        return self._luck.choose(among)

    def new(self) -> UUID:
        """A fresh id."""
        return uuid7(round(self._clock.now().timestamp() * 1000), self._luck.entropy(10))

    def happens(self, chance: float) -> bool:
        """Whether something goes wrong; in the end nothing does."""
        return self._clock.monotonic_s() < QUIET_AT_S and self._luck.fraction() < chance


class Stage:
    """Everything that the cores of one run touch. ``checked`` is the position up to which the log was looked at."""

    def __init__(self, luck: Luck) -> None:
        self.clock = ManualClock()
        self.dice = JobsDice(luck, self.clock)
        self.ledger = MemoryLedger(self.clock)
        self.database = TwinDatabase(self.clock)
        self.objects = MemoryObjects()
        self.catalogue = shipped()
        self.nodes = {f"node-{n}": self._node(f"node-{n}") for n in range(SLOTS)}
        self.account_id, self.organisation_id = self.dice.new(), self.dice.new()
        self.jobs: list[UUID] = []
        self.counts: dict[str, int] = {}
        self.checked = 0
        self._open_account()

    def count(self, what: str) -> None:
        """Count what happened."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def _node(self, name: str) -> MemoryNode:
        needs = [self.catalogue.offered()[0].needs("sdxl")]
        self.database.tables.nodes[name] = {"name": name, "state": "ready", "attempt_id": None, "can": needs}
        return MemoryNode(name, clock=self.clock, wait=self.clock.pass_s, classes=_classes(), step_s=0.1)

    def _open_account(self) -> None:
        opening = commands.OpenAccount(account_id=self.account_id, organisation_id=self.organisation_id)
        granting = commands.GrantCredits(
            account_id=self.account_id, grant_id=_GRANT, amount_ucr=20 * CREDIT, kind="paid"
        )
        for command in (opening, granting):
            self.ledger.submit(Request(key=type(command).__name__, operation="prepare", command=command))


@cache
def _classes() -> Any:
    return json.loads((files("workers") / "standin" / "object_info.json").read_text())
