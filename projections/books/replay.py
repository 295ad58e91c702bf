"""Checks of an exported folder that no bookkeeping program makes: each event once, and the deferred formula replayed.

Moving 0.000001 between two commits of one grant balances; only replaying the formula finds it. Reads the text of a
beancount export alone, so that it also holds for a copy in an auditor's hands. Entries are replayed in the order of
the log: what was entered later for an earlier day stands in that day's month.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from projections.books.chart import DEFERRED
from projections.books.deferred import share
from projections.books.model import CREDIT, decimals

_ENTRY = re.compile(r'\d{4}-\d\d-\d\d \* "')
_FACT = re.compile(r'  (?P<name>[a-z]+): "(?P<value>.*)"')
_LEG = re.compile(r"  (?P<account>[A-Z]\S*) +(?P<amount>-?[0-9.]+) (?P<commodity>[A-Z]+)")


class _Grant(Struct):
    granted_ucr: int
    total_micro: int
    gone_ucr: int = 0

    def leave(self, units_ucr: int) -> int:
        before = share(self.total_micro, self.gone_ucr, self.granted_ucr)
        self.gone_ucr += units_ucr
        return share(self.total_micro, self.gone_ucr, self.granted_ucr) - before


class _Text(Struct):
    """An entry as read: its place, its facts, and what it added to the Deferred accounts."""

    where: str
    facts: dict[str, str]
    deferred_micro: int = 0


def replay(files: Iterable[Path]) -> list[str]:
    """What is wrong with an export, in words; empty when every event is there once and follows the formula."""
    grants: dict[str, _Grant] = {}
    events: set[int] = set()
    wrong: list[str] = []
    booked = [(int(event), entry) for entry in _entries(files) if (event := entry.facts.get("event"))]
    for event, entry in sorted(booked, key=lambda pair: pair[0]):
        if event in events:
            wrong.append(f"{entry.where}: event {event} is there twice")
        events.add(event)
        expected_micro = _expected(entry, grants)
        if entry.deferred_micro != expected_micro:
            moved = f"event {event} moves Deferred by {entry.deferred_micro}"
            wrong.append(f"{entry.where}: {moved}, the formula says {expected_micro}")
    return wrong


def _expected(entry: _Text, grants: dict[str, _Grant]) -> int:
    expected_micro = 0
    issued = entry.facts.get("issued", "").split()
    for grant, units, cost, kind in zip(issued[::4], issued[1::4], issued[2::4], issued[3::4], strict=True):
        total_micro = _scaled(cost, 6) if kind in DEFERRED else 0
        grants[grant] = _Grant(_scaled(units, decimals(CREDIT)), total_micro)
        expected_micro += total_micro
    parts = entry.facts.get("gone", "").split()
    for grant, units in zip(parts[::2], parts[1::2], strict=True):
        expected_micro -= grants[grant].leave(_scaled(units, decimals(CREDIT)))
    return expected_micro


def _entries(files: Iterable[Path]) -> Iterator[_Text]:
    for path in files:
        entry: _Text | None = None
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if _ENTRY.match(line):
                    entry = _Text(f"{path.name}:{number}", {})
                elif not line.strip() and entry is not None:
                    yield entry
                    entry = None
                elif entry is not None:
                    _take(entry, line)
        if entry is not None:
            yield entry


def _take(entry: _Text, line: str) -> None:
    if fact := _FACT.match(line):
        entry.facts[fact["name"]] = fact["value"]
    elif (leg := _LEG.match(line)) and leg["account"] in DEFERRED.values():
        entry.deferred_micro -= _scaled(leg["amount"], decimals(leg["commodity"]))


def _scaled(text: str, digits: int) -> int:
    return int(Decimal(text).scaleb(digits))
