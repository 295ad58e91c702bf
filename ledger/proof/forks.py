"""Tails that were lost and owned up to: what exported heads say and the log does not, an event of the log admits."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import msgspec
from msgspec import Struct

from ledger.domain.codec import tag_of
from ledger.domain.events import LogForked
from ledger.proof.heads import Head
from ledger.proof.reading import Reading
from ledger.sansio import Row, Run, Statement
from ledger.writer.chain import microseconds

FORKS_STREAM = UUID(int=0x666F726B73)
"""The stream of ``LogForked``. Another event there, such as a budget that was given this id, says nothing of forks."""

FORKS = Statement(
    "proof-forks",
    """
    SELECT notification_id AS position, state, recorded_at FROM events
    WHERE originator_id = %(stream_id)s AND topic = %(tag)s ORDER BY originator_version
    """,
)
VERSION = Statement(
    "proof-forks-version",
    "SELECT coalesce(max(originator_version), 0) AS version FROM events WHERE originator_id = %(stream_id)s",
)


class Fork(Struct, frozen=True, kw_only=True):
    """A recorded fork: the event at ``position`` says that what lay behind ``kept``, up to ``size``, is lost."""

    position: int
    recorded_at_us: int
    kept: int
    size: int
    root: bytes

    def admits(self, head: Head) -> bool:
        """Whether a head of the lost tail is meant: behind what was kept, no longer than what was lost, and earlier."""
        return self.kept < head.size <= self.size and head.signed_at_us <= self.recorded_at_us


def read_forks() -> Reading[list[Fork]]:
    """All forks that the log admits."""
    rows: list[Row] = yield Run(FORKS, {"stream_id": FORKS_STREAM, "tag": tag_of(LogForked)})
    return [_fork(row) for row in rows]


def read_version() -> Reading[int]:
    """The version that the next event of the stream follows; others than forks count."""
    rows: list[Row] = yield Run(VERSION, {"stream_id": FORKS_STREAM})
    return rows[0]["version"]


def _fork(row: Row) -> Fork:
    event = _decoder.decode(row["state"])
    return Fork(
        position=row["position"],
        recorded_at_us=microseconds(row["recorded_at"]),
        kept=event.kept,
        size=event.size,
        root=bytes.fromhex(event.root),
    )


def admitted(forks: Iterable[Fork], head: Head) -> Fork | None:
    """The fork that a head fell victim to."""
    return next((fork for fork in forks if fork.admits(head)), None)


_decoder = msgspec.json.Decoder(LogForked)
