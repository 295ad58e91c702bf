"""Accounts without a writer: commands are decided and applied by the ledger's pure rules alone, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from ledger import errors
from ledger.domain import commands
from ledger.domain.account import Account, Grant, Hold, encode_account
from ledger.domain.budgets import Budget, Budgets
from ledger.domain.debts import consequences
from ledger.domain.decide import decide
from ledger.domain.events import AccountEvent, BudgetUse, BudgetWindow, CreditsTransferredIn
from ledger.domain.evolve import Rows, evolve
from ledger.domain.rules.grants import due
from ledger.domain.rules.known import Known

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINE, OTHER, STRANGER = UUID(int=0xA1), UUID(int=0xA2), UUID(int=0xA3)
OURS, THEIRS = UUID(int=0xB1), UUID(int=0xB2)
G1, G2, G3, G4 = (UUID(int=0xC0 + n) for n in range(1, 5))
H1, H2, H3 = (UUID(int=0xD0 + n) for n in range(1, 4))
D1, D2, D3 = (UUID(int=0xE0 + n) for n in range(1, 4))
R1, R2, R3 = UUID(int=0xF1), UUID(int=0xF2), UUID(int=0xF3)
JOB, RECEIPT, ANN, BOB = (UUID(int=0x100 + n) for n in range(4))
WHO: dict[str, Any] = {"account_id": MINE}


def after(seconds: float) -> datetime:
    """A moment that many seconds after the story's noon."""
    return NOON + timedelta(seconds=seconds)


