"""What the cores of payments ask for beside the ledger's effects. ``payments.drivers`` answers it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from ledger.sansio import Effect
from payments.rail import Cursor, OpenCharge

T = TypeVar("T")
INBOX_TOPIC = "payments"
"""Wake-up topic: a notification waits in the inbox."""


@dataclass(frozen=True, slots=True)
class ReadStream:
    """Read a stream of the log to its end; answered by ``list[RecordedEvent]``."""

    stream_id: UUID


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask a rail's source about a charge or movement; answered by ``list[Observation]``, or raises RailUnavailable."""

    rail: str
    ref: str


@dataclass(frozen=True, slots=True)
class OpenAtRail:
    """Open a charge at the source, once per key; answered by ``Instruction``, or raises RailUnavailable."""

    rail: str
    command: OpenCharge


@dataclass(frozen=True, slots=True)
class ListChanges:
    """Ask a rail's source what moved since; answered by ``(list[Observation], Cursor)``, or raises RailUnavailable."""

    rail: str
    cursor: Cursor


RailEffect: TypeAlias = LookUp | OpenAtRail | ListChanges
PaymentEffect: TypeAlias = Effect | ReadStream | RailEffect
PaymentCore: TypeAlias = Generator[PaymentEffect, Any, T]
