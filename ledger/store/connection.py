"""The append path on PostgreSQL: two round trips a batch, three after another writer.

The first pipeline begins, takes the append lock and reads back; the second inserts and commits. A batch that is decided
ahead is read on a connection of its own, without the lock, and appended in one round trip that takes the lock and looks
whether the log still ends where it was decided. Nothing is answered before the commit is acknowledged. What the
database says is mapped to the things the core tells apart: a batch refused for its content, one that was overtaken, and
a connection of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import psycopg
from psycopg import errors as pg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from ledger import errors
from ledger.domain.account import Hold, decode_parts
from ledger.domain.codec import RecordedEvent, is_of_commands
from ledger.lost import is_lost
from ledger.ports import Clock
from ledger.store import statements as sql
from ledger.store.append import Connection, append, append_ahead, pack
from ledger.store.arrays import Column, ColumnDumper, byteas, int8s, raw_uuids, uuids
from ledger.store.more import read_more, read_refusals
from ledger.writer.chain import GENESIS
from ledger.writer.requests import (
    CLOCK_ALONE,
    Append,
    Head,
    Known,
    ReadAccountStream,
    ReadAhead,
    ReadMore,
    ReadRefusals,
    ReadUnderLock,
    Reconnect,
    Rollback,
    StoredAccount,
    StoredVerdict,
    StreamHead,
    UnderLock,
    WriterRequest,
)

Rows = Iterable[tuple[Any, ...]]
_CARRIED_MAX_S = 1.0
_ON_ITS_WAY_MAX_S = 0.1
"""How long a clock may have been on its way, and so how far one that is carried on may be ahead."""
_DRIFT = 0.001
"""How much faster than ours the database's clock may run."""
NOWHERE = Head(0, GENESIS, datetime(1970, 1, 1, tzinfo=UTC))
"""A head that nobody has asked for."""
_PAUSES_S = (0.0, 0.05, 0.2, 0.5, 1.0)


