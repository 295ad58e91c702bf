"""Takes an export into an empty database: checks every hash and verdict on the way, and makes all state by replay.

One transaction: what is broken leaves nothing behind. It is the one place beside the writer that inserts events, with
the positions, times and hashes that they had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from ledger.checks.answers import AnswerCheck
from ledger.checks.finding import Finding
from ledger.checks.replay import Replay
from ledger.checks.restoring import restore, write_snapshots
from ledger.proof.errors import BadFile, NotEmpty
from ledger.proof.reading import Reading
from ledger.proof.records import EventLine, Footer, Line, Reader, VerdictLine
from ledger.sansio import Commit, Core, Row, Run, Statement

PAGE = 2_000

LOCK = Statement("import-lock", "SELECT pg_advisory_xact_lock(7411)")
"""The writer's append lock."""
COUNT = Statement(
    "import-count",
    """
    SELECT (SELECT position FROM log_head) + (SELECT count(*) FROM (SELECT FROM events LIMIT 1) AS e)
           + (SELECT count(*) FROM (SELECT FROM verdicts LIMIT 1) AS v)
           + (SELECT count(*) FROM (SELECT FROM account_states LIMIT 1) AS a) AS things
    """,
)
INSERT_EVENTS = Statement(
    "import-events",
    """
    INSERT INTO events (notification_id, originator_id, originator_version, topic, state, recorded_at, effective_at,
                        key_hash, hash)
    SELECT * FROM unnest(
        CAST(%(position)s AS bigint[]), CAST(%(stream_id)s AS uuid[]), CAST(%(version)s AS bigint[]),
        CAST(%(tag_)s AS text[]), CAST(%(state)s AS bytea[]), CAST(%(recorded_at)s AS timestamptz[]),
        CAST(%(effective_at)s AS timestamptz[]), CAST(%(key_hash)s AS uuid[]), CAST(%(hash)s AS bytea[])
    )
    """,
)
INSERT_VERDICTS = Statement(
    "import-verdicts",
    """
    INSERT INTO verdicts (position, key_hash, digests, verdict)
    SELECT * FROM unnest(
        CAST(%(position)s AS bigint[]), CAST(%(key_hash)s AS uuid[]), CAST(%(digests)s AS bytea[]),
        CAST(%(verdict)s AS bytea[])
    )
    ON CONFLICT DO NOTHING
    RETURNING uuid_send(key_hash) AS key_hash
    """,
)
MOVE_HEAD = Statement(
    "import-move-head",
    "UPDATE log_head SET position = %(position)s, hash = %(hash)s, recorded_at = %(recorded_at)s",
)


def load(reader: Reader, moved: Callable[[int, int], None]) -> Core[Footer]:
    """Take a whole export in; ``moved`` is told how many events are taken, and of how many.

    :raises NotEmpty: the database holds something already.
    :raises BadFile: cut, broken, patched, or not a log that holds together; nothing was written.
    """
    yield Run(LOCK, {})
    things: list[Row] = yield Run(COUNT, {})
    if things[0]["things"]:
        raise NotEmpty("the database is not empty: an export goes into a new, migrated one")
    replay, answers, lines = Replay(), AnswerCheck(), iter(reader)
    last: EventLine | None = None
    while page := list(islice(lines, PAGE)):
        last = _check(page, replay, answers) or last
        yield from _write(page)
        yield from write_snapshots(replay)
        moved(replay.position, reader.header.size)
    footer = _whole(reader, replay, answers)
    if last is not None:
        yield Run(MOVE_HEAD, {"position": last.position, "hash": last.hash, "recorded_at": last.recorded_at})
    yield from restore(replay)
    yield Commit()
    return footer


def _check(page: list[Line], replay: Replay, answers: AnswerCheck) -> EventLine | None:
    """Take a page's events, each with the verdicts behind it; the last event.

    A page may end between an event and its verdict: an event is therefore answered when the next one comes.
    """
    last: EventLine | None = None
    for line in page:
        if isinstance(line, VerdictLine):
            answers.feed(line.position, line.key_hash, line.digests, line.verdict)
            continue
        _refuse(answers.take_waiting(replay), replay)
        event = line.event()
        _refuse(replay.take(event), replay)
        answers.wait(event)
        last = line
    _refuse(replay.check_touched(), replay)
    return last


def _refuse(finding: Finding | None, replay: Replay) -> None:
    if finding is not None:
        raise BadFile(f"event {finding.position}: {finding.what}", min(replay.position, finding.position - 1))


def _whole(reader: Reader, replay: Replay, answers: AnswerCheck) -> Footer:
    _refuse(answers.take_waiting(replay) or answers.end(), replay)
    footer = reader.end()
    said = (footer.events, footer.verdicts, footer.head_hash, reader.header.size)
    if said != (replay.position, answers.count, replay.log_hash, replay.position):
        raise BadFile("the file ends with other counts or another head than it holds", replay.position)
    return footer


def _write(page: list[Line]) -> Reading[None]:
    events = [line for line in page if isinstance(line, EventLine)]
    verdicts = [line for line in page if isinstance(line, VerdictLine)]
    if events:
        columns = _columns(events)
        columns["key_hash"] = [None if key is None else key.hex() for key in columns["key_hash"]]
        yield Run(INSERT_EVENTS, columns)
    if verdicts:
        columns = _columns(verdicts)
        columns["key_hash"] = [key.hex() for key in columns["key_hash"]]
        rows: list[Row] = yield Run(INSERT_VERDICTS, columns)
        _check_taken(verdicts, rows)


def _check_taken(verdicts: list[VerdictLine], rows: list[Row]) -> None:
    """Check that each line is among the rows that were new, and none of them twice."""
    taken = {row["key_hash"] for row in rows}
    for line in verdicts:
        if line.key_hash not in taken:
            raise BadFile(f"event {line.position}: a second verdict for a key that has one", line.position - 1)
        taken.remove(line.key_hash)


def _columns(lines: list[Any]) -> dict[str, list[Any]]:
    names: Iterator[str] = iter(lines[0].__struct_fields__)
    return {name: [getattr(line, name) for line in lines] for name in names}
