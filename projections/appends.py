"""Which receipt paid for which grant: both are in one append, whose events lie side by side in the log under one key.

The account's event comes first, the receipt's behind it. A follower's batch may end between the two.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID

import msgspec

from ledger.domain.codec import RecordedEvent, tag_of
from ledger.domain.events import CreditsGranted
from ledger.follower import FoldError
from ledger.limits import COMPANION_EVENTS_MAX, LINKED_MAX, SLICES_MAX
from ledger.sansio import Run, Statement
from payments.domain.events import ReceiptApplied, ReceiptFinal, receipt_event

REST = Statement(
    "rest-of-append",
    """
    SELECT notification_id AS position, originator_id AS stream_id, originator_version AS version, topic AS tag,
           state, recorded_at, effective_at, uuid_send(key_hash) AS key_hash, hash
    FROM events
    WHERE notification_id > %(after)s AND notification_id <= %(until)s
      AND uuid_send(key_hash) = %(key_hash)s
    ORDER BY notification_id
    """,
    RecordedEvent,
)
_REST_MAX = COMPANION_EVENTS_MAX + LINKED_MAX + SLICES_MAX
"""Most events of one append that stand behind a grant: what follows from it, other commands, then companions."""
_GRANTED = tag_of(CreditsGranted)
_PAYING = frozenset({tag_of(ReceiptFinal), tag_of(ReceiptApplied)})

Money: TypeAlias = ReceiptFinal | ReceiptApplied
"""Events that turn money into a grant's cost basis."""


class Funding(NamedTuple):
    """The receipt event, at its position in the log, that paid for a grant of the same append."""

    position: int
    money: Money


def fundings(events: Sequence[RecordedEvent]) -> Generator[Run, list[RecordedEvent], dict[UUID, Funding]]:
    """Receipts by the grants in a batch that they paid for, looked up where the batch ends inside an append.

    :raises FoldError: a receipt event that cannot be read.
    """
    rest = yield from _rest_of_grant(events)
    return paid_by((*events, *rest))


def paid_by(events: Sequence[RecordedEvent]) -> dict[UUID, Funding]:
    """Receipts in some events by the grants that they paid for. Raises as ``fundings``."""
    found: dict[UUID, Funding] = {}
    for recorded in events:
        if recorded.tag in _PAYING and (money := _money(recorded)).grant_id is not None:
            found[money.grant_id] = Funding(recorded.position, money)
    return found


def _money(recorded: RecordedEvent) -> Money:
    try:
        event = receipt_event(recorded.state)
    except msgspec.MsgspecError as error:
        raise FoldError(recorded.position, f"{recorded.tag} cannot be read: {error}") from error
    assert isinstance(event, ReceiptFinal | ReceiptApplied), f"{recorded.tag} is a {type(event).__name__}"
    return event


def _rest_of_grant(events: Sequence[RecordedEvent]) -> Generator[Run, list[RecordedEvent], list[RecordedEvent]]:
    last = events[-1]
    if last.key_hash is None or not _has_grant(events, last.key_hash):
        return []
    until = last.position + _REST_MAX
    return (yield Run(REST, {"after": last.position, "until": until, "key_hash": last.key_hash}))


def _has_grant(events: Sequence[RecordedEvent], key_hash: bytes) -> bool:
    for event in reversed(events):
        if event.key_hash != key_hash:
            return False
        if event.tag == _GRANTED:
            return True
    return False
