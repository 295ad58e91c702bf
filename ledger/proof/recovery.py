"""What is left of a log after a restored backup or a failover: how far it is what signed heads say, and owning up.

Nothing is repaired. A tail that is lost stays lost; an event of the log says so, and from then on heads of the lost
tail are admitted by it instead of contradicting the log for ever. New heads go on from there and the
loss stays told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec import Struct

from ledger.domain.codec import encode_event
from ledger.domain.events import LogForked
from ledger.ports import Companion, Request
from ledger.proof.errors import NotCovered
from ledger.proof.forks import FORKS_STREAM, Fork, admitted, read_forks, read_version
from ledger.proof.heads import Head
from ledger.proof.merkle import needed, root
from ledger.proof.reading import Reading, read_nodes, read_state
from ledger.proof.statements import LOG_SIZE, SNAPSHOT
from ledger.sansio import Core, Row, Run

_PAGE = 256
"""Sizes whose roots are made out of one reading of subtrees: heads of years are compared in moments."""


class Loss(Struct, frozen=True, kw_only=True):
    """What signed heads say that the log does not: behind ``kept`` it is another than at ``size``, or shorter.

    ``heads`` are all that contradict the log and that no event of it admits, from the longest; ``size`` and ``root``
    are the first one's. ``kept`` is the longest head that fits, is shorter than any of them and older: another that
    fits was signed for what the log has become since, and does not say where it left the log that was lost.
    """

    kept: int
    size: int
    root: bytes
    log_size: int
    heads: tuple[Head, ...]


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
    """Compare the log with heads whose signatures are checked: with each of them, whatever the others say.

    :raises NotCovered: the tree beside the log does not reach so far yet.
    """
    yield Run(SNAPSHOT, {})
    rows: list[Row] = yield Run(LOG_SIZE, {})
    log_size: int = rows[0]["position"]
    forks = yield from read_forks()
    roots = yield from _roots({head.size for head in heads if head.size <= log_size})
    fitting = [head for head in heads if roots.get(head.size) == head.root]
    lost = [head for head in heads if roots.get(head.size) != head.root and not admitted(forks, head)]
    return Comparison(
        log_size=log_size,
        heads=len(heads),
        loss=_loss(lost, fitting, log_size) if lost else None,
        forks=tuple(forks),
        forks_version=(yield from read_version()),
    )


def _roots(sizes: set[int]) -> Reading[dict[int, bytes]]:
    """Roots of the tree beside the log at sizes that the log has."""
    covered, _ = yield from read_state()
    if (longest := max(sizes, default=0)) > covered:
        raise NotCovered(longest, covered)
    found: dict[int, bytes] = {}
    for page in _paged(sorted(sizes)):
        nodes = yield from read_nodes(needed([(0, size) for size in page]))
        found |= {size: root(nodes, size) for size in page}
    return found


def _paged(sizes: Sequence[int]) -> Iterator[Sequence[int]]:
    return (sizes[start : start + _PAGE] for start in range(0, len(sizes), _PAGE))


def _loss(lost: Sequence[Head], fitting: Sequence[Head], log_size: int) -> Loss:
    heads = tuple(sorted(lost, key=lambda head: (head.size, head.signed_at_us), reverse=True))
    oldest_us = min(head.signed_at_us for head in lost)
    shared = (head.size for head in fitting if head.size < heads[-1].size and head.signed_at_us <= oldest_us)
    kept = max(shared, default=0)
    return Loss(kept=kept, size=heads[0].size, root=heads[0].root, log_size=log_size, heads=heads)


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
