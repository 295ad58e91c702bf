"""What the writer remembers between batches: accounts and their open holds, as of the last commit it saw.

A cache in meaning, emptied on any error. While nobody else has written (the head's hash is the one this writer left),
all of it is certain and nothing of it is read again; once somebody has, accounts are compared by version and hash.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

from ledger import limits
from ledger.domain.account import Account, Hold
from ledger.writer.requests import Known

_UNKNOWN = Known(0, b"", certain=False)


class _Entry(NamedTuple):
    account: Account
    epoch: int


class Memory:
    """Bounded; one writer's own."""

    def __init__(self, accounts_max: int = limits.ACCOUNTS_CACHED_MAX) -> None:
        self._accounts: OrderedDict[UUID, _Entry] = OrderedDict()
        self._accounts_max = accounts_max
        self._epoch = 0
        self.holds: dict[UUID, Hold] = {}
        self.head_hash = b""
        self.faults: list[Exception] = []
        self.unreadable: set[UUID] = set()

    def known(self, account_id: UUID) -> Known:
        """Version and hash of what is remembered, and whether it is certain while the head is the one we know."""
        entry = self._accounts.get(account_id)
        if entry is None:
            return _UNKNOWN
        return Known(entry.account.version, entry.account.hash, certain=entry.epoch == self._epoch)

    def get(self, account_id: UUID) -> Account | None:
        """A remembered account."""
        entry = self._accounts.get(account_id)
        return entry.account if entry else None

    def see(self, head_hash: bytes) -> None:
        """Note where the log ends before a batch; if somebody else has moved it, nothing is certain any more."""
        if head_hash != self.head_hash:
            self._epoch += 1
            self.holds = {}
            self.head_hash = head_hash

    def keep(self, accounts: Mapping[UUID, Account], holds: Iterable[Hold], head_hash: bytes) -> None:
        """Remember what is as committed, forgetting what was unused for longest."""
        self.head_hash = head_hash
        for account_id, account in accounts.items():
            if account.version:
                self._accounts[account_id] = _Entry(account, self._epoch)
                self._accounts.move_to_end(account_id)
        while len(self._accounts) > self._accounts_max:
            self._accounts.popitem(last=False)
        for hold in holds:
            if hold.state == "open":
                self.holds[hold.hold_id] = hold
            else:
                self.holds.pop(hold.hold_id, None)
        if len(self.holds) > limits.HOLDS_CACHED_MAX:
            self.holds = {}

    def drop_resolved(self, hold_ids: Iterable[UUID]) -> None:
        """Forget holds that were read and are not open: a row that may change no more is not worth the room."""
        for hold_id in hold_ids:
            hold = self.holds.get(hold_id)
            if hold is not None and hold.state != "open":
                del self.holds[hold_id]

    def put(self, account: Account) -> None:
        """Remember an account as of its version, certain of nothing."""
        self._accounts[account.account_id] = _Entry(account, self._epoch - 1)

    def forget(self) -> None:
        """Empty it."""
        self._accounts.clear()
        self.holds = {}
        self.head_hash = b""
