"""What the pure cores of a job ask for, beside what ``ledger.sansio`` offers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from ledger.errors import ConnectionLost
from ledger.sansio import Effect, Sleep


@dataclass(frozen=True, slots=True)
class Stream:
    """Read a stream of the log from its first event; answered by a list of ``RecordedEvent``."""

    stream_id: UUID


@dataclass(frozen=True, slots=True)
class HoldOf:
    """Look a hold up; answered by ``HoldView | None``."""

    hold_id: UUID


@dataclass(frozen=True, slots=True)
class Now:
    """The time; answered by a UTC ``datetime``."""


Question: TypeAlias = Stream | HoldOf | Now
T = TypeVar("T")
Asking: TypeAlias = Generator[Effect | Question, Any, T]
_TRIES = 40
_PAUSE_S = 0.25


def asked(question: Question) -> Asking[Any]:
    """Ask again while the database is away, for some ten seconds: a question changes nothing.

    :raises ConnectionLost: it stays away.
    """
    for _ in range(_TRIES - 1):
        try:
            return (yield question)
        except ConnectionLost:
            yield Sleep(_PAUSE_S)
    return (yield question)
