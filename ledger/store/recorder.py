"""Our log behind the interfaces of the ``eventsourcing`` library.

A recorder class of our own (``APPLICATION_RECORDER_TOPIC``): it numbers events from the head under the append lock,
so that notification ids are gapless and in commit order, and chains their hashes. Tracking rows are followers' rows.
For tools and tests that speak the library's interfaces; the product appends through the writer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Subscription,
    Tracking,
    TrackingRecorder,
)
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from ledger.domain.codec import NewEvent, is_of_commands
from ledger.store import statements as sql
from ledger.store.append import Connection, insert_events
from ledger.store.arrays import Column, ColumnDumper, uuids
from ledger.writer.chain import GENESIS, Link
from ledger.writer.requests import Append, EventRow, Head, StreamHead

_LISTEN_S = 0.1

SELECT_EVENTS = """
SELECT originator_id, originator_version, topic, state FROM events
WHERE originator_id = %(id)s AND originator_version > %(gt)s AND originator_version <= %(lte)s
ORDER BY originator_version
"""

SELECT_NOTIFICATIONS = """
SELECT notification_id, originator_id, originator_version, topic, state FROM events
WHERE notification_id >= %(start)s AND notification_id <= %(stop)s AND (%(any)s OR topic = ANY(%(topics)s))
ORDER BY notification_id LIMIT %(limit)s
"""

TRACK = """
INSERT INTO followers (name, position) VALUES (%s, %s)
ON CONFLICT (name) DO UPDATE SET position = EXCLUDED.position WHERE followers.position < EXCLUDED.position
"""

_FIRST, _LAST = -(2**62), 2**62


class LogRecorder(ApplicationRecorder):
    """``ApplicationRecorder`` on table ``events``; subscriptions listen on a connection of their own."""

    def __init__(self, pool: ConnectionPool[Any], conninfo: str) -> None:
        self.pool = pool
        self.conninfo = conninfo

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Append events; their positions.

        :raises IntegrityError: a stream already has one of the versions; nothing was appended.
        :raises ProgrammingError: a stream is an account's or a budget's; nothing was appended.
        """
        try:
            with self.pool.connection() as connection:
                positions = append_stored(connection, stored_events)
                self._insert_more(connection, **kwargs)
        except psycopg.IntegrityError as error:
            raise IntegrityError(error) from error
        return positions

    def _insert_more(self, connection: Connection, **kwargs: Any) -> None:  # noqa: ARG002  for those that have more
        assert not kwargs, f"not understood: {sorted(kwargs)}"

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of one stream, by version."""
        query = SELECT_EVENTS + ("DESC " if desc else "") + "LIMIT %(limit)s"
        params = {
            "id": originator_id,
            "gt": _FIRST if gt is None else gt,
            "lte": _LAST if lte is None else lte,
            "limit": limit,
        }
        return [StoredEvent(*row) for row in self._rows(query, params)]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events of the log, by position."""
        first = _FIRST if start is None else start + (not inclusive_of_start)
        params = {
            "start": first,
            "stop": _LAST if stop is None else stop,
            "any": not topics,
            "topics": list(topics),
            "limit": limit,
        }
        return [
            Notification(id=row[0], originator_id=row[1], originator_version=row[2], topic=row[3], state=row[4])
            for row in self._rows(SELECT_NOTIFICATIONS, params)
        ]

    def max_notification_id(self) -> int | None:
        """Position of the last event."""
        return self._rows("SELECT max(notification_id) FROM events", {})[0][0]

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Subscription[ApplicationRecorder]:
        """Events behind a position, then new ones as they are committed."""
        return LogSubscription(self, gt, topics)

    def _rows(self, query: str, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self.pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), params).fetchall()


class LogTracker(TrackingRecorder):
    """``TrackingRecorder`` on table ``followers``."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self.pool = pool

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move a position forward.

        :raises IntegrityError: it is there already, or further.
        """
        with self.pool.connection() as connection:
            track(connection, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """The position of a name; None when it has none."""
        with self.pool.connection() as connection, connection.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute("SELECT position FROM followers WHERE name = %s", [application_name]).fetchone()
        return row[0] if row else None


class LogProcessRecorder(LogTracker, LogRecorder, ProcessRecorder):
    """Events and tracking in one transaction."""

    def __init__(self, pool: ConnectionPool[Any], conninfo: str) -> None:
        LogRecorder.__init__(self, pool, conninfo)

    def _insert_more(self, connection: Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            track(connection, tracking)


class LogSubscription(ListenNotifySubscription[LogRecorder]):
    """Tails the log: woken by the writer's notification, reading by position, so that nothing is skipped."""

    def __init__(self, recorder: LogRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._listen_thread = Thread(target=self._listen, name="log-subscription", daemon=True)
        self._listen_thread.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listen_thread.join()

    def _listen(self) -> None:
        try:
            with psycopg.connect(self._recorder.conninfo, autocommit=True) as connection:
                connection.execute("LISTEN tallystick_log")
                self._has_been_notified.set()  # what came between the first read and LISTEN notified nobody
                while not self._has_been_stopped:
                    for _ in connection.notifies(timeout=_LISTEN_S, stop_after=1):
                        self._has_been_notified.set()
        except psycopg.Error as error:
            self._thread_error = error
            self.stop()


def track(connection: Connection, tracking: Tracking) -> None:
    """Move a follower's position forward, in the caller's transaction."""
    cursor = connection.execute(TRACK, [tracking.application_name, tracking.notification_id])
    if cursor.rowcount == 0:
        message = f"{tracking.application_name} has passed {tracking.notification_id}"
        raise IntegrityError(message)


def append_stored(connection: Connection, stored_events: Sequence[StoredEvent]) -> list[int]:
    """Append the library's events in the caller's transaction, under the append lock; their positions."""
    if not stored_events:
        return []
    connection.adapters.register_dumper(Column, ColumnDumper)
    cursor = connection.cursor(row_factory=tuple_row)
    cursor.execute(sql.LOCK)
    *last, clock, _waited_s = cursor.execute(sql.HEAD).fetchall()[0]
    head = Head(*last)
    now = head.next_time(clock).astimezone(UTC)
    streams = {UUID(str(event.originator_id)): StreamHead(0, GENESIS) for event in stored_events}
    for stream_id, version, stream_hash, tag in cursor.execute(sql.STREAMS, [uuids(list(streams))], binary=True):
        if is_of_commands(tag):
            raise ProgrammingError(f"events of {stream_id} come from the ledger's commands alone")
        streams[stream_id] = StreamHead(version, stream_hash)
    link = Link(now, now)
    append = Append(head._replace(recorded_at=now), head.position)
    for event in stored_events:
        _chain(append, event, streams, link)
    insert_events(connection, append)
    return [row.position for row in append.events]


def _chain(append: Append, event: StoredEvent, streams: dict[UUID, StreamHead], link: Link) -> None:
    stream_id, version = UUID(str(event.originator_id)), event.originator_version
    position = append.head.position + 1
    digest = link.hash(
        NewEvent(event.topic, event.state),
        position=position,
        stream_id=stream_id,
        version=version,
        key_hash=None,
        stream_hash=streams[stream_id].hash,
        log_hash=append.head.hash,
    )
    append.events.append(EventRow(stream_id, version, event.topic, event.state, position, None, digest))
    append.head = Head(position, digest, append.head.recorded_at)
    streams[stream_id] = StreamHead(version, digest)
