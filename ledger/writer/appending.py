"""What a batch will write, as it grows: events with their hashes, the head, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from ledger.domain.account import STATE_FORMAT, Account, Hold, encode_account
from ledger.domain.codec import encode_account_event, tag_of
from ledger.domain.events import AccountEvent
from ledger.domain.evolve import evolve
from ledger.domain.rules.known import Known
from ledger.limits import SNAPSHOT_EVERY
from ledger.ports import Companion
from ledger.writer.chain import GENESIS, Link
from ledger.writer.requests import AccountRow, Append, EventRow, Head, SnapshotRow, StreamHead


class Appending:
    """Numbers, chains and applies events. Mutates the accounts and rows that are ``known``.

    ``position`` is where the log ends by now; ``keyed`` how many events stand under a key. Within, ids are compared as
    numbers: ``UUID.__hash__`` and ``__eq__`` are functions in Python.
    """

    def __init__(self, head: Head, known: Known, streams: Mapping[UUID, StreamHead]) -> None:
        self.position = head.position
        self.keyed = 0
        self.streams: dict[UUID, StreamHead] = dict(streams)
        self.append = Append(head, head.position)
        self._hash = head.hash
        self._known = known
        self._link = Link(known.now, known.now)
        self._opened: set[int] = set()
        self._accounts: dict[int, Account] = {}
        self._holds: dict[int, Hold] = {}

    def apply(
        self, account: Account, event: AccountEvent, key_hash: bytes | None, effective_at: datetime | None = None
    ) -> None:
        """Append an event to an account's stream and let it take effect."""
        known = self._known
        before = (account.version, account.hash or GENESIS)
        said = (tag_of(type(event)), encode_account_event(event))
        row = self._add(account.account_id, before, said, key_hash, effective_at)
        hold = evolve(account, known.rows, event, known.now, row.position)
        account.hash = row.hash
        assert account.version == row.version
        if row.version == 1:
            self._opened.add(account.account_id.int)
        self._accounts[account.account_id.int] = account
        if hold is not None:
            self._holds[hold.hold_id.int] = hold
            if hold.budgets:
                known.budgets.apply(event, hold.budgets)
        if row.version % SNAPSHOT_EVERY == 0:
            self._snapshot(account, row.position)

    def add(self, stream_id: UUID, event: tuple[str, bytes], key_hash: bytes | None) -> EventRow:
        """Append an event to a stream that the ledger does not read."""
        before = self.streams.get(stream_id, StreamHead(0, GENESIS))[:2]
        row = self._add(stream_id, before, event, key_hash, None)
        self.streams[stream_id] = StreamHead(row.version, row.hash)
        return row

    def companions(self, companions: tuple[Companion, ...], key_hash: bytes | None) -> None:
        """Append events of other streams."""
        for companion in companions:
            for event in companion.events:
                self.add(companion.stream_id, event, key_hash)

    def finish(self) -> Append:
        """All that is to be written."""
        append, known = self.append, self._known
        if append.events:
            append.head = Head(self.position, self._hash, known.now)
        append.holds = list(self._holds.values())
        append.grants = [(account_id, grant) for (account_id, _), grant in known.rows.settled.items() if not grant.live]
        append.usage = [(use, known.budgets.used_ucr[use]) for use in known.budgets.changed]
        for number, account in self._accounts.items():
            account.check()
            append.accounts.append(_account_row(account, opened=number in self._opened))
        return append

    def _add(
        self,
        stream_id: UUID,
        before: tuple[int, bytes],
        event: tuple[str, bytes],
        key_hash: bytes | None,
        effective_at: datetime | None,
    ) -> EventRow:
        (version, stream_hash), (tag, state) = before, event
        position = self.position = self.position + 1
        link = self._link if effective_at is None else Link(self._known.now, effective_at)
        digest = link.hash(event, position, stream_id, version + 1, key_hash, stream_hash, self._hash)
        row = EventRow(stream_id, version + 1, tag, state, position, key_hash, digest, effective_at)
        self.append.events.append(row)
        self._hash = digest
        if key_hash is not None:
            self.keyed += 1
        return row

    def _snapshot(self, account: Account, position: int) -> None:
        self.append.snapshots.append(
            SnapshotRow(
                account.account_id, account.version, position, self._known.now, STATE_FORMAT, encode_account(account)
            )
        )


def _account_row(account: Account, *, opened: bool) -> AccountRow:
    return AccountRow(
        account.account_id,
        account.organisation_id,
        account.version,
        account.hash,
        STATE_FORMAT,
        encode_account(account),
        account.next_due_at,
        opened,
    )
