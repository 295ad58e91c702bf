"""Questions about the past, answered from a snapshot and the few events behind it, over any store.

A past balance costs one snapshot and fewer than ``SNAPSHOT_EVERY`` events, wherever it lies. Holds of the past are not
indexed: they are found by walking the account's stream back from the point asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from ledger.as_of_grants import Missing, base_of, moved_end, said, starting_end, unknown_grants
from ledger.as_of_holds import hold_from, hold_id_of, opened_in
from ledger.domain.account import Account, Grant, Hold, decode_account
from ledger.domain.codec import RecordedEvent
from ledger.domain.evolve import Rows, evolve_sums
from ledger.errors import InvalidRequest
from ledger.limits import SNAPSHOT_EVERY
from ledger.ports import Balance, HoldView, PostedEffective
from ledger.views import balance_view, hold_view
from ledger.writer.loading import empty

PAGE = SNAPSHOT_EVERY
"""Events read at once: more than lie behind any snapshot that this release wrote."""
_ANYTIME = 2**63 - 1


class Point(NamedTuple):
    """A point of the log, and the time at which it is looked upon."""

    position: int
    at: datetime


class Late(NamedTuple):
    """What backdated events move into the time up to an effective time, by the log up to ``position``."""

    position: int
    change_ucr: int


class Past(Protocol):
    """What a store tells of the past. All of it but ``head``, ``late`` and rows that are still open is for ever."""

    def head(self) -> Point:
        """Where the log ends, and the clock by which it is recorded."""
        ...

    def event(self, position: int) -> RecordedEvent | None:
        """The event at a position."""
        ...

    def position_at(self, at: datetime, until: int) -> int:
        """Position of the last event recorded ``at`` a time or before, among those ``until`` a position; or 0."""
        ...

    def snapshot(self, account_id: UUID, position: int) -> bytes | None:
        """The last state of ``STATE_FORMAT`` that was kept of an account at a position or before."""
        ...

    def page(self, account_id: UUID, after_version: int, until: int, limit: int) -> list[RecordedEvent]:
        """Events behind a version, until a position of the log, oldest first."""
        ...

    def page_back(self, account_id: UUID, version: int, limit: int) -> list[RecordedEvent]:
        """Events from a version on backwards, newest first."""
        ...

    def ended_grant(self, account_id: UUID, grant_id: UUID) -> Grant | None:
        """The row of a grant that has ended once, in a format of this release."""
        ...

    def end_moves(self, account_id: UUID, grant_id: UUID, after: int, until: int) -> Iterable[RecordedEvent]:
        """Extensions and reversals that may name a grant, by version, newest first."""
        ...

    def hold_row(self, hold_id: UUID) -> Hold | None:
        """A hold as it is now."""
        ...

    def late(self, account_id: UUID, at: datetime) -> Late | None:
        """See ``Late``; None when there is no such account."""
        ...


class AsOf:
    """``ledger.ports.PastReader`` over a store; ``look`` opens its past for one question."""

    def __init__(self, look: Callable[[], AbstractContextManager[Past]]) -> None:
        self._look = look

    def balance_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> Balance | None:
        """See ``PastReader``."""
        with self._look() as past:
            point = point_of(past, position, recorded_at)
            account = account_at(past, account_id, point.position)
        return None if account is None else balance_view(account, log_position=point.position, at=point.at)

    def open_holds_at(
        self, account_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None, limit: int
    ) -> list[HoldView]:
        """See ``PastReader``."""
        with self._look() as past:
            account = account_at(past, account_id, point_of(past, position, recorded_at).position)
            return [] if account is None else _open_holds(past, account, min(limit, account.open_holds))

    def hold_at(
        self, hold_id: UUID, *, position: int | None = None, recorded_at: datetime | None = None
    ) -> HoldView | None:
        """See ``PastReader``."""
        with self._look() as past:
            point = point_of(past, position, recorded_at)
            row = past.hold_row(hold_id)
            if row is None or row.opened_position > point.position:
                return None
            return hold_view(_hold(past, row, point.position))

    def posted_effective(self, account_id: UUID, at: datetime) -> PostedEffective | None:
        """See ``PastReader``. What is effective when it is recorded is in the state as of then; the rest is added."""
        with self._look() as past:
            late = past.late(account_id, at)
            if late is None:
                return None
            account = account_at(past, account_id, past.position_at(at, late.position))
        posted_ucr = late.change_ucr + (account.posted_ucr if account else 0)
        return PostedEffective(account_id=account_id, posted_ucr=posted_ucr, at=at, log_position=late.position)


def account_at(past: Past, account_id: UUID, position: int) -> Account | None:
    """State of an account as of a position of the log that is reached; None when it did not exist.

    Exact in its sums and in what is shown of grants. A grant that had ended before the snapshot, and is used again
    behind it, counts here as wholly spent before: how else it had ended is not told.
    """
    snapshot = past.snapshot(account_id, position)
    if snapshot is not None:
        with suppress(Missing):  # no row of a grant says when it began: the whole stream does
            return _replay(past, decode_account(snapshot), position)
    account = _replay(past, empty(account_id), position)
    return account if account.version else None


def point_of(past: Past, position: int | None, recorded_at: datetime | None) -> Point:
    """The point that is asked about.

    :raises InvalidRequest: it has not come yet.
    """
    assert (position is None) != (recorded_at is None), "as of a position or of a time"
    if recorded_at is not None:
        head = past.head()
        if recorded_at > head.at:
            raise InvalidRequest("recorded_at", "expected a time that has come")
        return Point(past.position_at(recorded_at, head.position), recorded_at)
    assert position is not None
    found = past.event(position) if position > 0 else None
    if found is None:
        raise InvalidRequest("position", f"expected a position of the log, which ends at {past.head().position}")
    return Point(position, found.recorded_at)


def _replay(past: Past, account: Account, until: int) -> Account:
    rows, whole = Rows(), account.version == 0
    while True:
        page = past.page(account.account_id, account.version, until, PAGE)
        happened = [said(recorded) for recorded in page]
        for grant_id in () if whole else unknown_grants(account, rows, happened):
            rows.ended[account.account_id, grant_id] = _base(past, account, grant_id)
        for recorded, event in zip(page, happened, strict=True):
            evolve_sums(account, rows, event)
            account.hash = recorded.hash
            assert account.version == recorded.version, f"stream {account.account_id} has a gap"
        if len(page) < PAGE:
            account.check()
            return account


def _base(past: Past, account: Account, grant_id: UUID) -> Grant:
    """A grant as it had ended before the account's version."""
    kept = past.ended_grant(account.account_id, grant_id)
    if kept is None:
        raise Missing(grant_id)
    for recorded in past.end_moves(account.account_id, grant_id, kept.order, account.version):
        if move := moved_end(said(recorded), grant_id):
            return base_of(kept, move.expires_at)
    (creation,) = past.page(account.account_id, kept.order - 1, _ANYTIME, 1)
    return base_of(kept, starting_end(said(creation), grant_id))


def _open_holds(past: Past, account: Account, wanted: int) -> list[HoldView]:
    found: list[HoldView] = []
    later: dict[UUID, list[RecordedEvent]] = {}
    version = account.version
    while len(found) < wanted:
        page = past.page_back(account.account_id, version, PAGE)
        assert page, "fewer holds are open than the account counts"
        opened = opened_in(account.account_id, page, later)
        found += [hold_view(hold) for hold in opened if hold.state == "open"]
        version = page[-1].version - 1
    return found[:wanted]


def _hold(past: Past, row: Hold, until: int) -> Hold:
    """A hold as of a position, from the events of its account from its opening to its end.

    An event carries the bytes of the ids that it names: most need not be decoded.
    """
    opening = past.event(row.opened_position)
    assert opening is not None, "a hold without its event"
    wanted, version = row.hold_id.bytes, opening.version - 1
    life: list[RecordedEvent] = []
    while True:
        page = past.page(row.account_id, version, until, PAGE)
        life += (one for one in page if wanted in one.state and hold_id_of(one) == row.hold_id)
        found = hold_from(row.account_id, life)
        if len(page) < PAGE or found.state == row.state != "open":
            return found
        version = page[-1].version
