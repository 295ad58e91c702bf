"""Verdicts in the order of the log, each against the events that it answers for or the seal that covers it."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import NamedTuple

import msgspec

from ledger.checks.finding import Finding
from ledger.checks.replay import Replay
from ledger.domain.account import Account
from ledger.domain.codec import RecordedEvent, tag_of
from ledger.domain.events import VerdictsSealed
from ledger.domain.verdicts import Done, Verdict, decode_verdict
from ledger.proof.reading import Reading
from ledger.proof.verdicts import NO_VERDICTS, chained
from ledger.sansio import Run, Statement
from ledger.writer.seal import seal

PAGE = 4_000
_SEALED = tag_of(VerdictsSealed)
_seal_decoder = msgspec.json.Decoder(VerdictsSealed)

MEMORY = Statement("verify-work-mem", "SET LOCAL work_mem = '64MB'")
OPEN = Statement(
    "verify-open-verdicts",
    """
    DECLARE verify_verdicts NO SCROLL CURSOR FOR
    SELECT position, uuid_send(key_hash) AS key_hash, digests, verdict FROM verdicts ORDER BY position, key_hash
    """,
)
CLOSE = Statement("verify-close-verdicts", "CLOSE verify_verdicts")


class _Row(NamedTuple):
    position: int
    key_hash: bytes
    digests: bytes
    verdict: bytes


FETCH = Statement("verify-fetch-verdicts", f"FETCH FORWARD {PAGE} FROM verify_verdicts", _Row)


class AnswerCheck:
    """Walks the verdicts beside the log. ``hash`` is the hash over them up to the event taken last.

    A verdict stands at the last event that its request appended, which carries its key; or, where it appended none or
    was a refusal, at the seal of its batch.
    """

    def __init__(self) -> None:
        self.hash = NO_VERDICTS
        self.count = 0
        self._rows: deque[_Row] = deque()
        self._exhausted = False
        self._unanswered: dict[bytes, int] = {}
        self._waiting: RecordedEvent | None = None
        self._batch: datetime | None = None
        self._key: bytes | None = None
        self._accounts: list[Account] = []

    def begin(self) -> Reading[None]:
        """Open the cursor: one sort, on disk where it must be."""
        yield Run(MEMORY, {})
        yield Run(OPEN, {})

    def read(self, last: int) -> Reading[None]:
        """Read the verdicts up to a position."""
        while not self._exhausted and not (self._rows and self._rows[-1].position > last):
            rows: list[_Row] = yield Run(FETCH, {})
            self._exhausted = len(rows) < PAGE
            self._rows += rows

    def feed(self, position: int, key_hash: bytes, digests: bytes, verdict: bytes) -> None:
        """Give it a verdict that is not read from the database."""
        self._rows.append(_Row(position, key_hash, digests, verdict))

    def wait(self, event: RecordedEvent) -> None:
        """Take an event once its verdicts are there."""
        self._waiting = event

    def take_waiting(self, replay: Replay) -> Finding | None:
        """Take the event that waits, if one does; ``replay`` has taken it and no other since."""
        event, self._waiting = self._waiting, None
        return self.take(event, replay) if event else None

    def take(self, event: RecordedEvent, replay: Replay) -> Finding | None:
        """Check the verdicts at an event that ``replay`` has taken."""
        if event.recorded_at != self._batch:
            if finding := self._missing():
                return finding
            self._batch = event.recorded_at
        key = event.key_hash
        if key is not None:
            self._unanswered[key] = event.position
            if key != self._key:
                self._key, self._accounts = key, []
            if replay.stream.account is not None:
                self._accounts.append(replay.stream.account)
        if not self._rows or self._rows[0].position > event.position:
            return self._seal(event, []) if event.tag == _SEALED else None
        return self._take_rows(event, replay)

    def _take_rows(self, event: RecordedEvent, replay: Replay) -> Finding | None:
        here: list[_Row] = []
        while self._rows and self._rows[0].position == event.position:
            here.append(self._rows.popleft())
        self.count += len(here)
        if event.tag == _SEALED:
            return self._seal(event, here)
        strays = [row for row in here if row.key_hash != event.key_hash]
        if strays or not here:
            return self._stray(strays[0] if strays else self._rows[0])
        del self._unanswered[here[0].key_hash]
        self.hash = chained(self.hash, event.position, here[0][1:])
        return self._answer(event, here[0], replay)

    def _stray(self, row: _Row) -> Finding:
        position = min(row.position, self._unanswered.get(row.key_hash, row.position))
        return Finding(max(position, 0), "a verdict stands there that ends no request, or its own stands elsewhere")

    def _seal(self, event: RecordedEvent, rows: list[_Row]) -> Finding | None:
        try:
            said = _seal_decoder.decode(event.state)
        except msgspec.MsgspecError as error:
            return Finding(event.position, f"a seal that cannot be read: {error}")
        if (len(rows), seal(row[1:] for row in rows).hex()) != (said.count, said.sha256):
            return Finding(event.position, "the verdicts that it seals are not what they were")
        for row in rows:
            self._unanswered.pop(row.key_hash, None)
        return None

    def _answer(self, event: RecordedEvent, row: _Row, replay: Replay) -> Finding | None:
        try:
            verdict: Verdict = decode_verdict(row.verdict)
        except msgspec.MsgspecError as error:
            return Finding(event.position, f"its verdict cannot be read: {error}")
        if not isinstance(verdict, Done):
            return Finding(event.position, "its verdict is a refusal without a seal")
        if (verdict.position, verdict.recorded_at) != (event.position, event.recorded_at):
            return Finding(event.position, "its verdict names another position or time")
        if not self._figures_fit(verdict, replay):
            return Finding(event.position, "its verdict says other sums than the account had")
        return None

    def _figures_fit(self, verdict: Done, replay: Replay) -> bool:
        said = (verdict.account_version, verdict.posted_ucr, verdict.held_ucr, verdict.frozen_ucr)
        for account in self._accounts:
            if _figures(account) == said:
                return True
        if self._accounts or verdict.account_version:
            # The first of linked commands moved nothing: then the account is not among those that the key names.
            return any(_figures(account) == said for account in replay.accounts.values())
        return said == (0, 0, 0, 0)

    def _missing(self) -> Finding | None:
        if not self._unanswered:
            return None
        return Finding(
            min(self._unanswered.values()), "its idempotency key has no verdict, or one that stands elsewhere"
        )

    def close(self) -> Reading[None]:
        """Close the cursor."""
        yield Run(CLOSE, {})

    def end(self) -> Finding | None:
        """What is left at the end of the log."""
        if self._rows:
            return self._stray(self._rows[0])
        return self._missing()


def _figures(account: Account) -> tuple[int, int, int, int]:
    return (account.version, account.posted_ucr, account.held_ucr, account.frozen_ucr)
