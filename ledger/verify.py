"""Replay the whole log and compare everything with it: hashes, verdicts, tree, signed heads, snapshots, stored state.

Sans I/O: a core that reads page by page from one snapshot. It keeps one object per account, hold and ended grant and
one hash per stream, not the events.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from ledger.checks.answers import AnswerCheck
from ledger.checks.finding import Finding
from ledger.checks.reading import read
from ledger.checks.replay import Replay
from ledger.checks.rows import check_rows
from ledger.checks.snapshots import SnapshotCheck
from ledger.checks.tree import TreeCheck
from ledger.domain.codec import RecordedEvent
from ledger.follower import READ
from ledger.proof.forks import read_forks
from ledger.proof.heads import Head
from ledger.proof.reading import Reading
from ledger.sansio import Core, Row, Run, Statement

PAGE = 2_000
_LAST = 2**63

SNAPSHOT = Statement("verify-snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
HEAD = Statement("verify-head", "SELECT position, hash FROM log_head")

__all__ = ["Finding", "Report", "verify"]


class Report(Struct, frozen=True, kw_only=True):
    """What was verified, and what is wrong; ``findings`` empty means clean.

    ``forks`` are lost tails that the log admits and for which signed heads bear witness: not wrong, and not forgotten.
    """

    events: int
    accounts: int
    holds: int
    verdicts: int
    heads: int
    head_hash: bytes
    findings: tuple[Finding, ...]
    forks: tuple[str, ...] = ()


class _Checks:
    """Everything that walks along with the log."""

    def __init__(self, heads: Iterable[Head]) -> None:
        self.replay = Replay()
        self.answers = AnswerCheck()
        self.tree = TreeCheck(heads)
        self.snapshots = SnapshotCheck()

    def begin(self) -> Reading[None]:
        yield Run(SNAPSHOT, {})
        for check in (self.answers, self.tree, self.snapshots):
            yield from check.begin()

    def page(self, events: Sequence[RecordedEvent]) -> Reading[Finding | None]:
        """Check a page; the first finding."""
        yield from self.answers.read(events[-1].position)
        yield from self.tree.read(events[0].position, events[-1].position)
        replay, answers, tree = self.replay, self.answers, self.tree
        for event in events:
            if finding := replay.take(event) or answers.take(event, replay):
                return finding
            tree.take(event, answers.hash)
        found = [self.replay.check_touched(), (yield from self.tree.check_page())]
        found.append((yield from self.snapshots.check(self.replay)))
        return min(filter(None, found), key=_nearest, default=None)

    def at_the_end(self, finding: Finding) -> Finding:
        """What the tree says of the last page in general: that its last request has no verdict is seen only now."""
        return min(filter(None, [finding, self.answers.end()]), key=_nearest)

    def end(self) -> Reading[list[Finding]]:
        """Check what can be seen only once the log has been read: its end, and the rows beside it."""
        found = yield from _check_head(self.replay)
        found += yield from self.tree.end(self.replay.position, (yield from read_forks()))
        found += [finding] if (finding := self.answers.end()) else []
        found += yield from self.snapshots.end()
        found = found or (yield from check_rows(self.replay))
        return sorted(found, key=_nearest)


def verify(heads: Sequence[Head] = ()) -> Core[Report]:
    """Read everything from one snapshot; ``heads`` were kept elsewhere, and somebody has checked their signatures."""
    checks = _Checks(heads)
    yield from checks.begin()
    finding = yield from _walk(checks)
    findings = [finding] if finding else (yield from checks.end())
    yield from checks.answers.close()
    return Report(
        events=checks.replay.position,
        accounts=len(checks.replay.accounts),
        holds=len(checks.replay.rows.holds),
        verdicts=checks.answers.count,
        heads=len(heads),
        head_hash=checks.replay.log_hash,
        findings=tuple(findings),
        forks=tuple(
            f"the head signed at size {head.size} is of a lost tail, as event {fork.position} admits"
            for head, fork in checks.tree.admitted
        ),
    )


def _nearest(finding: Finding) -> tuple[int, int]:
    """The first in the log first; of two that may be the same, the one that says more exactly where."""
    return finding.until or finding.position or _LAST, -finding.position


def _walk(checks: _Checks) -> Reading[Finding | None]:
    limit = PAGE
    while True:
        rows = yield from read(READ, {"after": checks.replay.position, "limit": limit})
        if rows is None and limit == 1:
            return Finding(checks.replay.position + 1, "its row cannot be read")
        if rows is None:
            limit = max(1, limit // 8)
        elif not rows:
            return None
        elif finding := (yield from checks.page(rows)):
            return checks.at_the_end(finding) if finding.until and len(rows) < limit else finding


def _check_head(replay: Replay) -> Reading[list[Finding]]:
    rows: list[Row] = yield Run(HEAD, {})
    position, digest = rows[0]["position"], rows[0]["hash"]
    if (position, digest) == (replay.position, replay.log_hash):
        return []
    return [Finding(replay.position + 1, f"the head says {position}, the log ends at {replay.position}")]
