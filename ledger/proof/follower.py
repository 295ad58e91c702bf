"""Keeps the tree: complete subtrees as rows, and the hash over the verdicts. What an event costs does not grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from ledger.domain.codec import RecordedEvent
from ledger.follower import Fold, FoldError
from ledger.proof.errors import NotCovered
from ledger.proof.merkle import Frontier, Place, subtrees
from ledger.proof.reading import BLOCK_LEVEL, Reading, read_nodes, read_state
from ledger.proof.statements import INSERT_NODES, VERDICTS, WRITE_STATE
from ledger.proof.verdicts import chained
from ledger.sansio import Row, Run
from ledger.writer.seal import SealedRow

NAME: Final = "proof"


class ProofFollower:
    """Writes ``merkle_nodes`` and ``proof_state``."""

    name = NAME
    tables = ("merkle_nodes", "proof_state")

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """Add a batch of events to the tree. A missing event or subtree parks the follower."""
        size, verdicts_hash = yield from read_state()
        if events[0].position != size + 1:
            raise FoldError(events[0].position, f"the tree goes on at {size + 1}")
        try:
            frontier = Frontier(size, (yield from read_nodes(subtrees(0, size))))
        except NotCovered as error:
            raise FoldError(events[0].position, f"a subtree is missing: {error}") from error
        answered = yield from _verdicts(events)
        nodes: list[_Node] = []
        for event in events:
            if event.position in answered:
                verdicts_hash = chained(verdicts_hash, event.position, answered[event.position])
            nodes += _stored(frontier.add(event.hash), verdicts_hash)
        if nodes:
            columns = zip(*nodes, strict=True)
            yield Run(
                INSERT_NODES, dict(zip(("levels", "nths", "hashes", "verdicts"), map(list, columns), strict=True))
            )
        yield Run(WRITE_STATE, {"size": frontier.size, "verdicts_hash": verdicts_hash})


_Node = tuple[int, int, bytes, bytes | None]


def _stored(completed: Sequence[tuple[Place, bytes]], verdicts_hash: bytes) -> list[_Node]:
    return [
        (place.level, place.nth, found, verdicts_hash if place.level == BLOCK_LEVEL else None)
        for place, found in completed
        if place.level >= BLOCK_LEVEL
    ]


def _verdicts(events: Sequence[RecordedEvent]) -> Reading[dict[int, SealedRow]]:
    """Verdicts by the position of the event that ends their request."""
    keys = {event.position: event.key_hash for event in events if event.key_hash is not None}
    if not keys:
        return {}
    rows: list[Row] = yield Run(VERDICTS, {"keys": [UUID(bytes=key) for key in set(keys.values())]})
    return {
        row["position"]: (row["key_hash"], row["digests"], row["verdict"])
        for row in rows
        if keys.get(row["position"]) == row["key_hash"]
    }
