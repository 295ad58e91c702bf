"""The port between a job runner and one node that executes image graphs.

Every call ends within its time limit with a typed answer: nothing here raises for what a node or a network may do. What
is not known is said to be unknown (`Unknown`, `Unreachable`), never taken for a failure.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any, Protocol, TypeAlias
from uuid import UUID

import msgspec

Graph: TypeAlias = Mapping[str, Mapping[str, Any]]
"""A graph in API format: node id -> {"class_type": str, "inputs": {name: value or [node id, slot]}}."""


class Unreachable(msgspec.Struct, frozen=True, kw_only=True):
    """No usable answer came: refused, timed out, cut, 5xx or not the protocol. Says nothing about the job."""

    reason: str


# --- submit


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """The node has the attempt. `attached`: it had it before this call, and nothing was posted."""

    attached: bool


class Refusal(StrEnum):
    """Why a node refuses a graph: our values are wrong, or this node lacks a class or model."""

    INVALID = "invalid"
    CAPABILITY = "capability"


class InputError(msgspec.Struct, frozen=True, kw_only=True):
    """One complaint about one node of a graph; `details` is the node's own text, never shown to customers."""

    node_id: str
    class_type: str
    type: str
    input_name: str
    details: str


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The graph was refused in whole or in part; a half-valid one was cancelled by the executor before it answered."""

    refusal: Refusal
    type: str
    message: str
    lacks: tuple[str, ...] = ()
    """Classes and models that the node does not have, for `Refusal.CAPABILITY`."""
    errors: tuple[InputError, ...] = ()


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to the POST was lost or a 5xx: `look_up` decides. `sent` is false if nothing left this machine."""

    reason: str
    sent: bool


Submission: TypeAlias = Submitted | Rejected | Unknown


# --- look up


class OutputFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a graph's output node saved, as the node names it. `kind` is the list it was in, `images` say."""

    node_id: str
    kind: str
    filename: str
    subfolder: str
    type: str


class OutputText(msgspec.Struct, frozen=True, kw_only=True):
    """One text that an output node reported (captions)."""

    node_id: str
    text: str


class NodeError(msgspec.Struct, frozen=True, kw_only=True):
    """What a graph's node raised; server text, for us only."""

    node_id: str
    node_type: str
    exception_type: str
    message: str


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted and waiting in the node's own queue."""


class InProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Running, or so the node says; a dead worker thread looks the same for ever."""


class Completed(msgspec.Struct, frozen=True, kw_only=True):
    """Ended without an error. Outputs may be fewer than declared, gone, black, or from the cache: verify them."""

    outputs: tuple[OutputFile, ...]
    texts: tuple[OutputText, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """Ended by an error in a node; files saved before it may exist."""

    error: NodeError
    outputs: tuple[OutputFile, ...] = ()


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """Interrupted while it ran. A job dequeued before it ran is `Absent` instead."""


class Absent(msgspec.Struct, frozen=True, kw_only=True):
    """The node answers and does not know the attempt: never accepted, dequeued, or forgotten by a restart."""


JobState: TypeAlias = Pending | InProgress | Completed | Failed | Cancelled | Absent | Unreachable


# --- files


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of one file, whole, and the type the node gave for them."""

    content: bytes
    mime: str


class FileMissing(msgspec.Struct, frozen=True, kw_only=True):
    """The node answers and does not have the file, or has it with 0 bytes."""

    reason: str


class TooLarge(msgspec.Struct, frozen=True, kw_only=True):
    """The file is larger than the caller's bound; reading stopped there."""

    bytes_max: int


Fetch: TypeAlias = Fetched | FileMissing | TooLarge | Unreachable


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """The name under which the node keeps an upload, to be put into the graph; it may differ from the one asked."""

    name: str


Upload: TypeAlias = Uploaded | TooLarge | Unreachable


# --- control


class CancelAsked(msgspec.Struct, frozen=True, kw_only=True):
    """The node took the wish (`acknowledged`) or knew nothing to cancel. Not a promise: the job may still complete."""

    acknowledged: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The node answered that it did as told."""


class Healthy(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself; memory in bytes, `queue_remaining` counts running and waiting prompts."""

    version: str
    device: str
    vram_total_bytes: int
    vram_free_bytes: int
    queue_remaining: int


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """Classes that a node offers, and for each (class, input) with a fixed list the values it accepts (models too)."""

    classes: frozenset[str]
    options: Mapping[tuple[str, str], frozenset[str]]


# --- live


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A step was done: `value` of `maximum` in graph node `node_id`; `nodes_done` graph nodes have finished so far."""

    node_id: str
    value: float
    maximum: float
    nodes_done: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A rough picture of the work so far, JPEG or PNG, not yet verified."""

    mime: str
    content: bytes


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The node says it is done with the attempt; `look_up` tells how it ended."""


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing came for the whole `quiet_s`; the stream goes on."""


class Dropped(msgspec.Struct, frozen=True, kw_only=True):
    """The stream ended or never opened; the job goes on without it."""

    reason: str


Live: TypeAlias = Progress | Preview | Ended | Quiet | Dropped


class Executor(Protocol):
    """One node. Safe to call from several threads; each attempt id is fresh and used on one node only."""

    @property
    def name(self) -> str:
        """What logs and tables call this node; holds no secret."""
        ...

    def submit(self, attempt_id: UUID, graph: Graph) -> Submission:
        """Look the attempt up, and post the graph under its id only if the node does not know it."""
        ...

    def look_up(self, attempt_id: UUID) -> JobState:
        """Say what the node says of the attempt now: the truth to poll."""
        ...

    def fetch(self, file: OutputFile, *, bytes_max: int) -> Fetch:
        """Read one output whole, at most `bytes_max` bytes."""
        ...

    def upload(self, name: str, content: bytes) -> Upload:
        """Store an input picture; `name` is plain (no slash), unique per attempt."""
        ...

    def cancel(self, attempt_id: UUID) -> CancelAsked | Unreachable:
        """Ask for the attempt's end, waiting or running."""
        ...

    def interrupt(self, attempt_id: UUID) -> Done | Unreachable:
        """Interrupt the attempt if it is the one that runs."""
        ...

    def free(self) -> Done | Unreachable:
        """Ask the node to unload models and free memory, once its worker thread gets to it."""
        ...

    def capabilities(self) -> Capabilities | Unreachable:
        """Read which classes and models the node has; large, so ask seldom."""
        ...

    def health(self) -> Healthy | Unreachable:
        """Ask whether the node answers. A zombie answers too: only a canary graph proves that it works."""
        ...

    def watch(self, attempt_id: UUID, *, quiet_s: float) -> AbstractContextManager[Iterator[Live]]:
        """Open the attempt's live stream, before `submit`, or its first events are lost.

        Yields `Quiet` whenever `quiet_s` passed without news, and ends after `Ended` or `Dropped`. For progress and
        liveness only: it never decides an outcome.
        """
        ...
