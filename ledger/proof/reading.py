"""Reads complete subtrees: stored ones as rows, small ones made of the events that they cover. Sans I/O.

Call within one transaction in which nobody else's commit can be seen half: REPEATABLE READ, or a single statement.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, TypeAlias, TypeVar

from ledger.proof.errors import NotCovered
from ledger.proof.merkle import Frontier, Nodes, Place, leaf_hash, needed, root
from ledger.proof.statements import LEAVES, NODES, STATE
from ledger.proof.verdicts import NO_VERDICTS
from ledger.sansio import Row, Run

T = TypeVar("T")
Reading: TypeAlias = Generator[Run, Any, T]
"""A core that only reads."""

BLOCK_LEVEL = 5
"""Smaller subtrees are not stored: 32 hashes are read instead, and a row is kept for every 16 events."""


def read_state() -> Reading[tuple[int, bytes]]:
    """How many events the stored subtrees cover, and the hash over the verdicts there."""
    rows: list[Row] = yield Run(STATE, {})
    return (rows[0]["size"], rows[0]["verdicts_hash"]) if rows else (0, NO_VERDICTS)


def read_nodes(places: Iterable[Place]) -> Reading[dict[Place, bytes]]:
    """Hashes of complete subtrees, in two statements at most.

    :raises NotCovered: one is not there.
    """
    wanted = set(places)
    stored = [place for place in wanted if place.level >= BLOCK_LEVEL]
    found: dict[Place, bytes] = {}
    if stored:
        params = {"levels": [place.level for place in stored], "nths": [place.nth for place in stored]}
        rows: list[Row] = yield Run(NODES, params)
        found = {Place(row["level"], row["nth"]): row["hash"] for row in rows}
    found |= yield from _from_events(wanted.difference(stored))
    for place in wanted:
        if place not in found:
            raise NotCovered(place.leaves[-1] + 1, place.leaves[0])
    return found


def _from_events(places: set[Place]) -> Reading[dict[Place, bytes]]:
    positions = sorted({leaf + 1 for place in places for leaf in place.leaves})
    if not positions:
        return {}
    rows: list[Row] = yield Run(LEAVES, {"positions": positions})
    leaves = {row["position"] - 1: row["hash"] for row in rows}
    return {place: _subtree(place, leaves) for place in places if all(leaf in leaves for leaf in place.leaves)}


def _subtree(place: Place, leaves: dict[int, bytes]) -> bytes:
    if place.level == 0:
        return leaf_hash(leaves[place.nth])
    frontier = Frontier()
    for leaf in place.leaves:
        frontier.add(leaves[leaf])
    return frontier.root()


def read_root(size: int) -> Reading[bytes]:
    """Root of the tree of a size.

    :raises NotCovered: the tree does not go so far.
    """
    nodes: Nodes = yield from read_nodes(needed([(0, size)]))
    return root(nodes, size)
