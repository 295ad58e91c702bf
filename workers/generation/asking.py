"""What the pure cores of a job ask for, beside what ``ledger.sansio`` offers."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from ledger.sansio import Effect


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


T = TypeVar("T")
Asking: TypeAlias = Generator[Effect | Stream | HoldOf | Now, Any, T]
