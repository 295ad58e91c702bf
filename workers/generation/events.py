"""What can happen to a job, as frozen structs; one stream per job, under the job's id.

A job begins with ``JobAccepted`` and has exactly one end: succeeded, failed, cancelled or expired. Only
``JobCostRecorded`` may follow an end. Events carry ids, figures and hashes; prompts live in an erasable row.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import Struct

PREFIX = "workers."
"""Every tag of this package begins with it."""

CostReason = Literal["late", "fenced", "duplicate"]


class JobAccepted(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="workers.job-accepted.v1"
):
    """A job was ordered at a price. Its deadline is ``queue_limit_s + run_limit_s`` after this event was recorded.

    ``hold_id`` is the hold taken in the same append; None where the price is 0, or where a worker takes it later.
    ``inputs_mac`` is an HMAC-SHA256 (hex) of the inputs under a key that is erased with them.
    ``key_id`` is the API key that ordered, if one did. ``expected_ms`` is the node time that its tool expects.
    """

    job_id: UUID
    organisation_id: UUID
    account_id: UUID
    tool: str
    tool_version: int
    model: str
    quality: str
    width: int
    height: int
    images: int
    seed: int
    seed_given: bool
    price_ucr: int
    price_version: int
    gpu_class: str
    queue_limit_s: int
    run_limit_s: int
    expected_ms: int
    inputs_mac: str
    priority: int = 0
    hold_id: UUID | None = None
    key_id: UUID | None = None


class JobHeld(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workers.job-held.v1"):
    """A worker took the job's ``n``-th hold: there was none, or the one before had lapsed."""

    hold_id: UUID
    n: int


class JobStarted(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workers.job-started.v1"):
    """A node took the job's ``n``-th attempt."""

    attempt_id: UUID
    n: int


class JobRequeued(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workers.job-requeued.v1"):
    """An attempt ended without a result and another will be made; ``code`` says what became of it.

    ``gpu_ms`` is the node time that it took, our cost.
    """

    attempt_id: UUID
    code: str
    gpu_ms: int


class StoredOutput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One verified picture in the object store; ``sha256`` (hex) is of the stored bytes."""

    output_id: UUID
    sha256: str
    size_bytes: int
    mime: str
    width: int
    height: int


class JobSucceeded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workers.job-succeeded.v1"):
    """The pictures are stored and ``charged_ucr`` was committed in the same append (0: nothing was held).

    ``seed`` is the one they were made with: the job's own, or a later one where that gave nothing and was ours.
    """

    attempt_id: UUID
    charged_ucr: int
    seed: int
    outputs: tuple[StoredOutput, ...]
    gpu_ms: int


class JobFailed(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="workers.job-failed.v1"
):
    """The job ended without a result; its hold was released in the same append. ``code`` is stable, no input text."""

    code: str
    attempt_id: UUID | None = None
    gpu_ms: int = 0


class JobCancelled(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="workers.job-cancelled.v1"
):
    """The customer ended the job. ``charged_ucr`` is the share that its tool's rule charges, usually 0."""

    charged_ucr: int = 0
    attempt_id: UUID | None = None
    gpu_ms: int = 0


class JobExpired(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="workers.job-expired.v1"
):
    """The deadline passed; the hold, if there was one, expired in the same append."""

    attempt_id: UUID | None = None


class JobCostRecorded(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workers.job-cost-recorded.v1"
):
    """Node time that nobody is charged for: a result that came after the job's end, or beside the one that counted.

    ``cost_micro`` is in the book currency's 10⁻⁶ units, 0 where the node has no rate.
    """

    attempt_id: UUID
    reason: CostReason
    gpu_ms: int
    cost_micro: int


JobEvent = (
    JobAccepted
    | JobHeld
    | JobStarted
    | JobRequeued
    | JobSucceeded
    | JobFailed
    | JobCancelled
    | JobExpired
    | JobCostRecorded
)
JobEnd = JobSucceeded | JobFailed | JobCancelled | JobExpired

_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(JobEvent)


def job_event(state: bytes) -> JobEvent:
    """Decode an event of a job's stream.

    :raises msgspec.ValidationError: unknown tag or field.
    """
    return _decoder.decode(state)
