"""Random valid histories in which every command occurs: money on the sandbox rail, grants of every kind, use, time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg

from ledger.domain import commands
from ledger.domain.codec import tag_of
from ledger.domain.events import AccountClosed
from ledger.domain.verdicts import Answer, Refused
from ledger.ports import Ledger
from ledger.store.connection import append as append_to_postgres
from ledger.store.connection import connect
from ledger.store.memory import MemoryLedger, Moment
from ledger.writer.requests import Append, WriterRequest
from payments.domain import events as payments
from tests.support.books import append, buy, receipt_applied, receipt_final
from tests.support.ledger import ManualClock, request
from tests.support.troubles import TROUBLES, Bought
from workers.generation.events import JobCostRecorded

AMOUNT_MAX_UCR = 50_000_000
COST_MAX_MICRO = 30_000_000
_CLOSED = tag_of(AccountClosed)


class Waiting(NamedTuple):
    """A receipt with money in Unapplied or Suspense."""

    receipt_id: UUID
    version: int
    source: str
    micro: int
    value_micro: int


class History:
    """Plays random steps on a ledger. ``dice`` decides all; a step that the ledger refuses is a step without events."""

    def __init__(self, ledger: Ledger, clock: ManualClock, dice: Random) -> None:
        self.ledger = ledger
        self.clock = clock
        self.dice = dice
        self.accounts: list[UUID] = []
        self.organisations: dict[UUID, UUID] = {}
        self.holds: list[tuple[UUID, UUID, int]] = []
        self.waiting: list[Waiting] = []
        self.grants: list[tuple[UUID, UUID]] = []
        self.debits: list[tuple[UUID, UUID]] = []
        self.lapsed: list[tuple[UUID, UUID, int]] = []
        self.budgets: list[tuple[UUID, UUID]] = []
        self.bought: list[Bought] = []
        self._steps: list[Callable[[], None]] = [
            self._open,
            self._buy,
            self._buy,
            self._give,
            self._hold,
            self._hold,
            self._hold,
            self._commit,
            self._commit,
            self._commit,
            self._release,
            self._renew,
            self._debit,
            self._wait,
            self._expire,
            self._strange_money,
            self._apply,
            self._reverse,
            self._gpu,
            *(partial(trouble, self) for trouble in TROUBLES),
        ]

    def play(self, steps: int) -> None:
        """Play some steps, an account first."""
        if not self.accounts:
            self._open()
        for _ in range(steps):
            self.dice.choice(self._steps)()

    def _open(self) -> None:
        if len(self.accounts) > 3:
            return
        account_id = uuid4()
        organisation_id = self.dice.choice([uuid4(), *self.organisations.values()])
        self.submit(
            commands.OpenAccount(
                account_id=account_id,
                organisation_id=organisation_id,
                overdraft_limit_ucr=self.dice.choice([0, 0, 20_000_000]),
            )
        )
        self.accounts.append(account_id)
        self.organisations[account_id] = organisation_id

    def _buy(self) -> None:
        cost, tax = self.dice.randint(1, COST_MAX_MICRO), self.dice.choice([0, self.dice.randint(1, 5_000_000)])
        unapplied = self.dice.choice([0, 0, self.dice.randint(1, 900_000)])
        facts = {
            "tax_micro": tax,
            "unapplied_micro": unapplied,
            "fx_micro": self.dice.choice([0, 0, -min(7, cost), 13]),
        }
        facts |= {"fee_minor": self.dice.choice([None, 0, 1]), "amount_minor": 10}
        account_id = self.dice.choice(self.accounts)
        if self.closed(account_id):
            return
        amount = self.dice.randint(1, AMOUNT_MAX_UCR)
        grant_id, receipt_id = buy(
            self.ledger,
            account_id,
            amount_ucr=amount,
            cost_micro=cost,
            kind=self.dice.choice(["paid", "paid", "subscription"]),
            lifetime_s=self.dice.choice([None, 30, 3_000]),
            receipt=facts,
        )
        self.grants.append((account_id, grant_id))
        value = cost + sum(facts[name] or 0 for name in ("tax_micro", "unapplied_micro", "fx_micro"))
        if unapplied:
            self.waiting.append(Waiting(receipt_id, 1, "unapplied", unapplied, value))
        else:
            self.bought.append(Bought(account_id, grant_id, receipt_id, amount, cost, tax, value))

    def _give(self) -> None:
        amount = self.dice.randint(1, AMOUNT_MAX_UCR)
        account_id, grant_id = self.dice.choice(self.accounts), uuid4()
        self.grants.append((account_id, grant_id))
        self.submit(
            commands.GrantCredits(
                account_id=account_id,
                grant_id=grant_id,
                amount_ucr=amount,
                kind=self.dice.choice(["promo", "goodwill", "referral", "paid"]),
                priority=self.dice.randint(0, 200),
                cost_micro=self.dice.choice([0, 0, amount // 100]),
                list_value_micro=amount // 100,
                lifetime_s=self.dice.choice([None, 20, 2_000]),
                effective_at=self.dice.choice([None, None, self.clock.now() - timedelta(days=40)]),
                receipt_id=self.dice.choice([None, *(one.receipt_id for one in self.bought[-1:])]),
            )
        )

    def _hold(self) -> None:
        account_id, hold_id = self.dice.choice(self.accounts), uuid4()
        amount = self._affordable(account_id)
        command = commands.HoldCredits(
            account_id=account_id,
            hold_id=hold_id,
            amount_ucr=amount,
            lease_s=50,
            reference=self.dice.choice([uuid4(), uuid4(), None]),
            cap_ucr=self.dice.choice([None, 3 * amount]),
            budgets=self.budgets_of(account_id),
        )
        if self.done(command):
            self.holds.append((account_id, hold_id, amount))

    def _commit(self) -> None:
        if found := self._take_hold():
            account_id, hold_id, amount = found
            part, final = self.dice.randint(1, amount), self.dice.choice([True, False])
            command = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=part, final=final)
            self.submit(command)
            self.debits.append((account_id, hold_id))
            if not final and part < amount:
                self.holds.append((account_id, hold_id, amount - part))

    def _release(self) -> None:
        if found := self._take_hold():
            self.submit(commands.ReleaseHold(account_id=found[0], hold_id=found[1], reason="job-failed"))

    def _renew(self) -> None:
        if self.holds:
            account_id, hold_id, _ = self.dice.choice(self.holds)
            self.submit(commands.RenewHold(account_id=account_id, hold_id=hold_id, lease_s=90))

    def _debit(self) -> None:
        account_id = self.dice.choice(self.accounts)
        amount = self._affordable(account_id)
        debit_id = uuid4()
        self.debits.append((account_id, debit_id))
        self.submit(
            commands.DebitCredits(
                account_id=account_id,
                debit_id=debit_id,
                amount_ucr=amount,
                reason="fee",
                budgets=self.budgets_of(account_id),
            )
        )

    def _wait(self) -> None:
        self.clock.pass_s(self.dice.choice([1, 15, 60, 86_400]))

    def _expire(self) -> None:
        if found := self._take_hold():
            expired = self.done(commands.ExpireHold(account_id=found[0], hold_id=found[1]))
            (self.lapsed if expired else self.holds).append(found)
        self.submit(commands.ExpireGrants(account_id=self.dice.choice(self.accounts)))

    def _strange_money(self) -> None:
        value = self.dice.randint(1, COST_MAX_MICRO)
        receipt = receipt_final(case="no-top-up", value_micro=value, suspense_micro=value)
        append(self.ledger, [(receipt.receipt_id, 0, receipt)])
        self.waiting.append(Waiting(receipt.receipt_id, 1, "suspense", value, value))

    def _apply(self) -> None:
        account_id, grant_id = self.dice.choice(self.accounts), uuid4()
        if not self.waiting or self.closed(account_id):
            return
        found = self.waiting.pop(self.dice.randrange(len(self.waiting)))
        part = self.dice.randint(1, found.micro)
        tax = self.dice.randint(0, part - 1)
        applied = receipt_applied(
            receipt_id=found.receipt_id,
            source=found.source,
            net_micro=part - tax,
            tax_micro=tax,
            account_id=account_id,
            grant_id=grant_id,
        )
        command = commands.GrantCredits(
            account_id=account_id,
            grant_id=grant_id,
            amount_ucr=self.dice.randint(1, AMOUNT_MAX_UCR),
            kind="paid",
            cost_micro=part - tax,
            receipt_id=found.receipt_id,
        )
        append(self.ledger, [(found.receipt_id, found.version, applied)], command)
        if part < found.micro:
            self.waiting.append(found._replace(version=found.version + 1, micro=found.micro - part))

    def _reverse(self) -> None:
        if not self.waiting:
            return
        found = self.waiting.pop(self.dice.randrange(len(self.waiting)))
        gone = payments.ReceiptReversed(
            receipt_id=found.receipt_id,
            generation=1,
            rail="sandbox",
            currency="USD",
            value_micro=found.value_micro,
            credits_kept_ucr=0,
            reversed_at=self.clock.now(),
        )
        append(self.ledger, [(found.receipt_id, found.version, gone)])
        if self.dice.choice([True, False]):
            back = receipt_final(
                receipt_id=found.receipt_id,
                generation=2,
                case="restored",
                value_micro=found.value_micro,
                net_micro=found.value_micro - found.micro,
                **{f"{found.source}_micro": found.micro},
            )
            append(self.ledger, [(found.receipt_id, found.version + 1, back)])

    def _gpu(self) -> None:
        cost = JobCostRecorded(attempt_id=uuid4(), reason="late", gpu_ms=5, cost_micro=self.dice.randint(0, 400))
        append(self.ledger, [(uuid4(), 0, cost)])

    def _affordable(self, account_id: UUID) -> int:
        """An amount that is there, and now and then more: an overdraft where the policy has one, else refused."""
        balance = self.ledger.balance(account_id)
        assert balance is not None
        beyond = self.dice.choice([0, 0, 0, 15_000_000])
        return self.dice.randint(1, max(1, min(balance.available_ucr + beyond, AMOUNT_MAX_UCR)))

    def _take_hold(self) -> tuple[UUID, UUID, int] | None:
        return self.holds.pop(self.dice.randrange(len(self.holds))) if self.holds else None

    def submit(self, command: commands.Command, **more: Any) -> Answer:
        """Ask for one command, and those linked to it."""
        return self.ledger.submit(request(command, **more))

    def done(self, command: commands.Command, **more: Any) -> bool:
        """Whether it was accepted."""
        return not isinstance(self.submit(command, **more).verdict, Refused)

    def closed(self, account_id: UUID) -> bool:
        """Whether an account has ended: it takes no money any more."""
        return any(event.tag == _CLOSED for event in self.ledger.stream(account_id, limit=100_000))

    def budgets_of(self, account_id: UUID) -> tuple[UUID, ...]:
        """Budgets of the account's organisation, as often as not none."""
        own = [budget for organisation, budget in self.budgets if organisation == self.organisations[account_id]]
        return tuple(own[: self.dice.choice([0, 0, 2])])


def mirrored(url: str, clock: ManualClock) -> tuple[MemoryLedger, psycopg.Connection[Any]]:
    """A ledger in memory, under a clock that a test moves, that appends each batch to PostgreSQL as well."""
    ledger, connection = MemoryLedger(clock), connect(url)

    def mirror(asked: WriterRequest, moment: Moment) -> None:
        if isinstance(asked, Append) and moment == "before":
            append_to_postgres(connection, asked)

    ledger.database.fail = mirror
    return ledger, connection


def random_ledger(seed: int, steps: int) -> MemoryLedger:
    """A ledger in memory with a random history."""
    clock = ManualClock()
    ledger = MemoryLedger(clock)
    History(ledger, clock, Random(seed)).play(steps)
    return ledger
