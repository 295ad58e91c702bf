"""Heads kept elsewhere, heads kept here and stored subtrees, against the tree that the log makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.checks.finding import Finding
from ledger.checks.reading import read
from ledger.domain.codec import RecordedEvent
from ledger.proof.forks import Fork, admitted
from ledger.proof.heads import Head
from ledger.proof.merkle import Frontier, Place
from ledger.proof.reading import BLOCK_LEVEL, Reading, read_state
from ledger.sansio import Row, Run, Statement
from ledger.writer.chain import microseconds

_BLOCK = 1 << BLOCK_LEVEL

NODES = Statement(
    "verify-nodes",
    """
    SELECT n.level, n.nth, n.hash, n.verdicts_hash
    FROM unnest(CAST(%(levels)s AS smallint[]), CAST(%(nths)s AS bigint[])) AS p (level, nth)
    INNER JOIN merkle_nodes AS n ON n.level = p.level AND n.nth = p.nth
    """,
)
COUNT = Statement("verify-count-nodes", "SELECT count(*) AS nodes FROM merkle_nodes")
SIGNED = Statement(
    "verify-signed-heads",
    """
    SELECT size, root, log_hash, verdicts_hash, signed_at FROM signed_heads
    WHERE size >= %(first)s AND size <= %(last)s ORDER BY size
    """,
)


class TreeCheck:
    """Grows the tree event by event. ``heads`` were exported, and their signatures are checked."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self.admitted: list[tuple[Head, Fork]] = []
        self._frontier = Frontier()
        self._heads: dict[int, list[Head]] = {}
        for head in heads:
            self._expect(head)
        self._strays: list[tuple[int, Head]] = []
        self._doubts: list[Finding] = []
        self._sound = 0
        self._nodes: dict[Place, tuple[bytes, bytes | None]] = {}
        self._counted = 0
        self._covered, self._state = 0, b""

    def begin(self) -> Reading[None]:
        """Read how far the stored tree goes."""
        self._covered, self._state = yield from read_state()

    def read(self, first: int, last: int) -> Reading[None]:
        """Read the heads that were kept in the database at these sizes."""
        rows = yield from read(SIGNED, {"first": first, "last": last})
        if rows is None:
            self._doubts.append(Finding(first, "a signed head kept in the database cannot be read", last))
        for row in rows or ():
            signed_at_us = microseconds(row.pop("signed_at"))
            self._expect(Head(**row, signed_at_us=signed_at_us))

    def _expect(self, head: Head) -> None:
        self._heads.setdefault(head.size, []).append(head)

    def take(self, event: RecordedEvent, verdicts_hash: bytes) -> None:
        """Add an event, and the hash over the verdicts up to it."""
        size = event.position
        for place, found in self._frontier.add(event.hash):
            if place.level >= BLOCK_LEVEL and size <= self._covered:
                self._nodes[place] = (found, verdicts_hash if place.level == BLOCK_LEVEL else None)
        if size == self._covered and verdicts_hash != self._state:
            self._doubts.append(Finding(size - (size - 1) % _BLOCK, "the verdicts up to here were others", size))
        if size in self._heads:
            self._compare(size, event.hash, verdicts_hash)

    def _compare(self, size: int, log_hash: bytes, verdicts_hash: bytes) -> None:
        here = (self._frontier.root(), log_hash)
        for head in self._heads.pop(size):
            if (head.root, head.log_hash) != here:
                self._strays.append((self._sound + 1, head))
            elif head.verdicts_hash != verdicts_hash:
                what = f"the verdicts up to {size} are not what a signed head says"
                self._doubts.append(Finding(self._sound + 1, what, size))
            else:
                self._sound = size

    def check_page(self) -> Reading[Finding | None]:
        """What is wrong since the last call: the first stored subtree, which says it closely, else a head."""
        finding = yield from self._check_nodes()
        return finding or (self._doubts[0] if self._doubts else None)

    def _check_nodes(self) -> Reading[Finding | None]:
        expected, self._nodes = self._nodes, {}
        self._counted += len(expected)
        if not expected:
            return None
        params = {"levels": [place.level for place in expected], "nths": [place.nth for place in expected]}
        rows: list[Row] = yield Run(NODES, params)
        stored = {Place(row["level"], row["nth"]): (row["hash"], row["verdicts_hash"]) for row in rows}
        wrong = [_wrong_node(place, wanted, stored.get(place)) for place, wanted in expected.items()]
        return min(filter(None, wrong), key=lambda finding: finding.position, default=None)

    def end(self, size: int, forks: Sequence[Fork]) -> Reading[list[Finding]]:
        """What is left at the end of the log: heads that say otherwise, and subtrees of nothing."""
        yield from self.read(size + 1, 2**63 - 1)
        beyond = [(size + 1, head) for heads in self._heads.values() for head in heads if head.size > size]
        found = [_stray(first, head, size) for first, head in [*self._strays, *beyond] if not self._admit(forks, head)]
        if self._covered > size:
            found.append(Finding(size + 1, f"missing: the stored tree covers {self._covered} events", self._covered))
        rows: list[Row] = yield Run(COUNT, {})
        if rows[0]["nodes"] != self._counted:
            found.append(Finding(0, f"{rows[0]['nodes']} stored subtrees where {self._counted} belong"))
        return found

    def _admit(self, forks: Sequence[Fork], head: Head) -> bool:
        fork = admitted(forks, head)
        if fork is not None:
            self.admitted.append((head, fork))
        return fork is not None


def _wrong_node(
    place: Place, wanted: tuple[bytes, bytes | None], stored: tuple[bytes, bytes | None] | None
) -> Finding | None:
    if stored == wanted:
        return None
    first, last = place.leaves[0] + 1, place.leaves[-1] + 1
    if stored is not None and stored[0] == wanted[0]:
        return Finding(first, f"the verdicts of events {first} to {last} were others", last)
    return Finding(first, f"the stored subtree over events {first} to {last} is not theirs", last)


def _stray(first: int, head: Head, size: int) -> Finding:
    if head.size > size:
        return Finding(size + 1, f"missing: a head was signed when the log had {head.size} events", head.size)
    return Finding(first, f"another log was signed at size {head.size}", head.size)
