"""The heart of a worker process: one thread that keeps its attempts' leases alive and reads who wants them ended."""

from __future__ import annotations

import logging
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID

from psycopg_pool import ConnectionPool

from ledger.errors import ConnectionLost
from ledger.ports import Clock
from workers.attempt import statements
from workers.driving import Rows
from workers.limits import HEARTBEAT_S, LEASE_S, RENEW_S

_log = logging.getLogger(__name__)


class Beat:
    """What the heart last saw of one attempt. ``changed`` is set whenever somebody should look."""

    def __init__(self, attempt_id: UUID, token: UUID) -> None:
        self.attempt_id = attempt_id
        self.token = token
        self.lost = False
        self.cancel_asked = False
        self.job_ended = False
        self.changed = Event()

    def see(self, row: dict[str, Any] | None) -> None:
        """Take over what the attempt's row says; no row, or another token: it is somebody else's."""
        before = (self.lost, self.cancel_asked, self.job_ended)
        self.lost = self.lost or row is None or row["token"] != self.token
        if row is not None:
            self.cancel_asked = self.cancel_asked or row["cancel_asked"]
            self.job_ended = self.job_ended or row["job_ended"]
        if (self.lost, self.cancel_asked, self.job_ended) != before:
            self.changed.set()


class Heart:
    """Beats until stopped. A database that is away is waited for: fencing is the token's work, not ours.

    Whatever else goes wrong is told, and the next beat is tried: without a heart every attempt here would be lost.
    """

    def __init__(self, pool: ConnectionPool[Any], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._beats: dict[UUID, Beat] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._renewed_s = 0.0
        self._thread = Thread(target=self._work, name="heart", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop; leases lapse from here on."""
        self._stopping.set()
        self._thread.join(timeout=5.0)

    def add(self, attempt_id: UUID, token: UUID) -> Beat:
        """Keep an attempt alive."""
        beat = Beat(attempt_id, token)
        with self._lock:
            self._beats[attempt_id] = beat
        return beat

    def remove(self, beat: Beat) -> None:
        """Let an attempt go."""
        with self._lock:
            if self._beats.get(beat.attempt_id) is beat:
                del self._beats[beat.attempt_id]

    @property
    def attempts(self) -> int:
        """How many attempts it keeps alive."""
        return len(self._beats)

    def _work(self) -> None:
        rows = Rows(self._pool)
        while not self._stopping.wait(HEARTBEAT_S):
            with self._lock:
                beats = list(self._beats.values())
            if beats:
                self._try_to_beat(rows, beats)

    def _try_to_beat(self, rows: Rows, beats: list[Beat]) -> None:
        try:
            self._beat(rows, beats)
        except ConnectionLost:
            _log.warning("the heart waits for the database")
        except Exception:  # noqa: BLE001  told loudly, and every lease here hangs on the next beat
            _log.exception("the heart missed a beat; trying again")
        finally:
            rows.give_back()

    def _beat(self, rows: Rows, beats: list[Beat]) -> None:
        attempt_ids = [beat.attempt_id for beat in beats]
        now_s = self._clock.monotonic_s()
        due = now_s - self._renewed_s >= RENEW_S - HEARTBEAT_S
        if due:
            tokens = [beat.token for beat in beats]
            rows.run(statements.RENEW, {"attempt_ids": attempt_ids, "tokens": tokens, "lease_s": LEASE_S})
        found = rows.run(statements.BEAT, {"attempt_ids": attempt_ids})
        rows.commit()
        if due:  # and what was rolled back is renewed by the next beat
            self._renewed_s = now_s
        by_id = {row["attempt_id"]: row for row in found}
        for beat in beats:
            beat.see(by_id.get(beat.attempt_id))