class WriterStore:
    """Answers the writer's requests. ``sleep`` waits between reconnects.

    ``answer`` has a connection, and ``look`` another one: each is called by one thread at a time.
    """

    def __init__(self, conninfo: str, clock: Clock, sleep: Callable[[float], None]) -> None:
        self._conninfo = conninfo
        self._clock = clock
        self._sleep = sleep
        self._connection: Connection | None = None
        self._looking: Connection | None = None
        self._look_elsewhere = False
        self._last = LastClock(clock)

    def answer(self, request: WriterRequest) -> Any:
        """Answer one request of the core.

        :raises errors.BatchRefused: the database refuses the content.
        :raises errors.ConnectionLost: anything else; the core starts over.
        """
        match request:
            case Rollback():
                return self._rollback()
            case Reconnect():
                return self._reconnect(request.tries)
            case ReadUnderLock():
                return self._guarded(lambda connection: read_under_lock(connection, request, self._clock))
            case Append():
                how = append if request.decided_on is None else self._append_ahead
                return self._guarded(lambda connection: how(connection, request))
            case ReadAccountStream():
                return self._guarded(lambda connection: read_stream(connection, request))
            case ReadMore():
                return self._guarded(lambda connection: read_more(connection, request))
            case ReadRefusals():
                return self._guarded(lambda connection: read_refusals(connection, request))
            case ReadAhead():
                return self.look(request)

    def look(self, request: WriterRequest) -> Any:
        """Answer a question of a batch that is decided ahead: outside any transaction, while ``answer`` may append.

        :raises errors.ConnectionLost: nothing is known of the answer.
        """
        if self._look_elsewhere:
            self._look_elsewhere, self._last = False, LastClock(self._clock)
            self._close_looking()
        if request == CLOCK_ALONE and (told := self._last.carried_on()) is not None:
            return told
        try:
            if self._looking is None:
                self._looking = connect(self._conninfo)
                self._looking.autocommit = True
            match request:
                case ReadAhead():
                    asked_s = self._clock.monotonic_s()
                    read = read_ahead(self._looking, request, self._clock)
                    self._last.note(read.clock, asked_s)
                    return read
                case ReadMore():
                    return read_more(self._looking, request)
                case ReadRefusals():
                    return read_refusals(self._looking, request)
                case _:
                    raise AssertionError(f"not to be asked ahead: {request}")
        except psycopg.Error as error:
            self._close_looking()
            raise errors.ConnectionLost(str(error)) from error

    def pack(self, append: Append) -> None:
        """Make ready what ``answer`` will send of a batch that was decided ahead."""
        pack(append)

    def close(self) -> None:
        """Close the connections."""
        self._close_appending()
        self._close_looking()

    def _append_ahead(self, connection: Connection, request: Append) -> float:
        asked_s = self._clock.monotonic_s()
        waited_s, clock = append_ahead(connection, request)
        self._last.note(clock - timedelta(seconds=waited_s), asked_s)
        return waited_s

    def _close_appending(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _close_looking(self) -> None:
        if self._looking is not None:
            self._looking.close()
            self._looking = None

    def _guarded(self, work: Callable[[Connection], Any]) -> Any:
        try:
            if self._connection is None:
                self._connection = connect(self._conninfo)
            return work(self._connection)
        except pg.DivisionByZero as error:
            raise errors.Overtaken("the log does not end where the batch was decided") from error
        except pg.ProgramLimitExceeded as error:
            raise errors.BatchRefused(str(error)) from error
        except psycopg.Error as error:
            if not is_lost(error, self._connection):
                raise errors.BatchRefused(str(error)) from error
            self._close_appending()
            self._look_elsewhere = True  # what it reconnects to may be another server
            raise errors.ConnectionLost(str(error)) from error

    def _rollback(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rollback()
        except psycopg.Error:
            self._close_appending()

    def _reconnect(self, tries: int) -> None:
        self.close()
        self._last = LastClock(self._clock)  # what answers next may be another server
        self._sleep(_PAUSES_S[min(tries, len(_PAUSES_S) - 1)])


class LastClock:
    """The database's clock as it was last told, carried on by the time that has passed here since it was asked for.

    It was read after it was asked for, so that it never lags, unless the database's clock was set forward meanwhile:
    what is recorded by it is recorded after every reading that was answered before.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: tuple[datetime, float] | None = None

    def note(self, clock: datetime, asked_s: float) -> None:
        """The database told it, asked at a monotonic time of this process; left out if that is long ago."""
        if self._clock.monotonic_s() - asked_s <= _ON_ITS_WAY_MAX_S:
            self._told = clock, asked_s

    def carried_on(self) -> UnderLock | None:
        """An answer that tells the clock alone; None if the last one is too long ago."""
        if self._told is None:
            return None
        clock, asked_s = self._told
        since_s = self._clock.monotonic_s() - asked_s
        if since_s > _CARRIED_MAX_S:
            return None
        now = clock + timedelta(seconds=since_s * (1 + _DRIFT))
        return UnderLock(NOWHERE, now, self._clock.now(), {}, {}, {}, {}, 0.0)


def connect(conninfo: str) -> Connection:
    """A connection with the writer's time limits, never through a pooler."""
    connection: Connection = psycopg.connect(
        conninfo,
        row_factory=tuple_row,
        options=f"{conninfo_to_dict(conninfo).get('options', '')} {sql.SESSION}",
        connect_timeout=5,
        keepalives_idle=5,
        tcp_user_timeout=10_000,
    )
    connection.adapters.register_dumper(Column, ColumnDumper)
    connection.prepare_threshold = 0
    return connection


def read_under_lock(connection: Connection, request: ReadUnderLock, clock: Clock) -> UnderLock:
    """Begin, lock and read back in one pipeline; every statement sees what was committed before the lock was ours.

    What the writer is certain of is read in a second one, only when the head is not the one it left.
    """
    connection.autocommit = False
    with connection.pipeline():
        connection.execute(sql.LOCK)
        found = connection.execute(sql.HEAD, binary=True)
        verdicts = connection.execute(sql.VERDICTS, [raw_uuids(request.keys)], binary=True)
        accounts, holds = _ask_rows(connection, request, certain=False)
        streams = _ask_streams(connection, request.streams)
    head = _only(found.fetchone())
    if head[1] != request.head_hash:
        with connection.pipeline():
            more_accounts, more_holds = _ask_rows(connection, request, certain=True)
        accounts, holds = chain(accounts, more_accounts), chain(holds, more_holds)
    return _read(head, clock, request, (verdicts, accounts, holds, streams))


def read_ahead(connection: Connection, request: ReadAhead, clock: Clock) -> UnderLock:
    """Read in one pipeline, without the lock."""
    with connection.pipeline():
        found = connection.execute(sql.HEAD, binary=True)
        keys = [raw_uuids(request.keys)]
        verdicts: Rows = connection.execute(sql.VERDICTS, keys, binary=True) if request.keys else ()
        accounts = _ask_accounts(connection, list(request.accounts.items()))
        holds = _ask_holds(connection, request.holds)
        streams = _ask_streams(connection, request.streams)
    return _read(_only(found.fetchone()), clock, request, (verdicts, accounts, holds, streams))


def _read(
    head: tuple[Any, ...], clock: Clock, request: ReadUnderLock | ReadAhead, rows: tuple[Rows, Rows, Rows, Rows]
) -> UnderLock:
    """The answer from rows of the head, verdicts, accounts, holds and streams."""
    position, digest, recorded_at, now, waited_s = head
    verdicts, accounts, holds, streams = rows
    return UnderLock(
        head=Head(position, digest, recorded_at.astimezone(UTC)),
        clock=now.astimezone(UTC),
        own_clock=clock.now(),
        verdicts={row[0].bytes: StoredVerdict(row[1], row[2]) for row in verdicts},
        accounts={row[0]: StoredAccount(*row[1:]) for row in accounts},
        holds={row[0]: hold_of(row) for row in holds},
        streams=dict.fromkeys(request.streams, StreamHead(0, GENESIS))
        | {row[0]: StreamHead(row[1], row[2], is_of_commands(row[3])) for row in streams},
        waited_s=waited_s,
    )


def _ask_rows(connection: Connection, request: ReadUnderLock, *, certain: bool) -> tuple[Rows, Rows]:
    """Ask for accounts and holds of which the writer is certain, or for the others."""
    known = [(account_id, one) for account_id, one in request.accounts.items() if one.certain == certain]
    hold_ids = [hold_id for hold_id, sure in request.holds.items() if sure == certain]
    return _ask_accounts(connection, known), _ask_holds(connection, hold_ids)


def _ask_accounts(connection: Connection, known: Sequence[tuple[UUID, Known]]) -> Rows:
    if not known:
        return ()
    account_ids, ones = zip(*known, strict=True)
    columns = [uuids(account_ids), int8s([one.version for one in ones]), byteas([one.hash for one in ones])]
    return connection.execute(sql.ACCOUNTS, columns, binary=True)


def _ask_holds(connection: Connection, hold_ids: Sequence[UUID]) -> Rows:
    return connection.execute(sql.HOLDS, [uuids(hold_ids)], binary=True) if hold_ids else ()


def _ask_streams(connection: Connection, stream_ids: Sequence[UUID]) -> Rows:
    return connection.execute(sql.STREAMS, [uuids(stream_ids)], binary=True) if stream_ids else ()


def read_stream(connection: Connection, request: ReadAccountStream) -> list[RecordedEvent]:
    """A page of a stream."""
    page = [request.account_id, request.after_version, request.limit]
    rows = connection.execute(sql.ACCOUNT_STREAM, page, binary=True)
    return [recorded(row) for row in rows]


def recorded(row: tuple[Any, ...]) -> RecordedEvent:
    """A row of ``events`` in the order of ``RecordedEvent``."""
    key: UUID | None = row[7]
    return RecordedEvent(
        position=row[0],
        stream_id=row[1],
        version=row[2],
        tag=row[3],
        state=row[4],
        recorded_at=row[5],
        effective_at=row[6],
        key_hash=None if key is None else key.bytes,
        hash=row[8],
    )


def hold_of(row: tuple[Any, ...]) -> Hold:
    """A row of ``holds`` in the order of ``statements.HOLDS``."""
    parts = decode_parts(row[5])
    return Hold(
        hold_id=row[0],
        account_id=row[1],
        state=row[2],
        amount_ucr=row[3],
        committed_ucr=row[4],
        slices=parts.slices,
        lease_until=row[6],
        reference=row[7],
        opened_at=row[8],
        opened_position=row[9],
        resolved_at=row[10],
        spent=parts.spent,
        budgets=parts.budgets,
        cap_ucr=parts.cap_ucr,
    )


def _only(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
    assert row is not None, "the log has no head: not migrated"
    return row
