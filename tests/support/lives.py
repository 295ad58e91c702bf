"""Random lives of two accounts of one organisation: every command, small amounts, so that grants end and come back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.verdicts import Done
from ledger.ports import Ledger
from tests.support.ledger import ManualClock, request


class Lives:
    """Plays random commands. A command that the ledger refuses is a step without events."""

    def __init__(self, ledger: Ledger, clock: ManualClock, dice: Random) -> None:
        self.ledger, self.clock, self.dice = ledger, clock, dice
        self.accounts = [uuid4(), uuid4()]
        self.grants: list[tuple[UUID, UUID]] = []
        self.holds: list[tuple[UUID, UUID]] = []
        self.spent: list[tuple[UUID, UUID]] = []
        self.done: set[str] = set()
        organisation_id = uuid4()
        for account_id, limit in zip(self.accounts, (0, 30), strict=True):
            self.do(
                commands.OpenAccount(
                    account_id=account_id, organisation_id=organisation_id, overdraft_limit_ucr=limit, max_open_holds=9
                )
            )
        self.closed = uuid4()
        self.do(commands.OpenAccount(account_id=self.closed, organisation_id=organisation_id))
        self.do(commands.CloseAccount(account_id=self.closed, reason="left"))
        self._steps: list[tuple[Callable[[], None], int]] = [
            (self._grant, 5),
            (self._hold, 6),
            (self._commit, 6),
            (self._raise_or_renew, 2),
            (self._release, 2),
            (self._debit, 4),
            (self._reverse, 4),
            (self._transfer, 2),
            (self._adjust, 2),
            (self._extend, 2),
            (self._dispute, 3),
            (self._revoke, 2),
            (self._policy, 1),
            (self._wait, 5),
            (self._expire, 2),
        ]

    def play(self, steps: int) -> None:
        """Play some steps."""
        ways, weights = zip(*self._steps, strict=True)
        for way in self.dice.choices(ways, weights, k=steps):
            way()

    def do(self, command: commands.Command) -> bool:
        """Whether a command was done."""
        done = isinstance(self.ledger.submit(request(command)).verdict, Done)
        if done:
            self.done.add(type(command).__name__)
        return done

    def _account(self) -> UUID:
        return self.dice.choice(self.accounts)

    def _amount(self) -> int:
        return self.dice.randint(1, 40)

    def _backdated(self) -> datetime | None:
        back_s = self.dice.choice([None, None, 0, 0.5, 70, 5_000, 100_000, 3_000_000])
        return None if back_s is None else self.clock.now() - timedelta(seconds=back_s)

    def _grant(self) -> None:
        account_id, grant_id = self._account(), uuid4()
        self.grants.append((account_id, grant_id))
        self.do(
            commands.GrantCredits(
                account_id=account_id,
                grant_id=grant_id,
                amount_ucr=self._amount(),
                kind=self.dice.choice(["paid", "paid", "promo"]),
                priority=self.dice.randint(0, 3),
                lifetime_s=self.dice.choice([None, 40, 200, 5_000]),
                effective_at=self._backdated(),
            )
        )

    def _hold(self) -> None:
        account_id, hold_id = self._account(), uuid4()
        amount = self._amount()
        command = commands.HoldCredits(
            account_id=account_id, hold_id=hold_id, amount_ucr=amount, lease_s=30, cap_ucr=2 * amount
        )
        if self.do(command):
            self.holds.append((account_id, hold_id))
            self.spent.append((account_id, hold_id))

    def _commit(self) -> None:
        if not self.holds:
            return
        account_id, hold_id = self.dice.choice(self.holds)
        final, late = self.dice.choice([True, False]), self.dice.choice([True, False])
        self.do(
            commands.CommitHold(
                account_id=account_id, hold_id=hold_id, amount_ucr=self.dice.randint(1, 20), final=final, late=late
            )
        )

    def _raise_or_renew(self) -> None:
        if not self.holds:
            return
        account_id, hold_id = self.dice.choice(self.holds)
        self.do(commands.RaiseHold(account_id=account_id, hold_id=hold_id, amount_ucr=self.dice.randint(1, 9)))
        self.do(commands.RenewHold(account_id=account_id, hold_id=hold_id, lease_s=self.dice.randint(1, 90)))

    def _release(self) -> None:
        if self.holds:
            account_id, hold_id = self.holds.pop(self.dice.randrange(len(self.holds)))
            self.do(commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="x"))

    def _debit(self) -> None:
        account_id, debit_id = self._account(), uuid4()
        command = commands.DebitCredits(
            account_id=account_id, debit_id=debit_id, amount_ucr=self._amount(), reason="fee"
        )
        if self.do(command):
            self.spent.append((account_id, debit_id))

    def _reverse(self) -> None:
        if self.spent:
            account_id, debit_id = self.dice.choice(self.spent)
            self.do(
                commands.ReverseDebit(
                    account_id=account_id,
                    reversal_id=uuid4(),
                    debit_id=debit_id,
                    reason="x",
                    amount_ucr=self.dice.choice([None, 1, 3]),
                    grace_s=self.dice.choice([10, 1_000]),
                    effective_at=self._backdated(),
                )
            )

    def _transfer(self) -> None:
        one, other = self.dice.sample(self.accounts, 2)
        self.do(
            commands.TransferCredits(
                account_id=one, to_account_id=other, transfer_id=uuid4(), amount_ucr=self._amount(), reason="x"
            )
        )

    def _adjust(self) -> None:
        self.do(
            commands.AdjustBalance(
                account_id=self._account(),
                adjustment_id=uuid4(),
                amount_ucr=self.dice.choice([-1, 1]) * self._amount(),
                cause="correction",
                operator_id=uuid4(),
                approver_id=uuid4(),
                effective_at=self._backdated(),
            )
        )

    def _extend(self) -> None:
        if self.grants:
            account_id, grant_id = self.dice.choice(self.grants)
            keep = self.dice.choice([None, 0, 5])
            self.do(commands.ExtendGrant(account_id=account_id, grant_id=grant_id, lifetime_s=900, keep_ucr=keep))

    def _dispute(self) -> None:
        if self.grants:
            account_id, grant_id = self.dice.choice(self.grants[-12:])
            if self.dice.choice([True, False]):
                self.do(commands.FreezeGrant(account_id=account_id, grant_id=grant_id, reason="x"))
            else:
                self.do(commands.UnfreezeGrant(account_id=account_id, grant_id=grant_id, reason="x"))

    def _revoke(self) -> None:
        if self.grants:
            account_id, grant_id = self.dice.choice(self.grants)
            self.do(
                commands.RevokeCredits(
                    account_id=account_id,
                    grant_id=grant_id,
                    cause="refund",
                    amount_ucr=self.dice.choice([None, 1, 5]),
                    spent_as=self.dice.choice(["debt", "loss"]),
                )
            )

    def _policy(self) -> None:
        account_id = self._account()
        self.do(commands.FreezeAccount(account_id=account_id, reason="x"))
        self.do(commands.UnfreezeAccount(account_id=account_id, reason="x"))
        self.do(commands.SetPolicy(account_id=account_id, overdraft_limit_ucr=self.dice.choice([0, 25])))

    def _wait(self) -> None:
        self.clock.pass_s(self.dice.choice([0.25, 1, 15, 60, 600, 9_000]))

    def _expire(self) -> None:
        if self.holds:
            account_id, hold_id = self.dice.choice(self.holds)
            self.do(commands.ExpireHold(account_id=account_id, hold_id=hold_id))
        self.do(commands.ExpireGrants(account_id=self._account()))
