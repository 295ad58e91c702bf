"""What the writer remembers between batches: accounts and their open holds, as of the last commit it saw.

A cache in meaning, emptied on any error. While nobody else has written (the head's hash is the one this writer left),
all of it is certain and nothing of it is read again; once somebody has, accounts are compared by version and hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from ledger import limits
from ledger.domain.account import Account, Hold
from ledger.writer.requests import Head, Known

_UNKNOWN = Known(0, b"", certain=False)


class Memory:
    """Bounded; one writer's own.

    Accounts lie in two generations: touched lately, and touched before those were half of what may be kept. What is
    touched becomes young; when the young are too many, the old are forgotten. ``_certain`` are those of the young that
    were touched since somebody else has last written. ``head`` is where this writer knows the log to end;
    ``undisturbed`` counts the looks under the lock at which it was still there, since it last was not. ``unrepeated``
    counts the batches decided ahead since one had a key that was there already.
    """

    def __init__(self, accounts_max: int = limits.ACCOUNTS_CACHED_MAX) -> None:
        self._certain: dict[UUID, Account] = {}
        self._young: dict[UUID, Account] = {}
        self._old: dict[UUID, Account] = {}
        self._young_max = max(1, accounts_max // 2)
        self.holds: dict[UUID, Hold] = {}
        self.head: Head | None = None
        self.undisturbed = 0
        self.unrepeated = 0
        self.faults: list[Exception] = []
        self.unreadable: set[UUID] = set()

    @property
    def head_hash(self) -> bytes:
        """Hash of the head that this writer left; empty if it does not know."""
        return b"" if self.head is None else self.head.hash

    def known(self, account_id: UUID) -> Known:
        """Version and hash of what is remembered, and whether it is certain while the head is the one we know."""
        account = self._certain.get(account_id)
        if account is not None:
            return Known(account.version, account.hash, certain=True)
        account = self.get(account_id)
        return _UNKNOWN if account is None else Known(account.version, account.hash, certain=False)

    def is_certain(self, account_id: UUID) -> bool:
        """Whether what is remembered of an account is current while the head is the one we know."""
        return account_id in self._certain

    def get(self, account_id: UUID) -> Account | None:
        """A remembered account."""
        return self._young.get(account_id) or self._old.get(account_id)

    def see(self, head: Head) -> bool:
        """Note where the log ends before a batch; False if somebody else has moved it: nothing is certain any more."""
        unmoved = head.hash == self.head_hash
        self.undisturbed += 1
        if not unmoved:
            self._certain = {}
            self.holds = {}
            self.undisturbed = 0
        self.head = head
        return unmoved

    def keep(self, accounts: Mapping[UUID, Account], holds: Iterable[Hold], head: Head) -> None:
        """Remember what is as committed, or about to be, forgetting what was unused for longest."""
        self.head = head
        self._certain.update(accounts)
        self._young.update(accounts)
        for account_id in [account_id for account_id, account in accounts.items() if not account.version]:
            del self._certain[account_id], self._young[account_id]
        if len(self._young) > self._young_max:
            self._old, self._young, self._certain = self._young, {}, {}
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
        self._certain.pop(account.account_id, None)
        self._young[account.account_id] = account

    def drop(self, account_id: UUID) -> None:
        """Forget one account."""
        for remembered in (self._certain, self._young, self._old):
            remembered.pop(account_id, None)

    def forget(self) -> None:
        """Empty it."""
        self._certain, self._young, self._old = {}, {}, {}
        self.holds = {}
        self.head = None
        self.undisturbed = 0
        self.unrepeated = 0
