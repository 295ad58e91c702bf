"""States of the past that are kept, against the state that the events say at those versions."""

from __future__ import annotations

from ledger.checks.finding import Finding
from ledger.checks.reading import read
from ledger.checks.replay import Replay, Snapshot
from ledger.domain.account import STATE_FORMAT
from ledger.proof.reading import Reading
from ledger.sansio import Row, Run, Statement

SNAPSHOTS = Statement(
    "verify-snapshots",
    """
    SELECT s.account_id, s.version, s.position, s.recorded_at, s.format, s.state
    FROM unnest(CAST(%(accounts)s AS uuid[]), CAST(%(versions)s AS bigint[])) AS k (account_id, version)
    INNER JOIN account_snapshots AS s ON s.account_id = k.account_id AND s.version = k.version
    """,
)
FIRST = Statement("verify-first-snapshot", "SELECT min(position) AS position FROM account_snapshots")
COUNT = Statement("verify-count-snapshots", "SELECT count(*) AS snapshots FROM account_snapshots")


class SnapshotCheck:
    """Compares snapshots as the replay comes by. Those before the first that is kept were never written."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._found = 0

    def begin(self) -> Reading[None]:
        """Read where snapshots begin."""
        rows: list[Row] = yield Run(FIRST, {})
        self._first = rows[0]["position"]

    def check(self, replay: Replay) -> Reading[Finding | None]:
        """Compare those since the last call."""
        expected, replay.snapshots = replay.snapshots, []
        if not expected or self._first is None:
            return None
        return (yield from self._compare(expected))

    def _compare(self, expected: list[Snapshot]) -> Reading[Finding | None]:
        params = {"accounts": [one.account_id for one in expected], "versions": [one.version for one in expected]}
        rows = yield from read(SNAPSHOTS, params)
        if rows is None and len(expected) == 1:
            return Finding(expected[0].position, f"account {expected[0].account_id}: its snapshot cannot be read")
        if rows is None:
            for one in expected:
                if finding := (yield from self._compare([one])):
                    return finding
            return None
        self._found += len(rows)
        stored = {(row["account_id"], row["version"]): row for row in rows}
        for one in expected:
            assert self._first is not None
            if one.position >= self._first and not _fits(one, stored.get((one.account_id, one.version))):
                return Finding(one.position, f"account {one.account_id}: its snapshot is not what its events say")
        return None

    def end(self) -> Reading[list[Finding]]:
        """Whether there are snapshots of nothing."""
        rows: list[Row] = yield Run(COUNT, {})
        count: int = rows[0]["snapshots"]
        if count == self._found:
            return []
        return [Finding(0, f"{count} snapshots where {self._found} belong")]


def _fits(one: Snapshot, row: Row | None) -> bool:
    if row is None or (one.position, one.recorded_at) != (row["position"], row["recorded_at"]):
        return False
    return row["format"] != STATE_FORMAT or row["state"] == one.state
