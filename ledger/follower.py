"""The follower loop: one log, many followers, each with its own position.

A batch is one transaction: claim the follower's row (``SKIP LOCKED``: any process may run any follower), read the
events behind its position, let it write rows, move the position. An event that it cannot fold parks it with the
reason, be it the event's fault or the follower's; no event is ever skipped.

A claim ends with its process, or after ``FOLLOWER_IDLE_MAX_S`` in which that process stood still or could not be
reached: another one then folds the batch. Not bounded is a process that stands still while it is being sent what it
read, on a socket of this machine.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol

from ledger.domain.codec import RecordedEvent
from ledger.limits import FOLLOWER_BATCH_MAX, FOLLOWER_IDLE_MAX_S
from ledger.sansio import Commit, Copy, Core, Row, Run, RunMany, Statement, Wake

Fold = Generator[Run | RunMany | Copy | Wake, Any, None]


class Follower(Protocol):
    """Turns events into rows. ``fold`` may read its own tables; it writes rows and nothing else."""

    @property
    def name(self) -> str:
        """Name of its row in table ``followers``."""
        ...

    def fold(self, events: Sequence[RecordedEvent], /) -> Fold:
        """Yield the statements for these events, in order. Unknown tags of other packages are passed over."""
        ...


class FoldError(Exception):
    """An event that a follower cannot fold. It parks with this reason until somebody looks."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"event {position}: {reason}")
        self.position = position
        self.reason = reason


REGISTER = Statement(
    "follower-register",
    "INSERT INTO followers (name) VALUES (%(name)s) ON CONFLICT (name) DO NOTHING",
)
CLAIM = Statement(
    "follower-claim",
    """
    SELECT
        position,
        set_config('enable_seqscan', 'off', TRUE) AS plans,
        set_config('idle_in_transaction_session_timeout', %(idle_max)s, TRUE) AS idle
    FROM followers
    WHERE name = %(name)s AND parked_reason IS NULL FOR UPDATE SKIP LOCKED
    """,
)
"""Followers look rows up by key: a plan made while a table was empty would read all of it for every batch.

Whoever stands still with the row would stop this follower for everybody, since they pass over it: the server ends that.
"""
READ = Statement(
    "follower-read",
    """
    SELECT notification_id AS position, originator_id AS stream_id, originator_version AS version, topic AS tag,
           state, recorded_at, effective_at, uuid_send(key_hash) AS key_hash, hash
    FROM events WHERE notification_id > %(after)s ORDER BY notification_id LIMIT %(limit)s
    """,
    RecordedEvent,
)
MOVE = Statement(
    "follower-move",
    "UPDATE followers SET position = %(position)s, moved_at = clock_timestamp() WHERE name = %(name)s",
)
POSITION = Statement("follower-position", "SELECT position FROM followers WHERE name = %(name)s")
PARK = Statement(
    "follower-park",
    """
    UPDATE followers SET parked_reason = %(reason)s
    WHERE name = %(name)s AND parked_reason IS NULL AND position < %(position)s
    """,
)
"""Unless another process has got past the event meanwhile."""


def register(follower: Follower) -> Core[None]:
    """Make the follower's row, once per start."""
    yield Run(REGISTER, {"name": follower.name})
    yield Commit()


def follow_once(follower: Follower, limit: int = FOLLOWER_BATCH_MAX) -> Core[int]:
    """Fold one batch; how many events (0: nothing new, or somebody else has it)."""
    claimed: list[Row] = yield Run(CLAIM, {"name": follower.name, "idle_max": f"{FOLLOWER_IDLE_MAX_S}s"})
    if not claimed:
        yield Commit()
        return 0
    events: list[RecordedEvent] = yield Run(READ, {"after": claimed[0]["position"], "limit": limit})
    if events:
        yield from follower.fold(events)
        yield Run(MOVE, {"name": follower.name, "position": events[-1].position})
    yield Commit()
    return len(events)


def next_position(follower: Follower) -> Core[int]:
    """The position of the event that a registered follower folds next."""
    rows: list[Row] = yield Run(POSITION, {"name": follower.name})
    yield Commit()
    return rows[0]["position"] + 1


def park(follower: Follower, position: int, reason: str) -> Core[None]:
    """Stop a follower before the event at a position; run in a transaction of its own after the rollback."""
    yield Run(PARK, {"name": follower.name, "reason": reason, "position": position})
    yield Commit()
