"""What the rest of the program asks of the ledger, and what the ledger asks of its surroundings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import NewEvent, RecordedEvent
from ledger.domain.commands import AccountCommand, Command
from ledger.domain.verdicts import Answer
from ledger.limits import SUBMIT_TIMEOUT_S


class Clock(Protocol):
    """Time, given by the composition root."""

    def now(self) -> datetime:
        """Wall clock, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back, for deadlines."""
        ...


class Ids(Protocol):
    """New identifiers, given by the composition root."""

    def new(self) -> UUID:
        """A fresh UUIDv7."""
        ...


class Companion(Struct, frozen=True, gc=False):
    """Events of another stream, appended with the command or not at all.

    ``after_version`` is the version the first of them follows: 0 claims a stream that must not exist yet.
    """

    stream_id: UUID
    after_version: int
    events: tuple[NewEvent, ...]


Origin = Literal["caller", "system"]


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One thing to do, at most once.

    ``key`` with ``operation`` and ``scope_id`` (by default the command's account) names the request for ever.
    ``body`` is what the caller sent, by field: a repeat with another body is refused naming the field; by
    default the command's own fields. ``origin`` says whether a refusal is kept ("caller") or the same key may
    succeed later ("system"). ``subject_id`` comes back in the verdict, also when it is replayed. ``traceparent`` is
    kept beside what is appended, and is no part of it. ``linked`` commands are done after ``command``, all or none:
    the first refusal is the answer, with ``linked_index``.
    """

    key: str
    operation: str
    command: Command | None = None
    linked: tuple[AccountCommand, ...] = ()
    scope_id: UUID | None = None
    body: Mapping[str, Any] | None = None
    origin: Origin = "system"
    subject_id: UUID | None = None
    on_accept: tuple[Companion, ...] = ()
    on_refuse: tuple[Companion, ...] = ()
    expected_account_version: int | None = None
    dry_run: bool = False
    traceparent: str | None = None


class GrantView(Struct, frozen=True, kw_only=True):
    """A live grant (bucket) in burn order; amounts in micro-credits. Nothing of it is free once its end has come."""

    grant_id: UUID
    kind: str
    priority: int
    expires_at: datetime | None
    granted_ucr: int
    free_ucr: int
    held_ucr: int
    frozen_ucr: int


class HoldView(Struct, frozen=True, kw_only=True):
    """A hold, open or resolved (``committed``, ``released``, ``expired``)."""

    hold_id: UUID
    account_id: UUID
    state: str
    amount_ucr: int
    remaining_ucr: int
    committed_ucr: int
    lease_until: datetime
    reference: UUID | None
    opened_at: datetime
    resolved_at: datetime | None


class Balance(Struct, frozen=True, kw_only=True):
    """An account at one position of the log, read at once ``at`` the database's clock.

    ``grants`` are those that have not ended then, and those of which something is still held or frozen: what is free,
    held and frozen of them makes the account's sums, but for overdraft and debt, which lie in no grant.
    """

    account_id: UUID
    organisation_id: UUID
    posted_ucr: int
    held_ucr: int
    frozen_ucr: int
    available_ucr: int
    open_holds: int
    grants: tuple[GrantView, ...]
    account_version: int
    log_position: int
    at: datetime


class PostedEffective(Struct, frozen=True, kw_only=True):
    """What was posted by effective time: the sum of all events up to ``log_position`` that are meant until ``at``.

    Events and nothing else: a grant that is due counts until its end is booked.
    """

    account_id: UUID
    posted_ucr: int
    at: datetime
    log_position: int


class LedgerWriter(Protocol):
    """The only way to append."""

    def submit(self, request: Request, *, timeout_s: float = SUBMIT_TIMEOUT_S) -> Answer:
        """Do one request.

        :raises InvalidRequest: malformed; nothing was written.
        :raises NotDone: not taken before the deadline, or the queue is full; nothing was written.
        :raises OutcomeUnknown: taken, end unknown: ask again with the same key.
        """
        ...

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = SUBMIT_TIMEOUT_S) -> list[Answer]:
        """Do several requests, each on its own, in order; answers in the same order. Raises as ``submit``."""
        ...


class LedgerReader(Protocol):
    """Questions to the ledger, each answered from one snapshot."""

    def balance(self, account_id: UUID) -> Balance | None:
        """The account with its live grants, or None when it does not exist."""
        ...

    def open_holds(self, account_id: UUID, *, limit: int) -> list[HoldView]:
        """Open holds of an account, newest first; a resolved one is found by its id."""
        ...

    def hold(self, hold_id: UUID) -> HoldView | None:
        """One hold, open or resolved."""
        ...

    def stream(self, stream_id: UUID, *, after_version: int = 0, limit: int = 1_000) -> list[RecordedEvent]:
        """Events of one stream in order."""
        ...

    def log(self, *, after: int, limit: int) -> list[RecordedEvent]:
        """Events of the log in order, gapless."""
        ...

    def head(self) -> int:
        """Position of the last event; 0 when there is none."""
        ...


class PastReader(Protocol):
    """Questions about the past, at a cost that does not depend on how much has happened since or before.

    A point is a ``position`` of the log, or the time ``recorded_at``: exactly one of them. An answer as of a position
    never changes; one as of a recorded time neither, once something has been recorded later.

    :raises InvalidRequest: the point lies ahead of the log or the clock.
    :raises UpgradeNeeded: a newer release has written to the account what this one cannot read.
    """

    def balance_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> Balance | None:
        """The account as it was, or None when it did not exist; as of a position, ``at`` is when that was recorded."""
        ...

    def open_holds_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None, limit: int
    ) -> list[HoldView]:
        """Holds that were open, newest first; reads the account's events since the oldest of those shown."""
        ...

    def hold_at(
        self, hold_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> HoldView | None:
        """One hold as it was, or None when there was none; reads the account's events while it was open."""
        ...

    def posted_effective(self, account_id: UUID, at: datetime) -> PostedEffective | None:
        """What is posted as of an effective time, by all that is recorded now; None when there is no such account."""
        ...


class Ledger(LedgerWriter, LedgerReader, PastReader, Protocol):
    """All of it."""
