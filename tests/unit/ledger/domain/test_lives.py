"""Random lives of accounts, from a seed: the algebra after every event, and a replay that gives the same bytes."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

import pytest

from ledger import errors
from ledger.domain import commands, events
from ledger.domain.account import Account, encode_account, encode_grant, encode_parts
from ledger.domain.codec import account_event, encode_event
from ledger.domain.evolve import Rows, evolve
from tests.support.domain import ANN, BOB, MINE, OTHER, Life

ACCEPTED = 30
TRIES = 400


class Chance:
    """Commands picked by a seed, over few ids, so that they meet."""

    def __init__(self, seed: int, life: Life) -> None:
        self.dice, self.life = random.Random(seed), life
        self.made = 0

    def new(self) -> UUID:
        """An id that is not used yet."""
        self.made += 1
        return UUID(int=0x1000 + self.made)

    def hold(self) -> UUID:
        """A hold or debit that may be there."""
        return self.dice.choice([*self.life.rows.holds, UUID(int=8)])

    def grant(self) -> UUID:
        """A grant that may be there."""
        grants = (one.grant_id for account in self.life.accounts.values() for one in account.grants)
        return self.dice.choice([*grants, *(one for _, one in self.life.rows.ended), UUID(int=9)])

    def amount(self) -> int:
        """A small amount, so that limits are met."""
        return self.dice.randint(1, 30)

    def part(self) -> int | None:
        """An amount or all."""
        return self.dice.choice([None, self.amount()])

    def command(self) -> commands.AccountCommand:
        """Something to ask."""
        pick = self.dice.choice
        who: dict[str, Any] = {"account_id": pick([MINE, MINE, MINE, OTHER])}
        made = [
            lambda: commands.GrantCredits(
                **who,
                grant_id=self.new(),
                amount_ucr=self.amount() * 2,
                kind=pick(["paid", "promo"]),
                priority=pick([1, 2]),
                lifetime_s=pick([None, 5, 20]),
                receipt_id=pick([None, UUID(int=7)]),
            ),
            lambda: commands.HoldCredits(
                **who, hold_id=self.new(), amount_ucr=self.amount(), lease_s=pick([2, 9]), cap_ucr=pick([None, 60])
            ),
            lambda: commands.RaiseHold(**who, hold_id=self.hold(), amount_ucr=self.amount()),
            lambda: commands.CommitHold(
                **who,
                hold_id=self.hold(),
                amount_ucr=self.amount(),
                final=pick([True, False]),
                late=pick([True, False]),
            ),
            lambda: commands.ReleaseHold(**who, hold_id=self.hold(), reason="x"),
            lambda: commands.ExpireHold(**who, hold_id=self.hold()),
            lambda: commands.DebitCredits(**who, debit_id=self.new(), amount_ucr=self.amount(), reason="x"),
            lambda: commands.ReverseDebit(
                **who, reversal_id=self.new(), debit_id=self.hold(), reason="x", amount_ucr=self.part(), grace_s=3
            ),
            lambda: commands.FreezeGrant(**who, grant_id=self.grant(), reason="x", amount_ucr=self.part()),
            lambda: commands.UnfreezeGrant(**who, grant_id=self.grant(), reason="x"),
            lambda: commands.RevokeCredits(
                **who,
                grant_id=self.grant(),
                cause=pick(["refund", "dispute"]),
                amount_ucr=self.part(),
                spent_as=pick(["debt", "loss"]),
            ),
            lambda: commands.ExtendGrant(**who, grant_id=self.grant(), lifetime_s=30, keep_ucr=self.part()),
            lambda: commands.TransferCredits(
                **who,
                to_account_id=MINE if who["account_id"] == OTHER else OTHER,
                transfer_id=self.new(),
                amount_ucr=self.amount(),
                reason="x",
            ),
            lambda: commands.AdjustBalance(
                **who,
                adjustment_id=self.new(),
                amount_ucr=self.amount() * pick([1, -1]),
                cause="correction",
                operator_id=ANN,
                approver_id=BOB,
            ),
            lambda: commands.SetPolicy(**who, overdraft_limit_ucr=pick([0, 20]), max_open_holds=pick([3, 9])),
        ]
        return self.dice.choice(made)()


def holds_true(life: Life) -> None:
    """The algebra once more, in words of its own."""
    for account in life.accounts.values():
        holds = [hold for hold in life.rows.holds.values() if hold.account_id == account.account_id]
        opened = [hold for hold in holds if hold.state == "open"]
        assert account.held_ucr == sum(part.amount_ucr for hold in opened for part in hold.slices)
        assert account.open_holds == len(opened)
        assert all(hold.remaining_ucr == 0 for hold in holds if hold.state != "open")
        grants = [*account.grants, *(one for (owner, _), one in life.rows.ended.items() if owner == account.account_id)]
        assert len({one.grant_id for one in grants}) == len(grants)
        free, held, frozen = (
            sum(getattr(one, name) for one in grants) for name in ("free_ucr", "held_ucr", "frozen_ucr")
        )
        assert account.posted_ucr == free + held + frozen - account.debt_ucr
        assert account.available_ucr == account.posted_ucr - account.held_ucr - account.frozen_ucr
        assert account.frozen_ucr == frozen
        for one in grants:
            pinned = [part for hold in opened for part in hold.slices if part.grant_id == one.grant_id]
            assert one.held_ucr == sum(part.amount_ucr for part in pinned)
            spent = [part for hold in holds for part in hold.spent if part.grant_id == one.grant_id]
            assert one.spent_ucr == sum(part.amount_ucr for part in spent)


@pytest.mark.parametrize("seed", range(12))
def test_invariant_05_06_07_09_32_any_life_adds_up_and_replays_to_the_same_bytes(seed: int) -> None:
    life, accepted = Life(overdraft_limit_ucr=20), 0
    chance = Chance(seed, life)
    for _ in range(TRIES):
        if accepted == ACCEPTED:
            break
        life.pass_s(chance.dice.choice([0, 1, 4]))
        command = chance.command()
        account = life.accounts[command.account_id]
        try:
            appended = life.do(command)
        except errors.Refusal:
            continue
        accepted += 1
        holds_true(life)
        customers = isinstance(command, commands.HoldCredits | commands.DebitCredits | commands.TransferCredits)
        if customers and not any(isinstance(event, events.CreditsRevoked) for event in appended):
            assert account.available_ucr >= -account.overdraft_limit_ucr
    assert accepted == ACCEPTED
    replayed(life)


def replayed(life: Life) -> None:
    rows = Rows()
    accounts = {one: Account(account_id=one, organisation_id=UUID(int=0)) for one in life.accounts}
    for account_id, event, at, position in life.log:
        read = account_event(encode_event(event).state)
        evolve(accounts[account_id], rows, read, at, position)
    for account_id, account in life.accounts.items():
        assert encode_account(accounts[account_id]) == encode_account(account)
    assert {key: encode_grant(one) for key, one in rows.ended.items()} == {
        key: encode_grant(one) for key, one in life.rows.ended.items()
    }
    assert {key: encode_parts(one) for key, one in rows.holds.items()} == {
        key: encode_parts(one) for key, one in life.rows.holds.items()
    }
    assert rows.holds == life.rows.holds
