"""``ensure_hold``: the one place where credits are pinned for a job, called when it is accepted and before each run.

Idempotent on the job: the ``n``-th hold of a job has one id and one key, so that asking twice, from anywhere, holds
once. ``n`` rises only when the hold before it has lapsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, TypeAlias
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import NewEvent, encode_event
from ledger.domain.commands import HoldCredits, RenewHold
from ledger.domain.verdicts import Answer, Done, Refused
from ledger.ids import uuid7
from ledger.ports import Companion, HoldView, Origin, Request
from ledger.sansio import Submit
from workers.generation import events
from workers.generation.asking import Asking, HoldOf, Now, asked
from workers.generation.job import Job

_LEASE_SLACK = timedelta(seconds=1)
FINAL_REFUSALS = frozenset(
    {
        "insufficient-credits",
        "account-unknown",
        "account-frozen",
        "account-closed",
        "budget-exceeded",
        "budget-unknown",
        "too-many-slices",
    }
)
"""Refusals of a hold that end its job, uncharged, with the refusal's code: only somebody's act would change them.

On every other one the job waits: too many holds are open, a newer release has written to the account, the clocks
disagree, the hold has just been resolved.
"""


class Held(Struct, frozen=True, kw_only=True):
    """The job may run until ``lease_until``, which may have passed. ``hold_id`` is None where nothing is pinned.

    ``answer`` is the ledger's, where it was asked.
    """

    hold_id: UUID | None
    lease_until: datetime
    answer: Answer | None = None


class NotHeld(Struct, frozen=True, kw_only=True):
    """The ledger refused: nothing is pinned. ``refused`` says why, and whether the same may succeed later."""

    answer: Answer
    refused: Refused


Reserved: TypeAlias = Held | NotHeld


class Reservation(Struct, frozen=True, kw_only=True):
    """What to pin, for whom, under which key, and what goes on the job's stream with it."""

    account_id: UUID
    job_id: UUID
    price_ucr: int
    deadline_at: datetime
    hold_id: UUID | None
    next_hold_id: UUID
    key: str
    operation: str
    origin: Origin
    body: Mapping[str, Any]
    after_version: int
    on_accept: NewEvent


def hold_id_of(job_id: UUID, n: int) -> UUID:
    """Id of a job's ``n``-th hold, derived, so that every asker means the same one."""
    digest = sha256(b"hold" + job_id.bytes + n.to_bytes(4, "big")).digest()
    return uuid7(job_id.int >> 80, digest[:10])


def at_accept(accepted: events.JobAccepted, *, key: str, body: Mapping[str, Any], now: datetime) -> Reservation:
    """The reservation of a job that is to start now, under the caller's key; its acceptance goes with it.

    ``body`` is what the caller sent, by field: a repeat with another body is refused. ``now`` is only the base of the
    lease's length.
    """
    next_hold_id = hold_id_of(accepted.job_id, 1)
    assert accepted.hold_id == (next_hold_id if accepted.price_ucr > 0 else None)
    return Reservation(
        account_id=accepted.account_id,
        job_id=accepted.job_id,
        price_ucr=accepted.price_ucr,
        deadline_at=now + timedelta(seconds=accepted.queue_limit_s + accepted.run_limit_s),
        hold_id=None,
        next_hold_id=next_hold_id,
        key=key,
        operation="generate",
        origin="caller",
        body=body,
        after_version=0,
        on_accept=encode_event(accepted),
    )


def by_worker(job: Job) -> Reservation:
    """The reservation of a job that a worker is about to run."""
    n = job.holds + 1
    hold_id = hold_id_of(job.job_id, n)
    price_ucr = job.accepted.price_ucr
    return Reservation(
        account_id=job.accepted.account_id,
        job_id=job.job_id,
        price_ucr=price_ucr,
        deadline_at=job.deadline_at,
        hold_id=job.hold_id,
        next_hold_id=hold_id,
        key=f"hold:{job.job_id}:{n}",
        operation="hold-job",
        origin="system",
        body={"amount_ucr": price_ucr},
        after_version=job.version,
        on_accept=encode_event(events.JobHeld(hold_id=hold_id, n=n)),
    )


def ensure_hold(want: Reservation) -> Asking[Reserved]:
    """See that a live hold lasts to the job's deadline: find it, renew it, or take it."""
    now: datetime = yield from asked(Now())
    if want.hold_id is not None:
        found: HoldView | None = yield from asked(HoldOf(want.hold_id))
        if found is not None and found.state == "open":
            return (yield from _kept(want, found, now))
    if want.after_version > 0 and (want.price_ucr == 0 or want.deadline_at <= now):
        return Held(hold_id=None, lease_until=want.deadline_at)
    answer: Answer = yield Submit(_request(want, lease_s=_seconds(want.deadline_at - now)))
    if isinstance(answer.verdict, Done):
        hold_id = want.next_hold_id if want.price_ucr > 0 else None
        return Held(hold_id=hold_id, lease_until=want.deadline_at, answer=answer)
    return NotHeld(answer=answer, refused=answer.verdict)


def _kept(want: Reservation, found: HoldView, now: datetime) -> Asking[Reserved]:
    """An open hold; its lease moves only where the job's deadline has moved behind it.

    One whose lease has ended is still held until an event says otherwise, so that no second one is taken beside it.
    """
    if found.lease_until >= want.deadline_at - _LEASE_SLACK:
        return Held(hold_id=found.hold_id, lease_until=found.lease_until)
    lease_s = _seconds(want.deadline_at - now)
    command = RenewHold(account_id=want.account_id, hold_id=found.hold_id, lease_s=lease_s)
    key = f"renew:{found.hold_id}:{want.deadline_at.isoformat()}"
    body = {"deadline_at": want.deadline_at.isoformat()}
    answer: Answer = yield Submit(
        Request(key=key, operation="renew-job", command=command, body=body, subject_id=want.job_id)
    )
    if isinstance(answer.verdict, Refused):
        return NotHeld(answer=answer, refused=answer.verdict)
    return Held(hold_id=found.hold_id, lease_until=want.deadline_at, answer=answer)


def _request(want: Reservation, *, lease_s: int) -> Request:
    command = HoldCredits(
        account_id=want.account_id,
        hold_id=want.next_hold_id,
        amount_ucr=want.price_ucr,
        lease_s=lease_s,
        reference=want.job_id,
    )
    return Request(
        key=want.key,
        operation=want.operation,
        command=command if want.price_ucr > 0 else None,
        scope_id=want.account_id,
        body=want.body,
        origin=want.origin,
        subject_id=want.job_id,
        on_accept=(Companion(want.job_id, want.after_version, (want.on_accept,)),),
    )


def _seconds(left: timedelta) -> int:
    return max(1, round(left.total_seconds()))
