"""What a batch will write, as it grows: events with their hashes, the head, and the rows that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from ledger.domain.account import STATE_FORMAT, Account, Hold, encode_account
from ledger.domain.codec import NewEvent, encode_event
from ledger.domain.events import AccountEvent
from ledger.domain.evolve import evolve
from ledger.domain.rules.known import Known
from ledger.limits import SNAPSHOT_EVERY
from ledger.ports import Companion
from ledger.writer.chain import GENESIS, Link
from ledger.writer.requests import AccountRow, Append, EventRow, Head, SnapshotRow, StreamHead


class Appending:
    """Numbers, chains and applies events. Mutates the accounts and rows that are ``known``."""

    def __init__(self, head: Head, known: Known, streams: Mapping[UUID, StreamHead]) -> None:
        self.head = head
        self.keyed = 0
        self.streams: dict[UUID, StreamHead] = dict(streams)
        self.append = Append(head, head.position)
        self._known = known
        self._link = Link(known.now, known.now)
        self._opened = {account_id for account_id, account in known.accounts.items() if account.version == 0}
        self._accounts: dict[UUID, Account] = {}
        self._holds: dict[UUID, Hold] = {}

    def apply(
        self, account: Account, event: AccountEvent, key_hash: bytes | None, effective_at: datetime | None = None
    ) -> None:
        """Append an event to an account's stream and let it take effect."""
        before = StreamHead(account.version, account.hash or GENESIS)
        row = self._add(account.account_id, before, encode_event(event), key_hash, effective_at)
        hold = evolve(account, self._known.rows, event, self._known.now, row.position)
        account.hash = row.hash
        assert account.version == row.version
        self._accounts[account.account_id] = account
        if hold is not None:
            self._holds[hold.hold_id] = hold
            if hold.budgets:
                self._known.budgets.apply(event, hold.budgets)
        if account.version % SNAPSHOT_EVERY == 0:
            self._snapshot(account, row.position)

    def add(self, stream_id: UUID, event: NewEvent, key_hash: bytes | None) -> EventRow:
        """Append an event to a stream that the ledger does not read."""
        row = self._add(stream_id, self.streams.get(stream_id, StreamHead(0, GENESIS)), event, key_hash)
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
        append.head = self.head
        append.holds = list(self._holds.values())
        append.grants = [(account_id, grant) for (account_id, _), grant in known.rows.settled.items() if not grant.live]
        append.usage = [(use, known.budgets.used_ucr[use]) for use in known.budgets.changed]
        for account in self._accounts.values():
            account.check()
            append.accounts.append(_account_row(account, opened=account.account_id in self._opened))
        return append

    def _add(
        self,
        stream_id: UUID,
        before: StreamHead,
        event: NewEvent,
        key_hash: bytes | None,
        effective_at: datetime | None = None,
    ) -> EventRow:
        position, version = self.head.position + 1, before.version + 1
        link = self._link if effective_at is None else Link(self._known.now, effective_at)
        digest = link.hash(
            event,
            position=position,
            stream_id=stream_id,
            version=version,
            key_hash=key_hash,
            stream_hash=before.hash,
            log_hash=self.head.hash,
        )
        row = EventRow(stream_id, version, event.tag, event.state, position, key_hash, digest, effective_at)
        self.append.events.append(row)
        self.keyed += key_hash is not None
        self.head = Head(position, digest, self._known.now)
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
