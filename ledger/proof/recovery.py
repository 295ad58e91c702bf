"""After a restored backup or a failover: whether the log still is what signed heads say, and where it no longer is.

Nothing is repaired. Accepting writes into the log that a tail is lost, so that later heads go on from there and the
loss stays told.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import encode_event
from ledger.domain.events import LogForked
from ledger.ports import Companion, Request
from ledger.proof.errors import LogDiffers
from ledger.proof.forks import FORKS_STREAM, Fork, admitted, read_forks, read_version
from ledger.proof.heads import Head
from ledger.proof.statements import LOG_SIZE, SNAPSHOT
from ledger.proof.taking import check_continues
from ledger.sansio import Core, Row, Run


class Loss(Struct, frozen=True, kw_only=True):
    """What signed heads say that the log does not: behind ``kept`` it is another than at ``size``, or shorter."""

    kept: int
    size: int
    root: bytes
    log_size: int


class Comparison(Struct, frozen=True, kw_only=True):
    """The log beside the heads: what is lost and not admitted yet, if anything, and the losses that are admitted.

    ``forks_version`` is where the stream of forks ends: what the next one follows.
    """

    log_size: int
    heads: int
    loss: Loss | None
    forks: tuple[Fork, ...]
    forks_version: int


def compare(heads: Sequence[Head]) -> Core[Comparison]:
    """Compare the log with heads whose signatures are checked, from the last backwards to the first that fits.

    :raises NotCovered: the tree beside the log does not reach so far yet.
    """
    yield Run(SNAPSHOT, {})
    rows: list[Row] = yield Run(LOG_SIZE, {})
    log_size: int = rows[0]["position"]
    forks = yield from read_forks()
    version = yield from read_version()
    lost: list[Head] = []
    kept = 0
    for head in sorted(heads, key=lambda head: (head.size, head.signed_at_us), reverse=True):
        try:
            yield from check_continues(head)
        except LogDiffers:
            if not admitted(forks, head):
                lost.append(head)
        else:
            kept = head.size
            break
    last = lost[0] if lost else None
    loss = Loss(kept=kept, size=last.size, root=last.root, log_size=log_size) if last else None
    return Comparison(log_size=log_size, heads=len(heads), loss=loss, forks=tuple(forks), forks_version=version)


def admission(loss: Loss, forks_version: int, operator_id: UUID, reason: str) -> Request:
    """The request that writes a loss into the log, once, behind what the stream of forks has."""
    event = LogForked(kept=loss.kept, size=loss.size, root=loss.root.hex(), operator_id=operator_id, reason=reason)
    return Request(
        key=f"{loss.size}:{loss.root.hex()}",
        operation="recover",
        scope_id=FORKS_STREAM,
        body={"kept": loss.kept},
        on_accept=(Companion(FORKS_STREAM, forks_version, (encode_event(event),)),),
    )
