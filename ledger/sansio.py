"""Sans I/O: cores are generators that yield what they need and are sent the answer.

A core holds no lock, thread, socket or clock. Drivers (``ledger.drivers``) answer its requests from PostgreSQL;
tests and the simulator answer them from memory, which is what makes one seed one run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ledger.ports import Request


@dataclass(frozen=True, slots=True)
class Statement:
    """A named SQL statement with ``%(name)s`` parameters. ``row`` makes a row of its columns; None: by their names."""

    name: str
    sql: str
    row: Callable[..., Any] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table to copy rows into: columns, in the order of a row's values, with their types."""

    name: str
    columns: Mapping[str, str]


Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """Run a statement in the open transaction, or a new one; answered by its rows, ``[]`` if it has none."""

    statement: Statement
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunMany:
    """Run a statement once per row of parameters; answered by None."""

    statement: Statement
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Copy:
    """Append new rows to a table; answered by None. Many rows cost half of what a statement takes for them."""

    table: Table
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit the open transaction; answered by None."""


@dataclass(frozen=True, slots=True)
class Submit:
    """Ask the ledger's writer, outside any transaction; answered by ``ledger.domain.verdicts.Answer``."""

    request: Request


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let time pass; answered by None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wake:
    """A hint to whoever listens to a topic, sent after the commit; may be lost. Answered by None."""

    topic: str
    payload: str = ""


Effect: TypeAlias = Run | RunMany | Copy | Commit | Submit | Sleep | Wake
T = TypeVar("T")
Core: TypeAlias = Generator[Effect, Any, T]
