"""What posted credits were by effective time: events count from when they are meant for, whenever they were recorded.

Nearly all events are effective when they are recorded, so the sum by effective time is the one by recorded time, and
what backdated events move from the later of their two times to the earlier. Only that is summed apart: by instant and
by calendar span, so that the sum before any time is made of few rows. Pure but for the follower, which writes rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, assert_never
from uuid import UUID

import msgspec

from ledger.domain import events
from ledger.domain.codec import RecordedEvent, account_event, is_account_event
from ledger.domain.events import OVERDRAFT, Slice
from ledger.follower import Fold, FoldError
from ledger.sansio import Run, Statement

NAME: Final = "ledger.effective"

Span = Literal["instant", "second", "minute", "hour", "day", "month", "year"]


class SpanKey(NamedTuple):
    """A span of UTC time of one account."""

    account_id: UUID
    span: Span
    starts_at: datetime


class Range(NamedTuple):
    """Spans of one kind that start from ``first`` on and before ``end``."""

    span: Span
    first: datetime
    end: datetime


UPSERT = Statement(
    "effective-upsert",
    """
    INSERT INTO effective_changes (account_id, span, starts_at, change_ucr)
    SELECT account_id, span, starts_at, change_ucr
    FROM json_populate_recordset(CAST(NULL AS effective_changes), CAST(%(rows)s AS json))
    ON CONFLICT (account_id, span, starts_at) DO UPDATE
    SET change_ucr = effective_changes.change_ucr + EXCLUDED.change_ucr
    """,
)


class EffectiveFollower:
    """Writes ``effective_changes``."""

    name = NAME
    tables = ("effective_changes",)

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """Add what the backdated events of a batch move. One that cannot be read parks the follower."""
        sums: dict[SpanKey, int] = {}
        for event in events:
            for at, change_ucr in moved(event):
                for key in _spans(event.stream_id, at):
                    sums[key] = sums.get(key, 0) + change_ucr
        if sums:
            rows = [{**key._asdict(), "change_ucr": change_ucr} for key, change_ucr in sums.items()]
            yield Run(UPSERT, {"rows": msgspec.json.encode(rows).decode()})


def moved(event: RecordedEvent) -> Iterator[tuple[datetime, int]]:
    """What a backdated event adds to posted by effective time, beyond what it does by recorded time, and from when.

    :raises FoldError: it cannot be read.
    """
    if event.effective_at == event.recorded_at or not is_account_event(event.tag):
        return
    try:
        change_ucr = posted_change(account_event(event.state))
    except msgspec.MsgspecError as error:
        raise FoldError(event.position, f"{event.tag} cannot be read: {error}") from error
    if change_ucr:
        yield event.effective_at, change_ucr
        yield event.recorded_at, -change_ucr


def posted_change(event: events.AccountEvent) -> int:
    """By how much an event changes what is posted. Exhaustive over the catalogue."""
    match event:
        case events.CreditsGranted() | events.CreditsTransferredIn() | events.CreditsReversed():
            return event.amount_ucr
        case events.HoldCommitted() | events.CreditsDebited():
            return -_of_grants(event.slices)
        case events.CreditsExpired() | events.CreditsRevoked() | events.DebtIncurred():
            return -event.amount_ucr
        case events.CreditsTransferredOut():
            return -event.amount_ucr
        case events.GrantExtended():
            return -event.expired_ucr
        case events.BalanceAdjusted():
            return -_of_grants(event.slices) if event.grant_id is None else event.amount_ucr
        case (
            events.AccountOpened()
            | events.AccountPolicySet()
            | events.AccountFrozen()
            | events.AccountUnfrozen()
            | events.AccountClosed()
            | events.CreditsHeld()
            | events.HoldRenewed()
            | events.HoldRaised()
            | events.HoldReleased()
            | events.HoldExpired()
            | events.GrantFrozen()
            | events.GrantUnfrozen()
            | events.DebtRepaid()
        ):
            return 0
    assert_never(event)


def ranges(at: datetime) -> list[Range]:
    """The spans that together make all time up to ``at``, itself included: at most one range of each kind."""
    at = at.astimezone(UTC)
    found = [Range("year", datetime.min.replace(tzinfo=UTC), _start("year", at))]
    for larger, span in pairwise(_LARGEST_FIRST[:-1]):
        found.append(Range(span, _start(larger, at), _start(span, at)))
    found.append(Range("instant", _start("second", at), min(at, _LAST) + _INSTANT))
    return found


def _of_grants(slices: Sequence[Slice]) -> int:
    """The rest is overdraft, which lowers posted as debt, by an event of its own."""
    return sum(part.amount_ucr for part in slices if part.grant_id != OVERDRAFT)


def _spans(account_id: UUID, at: datetime) -> Iterator[SpanKey]:
    at = at.astimezone(UTC)
    return (SpanKey(account_id, span, _start(span, at)) for span in _LARGEST_FIRST)


def _start(span: Span, at: datetime) -> datetime:
    return at.replace(**_ZEROED[span])


_LARGEST_FIRST: tuple[Span, ...] = ("year", "month", "day", "hour", "minute", "second", "instant")
_INSTANT = timedelta(microseconds=1)
_LAST = datetime.max.replace(tzinfo=UTC) - _INSTANT
_PARTS: tuple[tuple[str, int], ...] = (
    ("microsecond", 0),
    ("second", 0),
    ("minute", 0),
    ("hour", 0),
    ("day", 1),
    ("month", 1),
)
_ZEROED: Mapping[Span, dict[str, Any]] = {
    span: dict(_PARTS[:kept]) for kept, span in enumerate(reversed(_LARGEST_FIRST))
}
