"""Writes the whole log with its verdicts to a stream, from one snapshot. Sans I/O but for the sink it is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ledger.follower import READ
from ledger.proof.reading import Reading
from ledger.proof.records import EventLine, Footer, Header, Line, VerdictLine, Writer
from ledger.sansio import Commit, Core, Row, Run, Statement
from ledger.writer.chain import GENESIS

PAGE = 2_000

SNAPSHOT = Statement("dump-snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
SIZE = Statement("dump-size", "SELECT position FROM log_head")
OPEN = Statement(
    "dump-open-verdicts",
    """
    DECLARE dump_verdicts NO SCROLL CURSOR FOR
    SELECT position, uuid_send(key_hash) AS key_hash, digests, verdict FROM verdicts ORDER BY position, key_hash
    """,
)
FETCH = Statement("dump-fetch-verdicts", f"FETCH FORWARD {PAGE} FROM dump_verdicts")


class _Verdicts:
    """Verdicts in the order of the log, a page at a time."""

    def __init__(self) -> None:
        self.count = 0
        self._rows: deque[VerdictLine] = deque()
        self._exhausted = False

    def up_to(self, position: int) -> Reading[None]:
        """Read what stands up to a position."""
        while not self._exhausted and not (self._rows and self._rows[-1].position > position):
            rows: list[Row] = yield Run(FETCH, {})
            self._exhausted = len(rows) < PAGE
            self._rows += [VerdictLine(*row.values()) for row in rows]

    def take(self, position: int) -> list[Line]:
        """What stands at a position or before it."""
        found: list[Line] = []
        while self._rows and self._rows[0].position <= position:
            found.append(self._rows.popleft())
        self.count += len(found)
        return found


def dump(write: Callable[[bytes], object], moved: Callable[[int, int], None]) -> Core[Footer]:
    """Write everything; ``moved`` is told how many events are written, and of how many."""
    writer, verdicts = Writer(write), _Verdicts()
    yield Run(SNAPSHOT, {})
    heads: list[Row] = yield Run(SIZE, {})
    size, position, head_hash = heads[0]["position"], 0, GENESIS
    yield Run(OPEN, {})
    writer.lines([Header(size=size)])
    while events := (yield Run(READ, {"after": position, "limit": PAGE})):
        yield from verdicts.up_to(events[-1].position)
        lines: list[Line | Header] = []
        for event in events:
            position, head_hash = event.position, event.hash
            lines.append(EventLine(*event))
            lines += verdicts.take(position)
        writer.lines(lines)
        moved(position, size)
    yield Commit()
    return writer.end(events=position, verdicts=verdicts.count, head_hash=head_hash)
