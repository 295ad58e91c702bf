"""What the jobs' side answers: plain frozen structs, ids as UUIDs, credits as int micro-credits, times in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import Struct

JobState = Literal[
    "scheduled",
    "waiting_for_credits",
    "accepted",
    "queued",
    "running",
    "cancelling",
    "succeeded",
    "failed",
    "cancelled",
    "expired",
]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})
CancelRule = Literal["free", "share-after-preview"]


class PriceLine(Struct, frozen=True, kw_only=True):
    """One part of a price."""

    label: str
    amount_ucr: int


class Burn(Struct, frozen=True, kw_only=True):
    """What a hold would take from one grant."""

    grant_id: UUID
    kind: str
    amount_ucr: int


class Quote(Struct, frozen=True, kw_only=True):
    """The price of a request at this moment; nothing is held. ``missing_ucr`` is what the account lacks for it."""

    tool: str
    tool_version: int
    model: str
    quality: str
    width: int
    height: int
    images: int
    price_ucr: int
    price_version: int
    lines: tuple[PriceLine, ...]
    burns: tuple[Burn, ...]
    available_ucr: int
    missing_ucr: int
    cancel_rule: CancelRule
    expected_s: float
    deadline_s: int


class OutputView(Struct, frozen=True, kw_only=True):
    """One stored picture; ``url`` is a signed link that ends at ``url_expires_at``."""

    output_id: UUID
    url: str
    url_expires_at: datetime
    sha256: str
    size_bytes: int
    mime: str
    width: int
    height: int


class QueuePlace(Struct, frozen=True, kw_only=True):
    """Where a waiting job stands: 1 is next. Waits in seconds from recent jobs, None where nothing is known.

    ``possible`` is false while no node in service can run it.
    """

    position: int
    wait_p50_s: float | None
    wait_p90_s: float | None
    possible: bool


class ProgressView(Struct, frozen=True, kw_only=True):
    """How far a running job is, 0 to 1, as last heard from its node. May be missing or stale."""

    fraction: float
    preview_mime: str | None = None
    preview_base64: str | None = None


class JobView(Struct, frozen=True, kw_only=True):
    """A job as its organisation sees it. ``log_position`` is the last event it reflects.

    ``prompt`` and ``negative_prompt`` are None once erased. ``held_ucr`` is what is pinned for it now.
    """

    job_id: UUID
    organisation_id: UUID
    account_id: UUID
    state: JobState
    tool: str
    tool_version: int
    model: str
    quality: str
    width: int
    height: int
    images: int
    seed: int
    price_ucr: int
    price_version: int
    held_ucr: int
    charged_ucr: int
    error_code: str | None
    attempts: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime
    log_position: int
    outputs: tuple[OutputView, ...] = ()
    queue: QueuePlace | None = None
    progress: ProgressView | None = None
    prompt: str | None = None
    negative_prompt: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


class Ordered(Struct, frozen=True, kw_only=True):
    """The answer to an order. ``replayed``: the same key had ordered this job before; sums are from right after it."""

    job: JobView
    replayed: bool
    available_ucr: int
    held_ucr: int


class JobPage(Struct, frozen=True, kw_only=True):
    """Jobs, newest first. ``next_after`` continues the list, None at its end: the position of the last acceptance."""

    jobs: tuple[JobView, ...]
    next_after: int | None


class JobChange(Struct, frozen=True, kw_only=True):
    """One state change; ``position`` is its place in the log, the id of a live event."""

    position: int
    state: JobState
    at: datetime
    error_code: str | None = None
    charged_ucr: int = 0


class JobChanges(Struct, frozen=True, kw_only=True):
    """Changes after a position, in order; ``ended``: no more will come."""

    changes: tuple[JobChange, ...]
    ended: bool
