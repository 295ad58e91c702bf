"""What an attempt's core asks for, beside rows and the ledger. Answers are typed; a node never raises."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ledger.sansio import Effect
from workers.generation.asking import HoldOf, Now, Stream
from workers.generation.tools import Graph, Tool
from workers.nodes.port import Completed


@dataclass(frozen=True, slots=True)
class Listen:
    """Open the attempt's live stream; what it says is published as progress and heard by ``Pulse``."""


@dataclass(frozen=True, slots=True)
class Post:
    """Submit the graph under the attempt's id; answered by ``nodes.port.Submission``."""

    graph: Graph


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the node for the attempt's state; answered by ``nodes.port.JobState``."""


@dataclass(frozen=True, slots=True)
class CancelNode:
    """Ask the node to end the attempt; what it answers is no promise."""


@dataclass(frozen=True, slots=True)
class FreeMemory:
    """Ask the node to unload its models."""


@dataclass(frozen=True, slots=True)
class Gather:
    """Fetch and verify the outputs; answered by pictures, ``OutputRefused`` or ``Unreachable``."""

    completed: Completed
    tool: Tool
    images: int


@dataclass(frozen=True, slots=True)
class Put:
    """Store an object, durable when answered. May raise ``StoreUnavailable``."""

    key: str
    content: bytes
    mime: str


@dataclass(frozen=True, slots=True)
class Erase:
    """Delete an object, also one that is not there. May raise ``StoreUnavailable``."""

    key: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Publish a word on the job's live channel (``cancelling``); may be lost."""

    word: str


@dataclass(frozen=True, slots=True)
class Pulse:
    """How things stand; answered by ``Vitals``."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait, at most so long; less when the live stream has news of the end."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What the heartbeat last saw. Times are seconds of one monotonic clock.

    ``lost``: somebody else holds the attempt now. ``heard_s`` and ``preview_s`` are the last sign of life and the first
    preview of the live stream, None before there was one.
    """

    now_s: float
    lost: bool
    cancel_asked: bool
    job_ended: bool
    heard_s: float | None
    preview_s: float | None


AttemptEffect: TypeAlias = (
    Effect
    | Stream
    | HoldOf
    | Now
    | Listen
    | Post
    | LookUp
    | CancelNode
    | FreeMemory
    | Gather
    | Put
    | Erase
    | Tell
    | Pulse
    | Rest
)
T = TypeVar("T")
Acting: TypeAlias = Generator[AttemptEffect, Any, T]