class Life:
    """One organisation's accounts ``MINE`` and ``OTHER`` and a stranger's; whole numbers are micro-credits."""

    def __init__(self, **policy: int) -> None:
        self.now = NOON
        self.position = 0
        self.rows = Rows()
        self.budgets = Budgets()
        self.log: list[tuple[UUID, AccountEvent, datetime, int]] = []
        self.accounts = {
            account_id: Account(account_id=account_id, organisation_id=UUID(int=0))
            for account_id in (MINE, OTHER, STRANGER)
        }
        for account_id, organisation_id in ((MINE, OURS), (OTHER, OURS), (STRANGER, THEIRS)):
            self.do(commands.OpenAccount(account_id=account_id, organisation_id=organisation_id, **policy))

    @property
    def account(self) -> Account:
        """The account of the story."""
        return self.accounts[MINE]

    @property
    def known(self) -> Known:
        """What a decision may look at now."""
        return Known(self.now, self.rows, self.budgets, self.accounts)

    @property
    def sums(self) -> tuple[int, int, int, int]:
        """Posted, held, frozen, available."""
        account = self.account
        return account.posted_ucr, account.held_ucr, account.frozen_ucr, account.available_ucr

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def do(self, command: commands.AccountCommand) -> list[AccountEvent]:
        """All that is appended for an accepted command: what was due, what it decides, and what follows from it."""
        account, first = self.accounts[command.account_id], len(self.log)
        named = {command.account_id, getattr(command, "to_account_id", command.account_id)}
        for touched in (self.accounts[account_id] for account_id in sorted(named)):
            for event in due(touched, self.now):
                self.apply(touched, event)
        for event in self.decided(command):
            arriving = isinstance(event, CreditsTransferredIn)
            self.apply(self.accounts[command.to_account_id] if arriving else account, event)  # type: ignore[union-attr]
        for account_id in sorted(named):
            self.follow(self.accounts[account_id])
        return [event for _, event, _, _ in self.log[first:]]

    def decided(self, command: commands.AccountCommand) -> Sequence[AccountEvent]:
        """What the rules answer, without what follows; they change nothing."""
        before = self.seen()
        try:
            return decide(self.accounts[command.account_id], self.known, command)
        finally:
            assert self.seen() == before, "a decision changed something"

    def follow(self, account: Account) -> None:
        """Apply what follows by itself, until nothing does."""
        for _ in range(50):
            follows = consequences(account, self.now)
            if follows is None:
                return
            self.apply(account, follows)
        raise AssertionError("consequences without end")

    def apply(self, account: Account, event: AccountEvent) -> Hold | None:
        """Append one event and apply it as the writer does; every sum adds up afterwards."""
        self.position += 1
        self.log.append((account.account_id, event, self.now, self.position))
        version = account.version
        hold = evolve(account, self.rows, event, self.now, self.position)
        if hold is not None and hold.budgets:
            self.budgets.apply(event, hold.budgets)
        assert account.version == version + 1
        account.check()
        return hold

    def seen(self) -> bytes:
        """All that there is, as bytes."""
        accounts = [encode_account(self.accounts[account_id]) for account_id in sorted(self.accounts)]
        rows = [sorted(self.rows.holds.items()), sorted(self.rows.ended.items(), key=lambda row: row[0])]
        used = sorted(self.budgets.used_ucr.items(), key=lambda row: (row[0].budget_id, row[0].window_start))
        return msgspec.msgpack.encode([accounts, rows, used])

    def refuses(self, command: commands.AccountCommand, code: str, **facts: object) -> None:
        """A command is refused with this code and exactly these facts, and changes nothing."""
        with pytest.raises(errors.Refusal) as refusal:
            self.decided(command)
        assert (refusal.value.code, dict(refusal.value.facts)) == (code, facts)

    # Shorthands

    def grant(self, grant_id: UUID = G1, amount_ucr: int = 10, **more: Any) -> list[AccountEvent]:
        """Credits come in."""
        fields: dict[str, Any] = WHO | {"kind": "paid"} | more
        return self.do(commands.GrantCredits(grant_id=grant_id, amount_ucr=amount_ucr, **fields))

    def hold(self, hold_id: UUID = H1, amount_ucr: int = 5, *, lease_s: int = 60, **more: Any) -> list[AccountEvent]:
        """Credits are pinned."""
        return self.do(commands.HoldCredits(**WHO, hold_id=hold_id, amount_ucr=amount_ucr, lease_s=lease_s, **more))

    def commit(self, hold_id: UUID = H1, amount_ucr: int = 5, **more: Any) -> list[AccountEvent]:
        """Pinned credits are spent."""
        return self.do(commands.CommitHold(**WHO, hold_id=hold_id, amount_ucr=amount_ucr, **more))

    def release(self, hold_id: UUID = H1) -> list[AccountEvent]:
        """Pinned credits go back."""
        return self.do(commands.ReleaseHold(**WHO, hold_id=hold_id, reason="x"))

    def expire(self, hold_id: UUID = H1) -> list[AccountEvent]:
        """A lease has ended."""
        return self.do(commands.ExpireHold(**WHO, hold_id=hold_id))

    def debit(self, debit_id: UUID = D1, amount_ucr: int = 5, **more: Any) -> list[AccountEvent]:
        """Credits are spent."""
        return self.do(commands.DebitCredits(**WHO, debit_id=debit_id, amount_ucr=amount_ucr, reason="x", **more))

    def freeze(self, grant_id: UUID = G1, amount_ucr: int | None = None) -> list[AccountEvent]:
        """A dispute opens."""
        return self.do(commands.FreezeGrant(**WHO, grant_id=grant_id, amount_ucr=amount_ucr, reason="x"))

    def unfreeze(self, grant_id: UUID = G1) -> list[AccountEvent]:
        """A dispute is won."""
        return self.do(commands.UnfreezeGrant(**WHO, grant_id=grant_id, reason="x"))

    def revoke(self, grant_id: UUID = G1, amount_ucr: int | None = None, **more: Any) -> list[AccountEvent]:
        """A payment goes back."""
        fields: dict[str, Any] = WHO | {"cause": "refund"} | more
        return self.do(commands.RevokeCredits(grant_id=grant_id, amount_ucr=amount_ucr, **fields))

    def reverse(self, debit_id: UUID = D1, amount_ucr: int | None = None, **more: Any) -> list[AccountEvent]:
        """A debit is undone."""
        fields: dict[str, Any] = WHO | {"reversal_id": R1, "reason": "x"} | more
        return self.do(commands.ReverseDebit(debit_id=debit_id, amount_ucr=amount_ucr, **fields))

    def close(self) -> list[AccountEvent]:
        """The account ends."""
        return self.do(commands.CloseAccount(**WHO, reason="left"))

    def budget(self, budget_id: UUID, limit_ucr: int | None, window: BudgetWindow = "once") -> BudgetUse:
        """An organisation's budget; the window it is in now."""
        self.budgets.known[budget_id] = Budget(
            budget_id=budget_id,
            organisation_id=OURS,
            version=1,
            hash=b"",
            subject="key",
            window=window,
            limit_ucr=limit_ucr,
        )
        return self.budgets.take(OURS, [budget_id], 0, self.now)[0]

    def live(self, grant_id: UUID = G1) -> Grant:
        """A grant of which something is left."""
        found = self.account.grant(grant_id)
        assert found is not None
        return found

    def ended(self, grant_id: UUID = G1) -> Grant:
        """A grant of which nothing is left."""
        assert self.account.grant(grant_id) is None
        return self.rows.ended[MINE, grant_id]
