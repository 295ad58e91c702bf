"""Random lives of one account beside a model written from the rules: every answer, every balance, every replay."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from ledger import errors
from ledger.domain import commands
from ledger.domain.account import encode_account
from ledger.domain.verdicts import Done, Refused
from ledger.store.memory import MemoryLedger
from ledger.writer.loading import replay
from ledger.writer.requests import Append
from tests.support.ledger import ManualClock, done, request


@dataclass
class ModelGrant:
    """A bucket in the model: how much is free and held of it."""

    burn: tuple[int, float, int]
    ends_at: float
    free: int
    held: int = 0


@dataclass
class ModelHold:
    """A hold in the model: what it pins, by grant, in burn order."""

    parts: list[tuple[UUID, int]]
    lease_until: float
    state: str = "open"


@dataclass
class Model:
    """The rules once more, without events: written from the specification, sharing no code with the ledger."""

    now: float = 0.0
    grants: dict[UUID, ModelGrant] = field(default_factory=dict)
    holds: dict[UUID, ModelHold] = field(default_factory=dict)

    def expire(self) -> None:
        """Nothing free outlives its end."""
        for one in self.grants.values():
            if one.ends_at <= self.now:
                one.free = 0

    def available(self) -> int:
        """What can be spent."""
        return sum(one.free for one in self.grants.values() if one.ends_at > self.now)

    def held(self) -> int:
        """What is pinned."""
        return sum(part for one in self.holds.values() for _, part in one.parts)

    def take(self, amount: int) -> list[tuple[UUID, int]]:
        """Burn order."""
        parts: list[tuple[UUID, int]] = []
        for grant_id, one in sorted(self.grants.items(), key=lambda item: item[1].burn):
            part = min(amount, one.free)
            if part:
                one.free -= part
                amount -= part
                parts.append((grant_id, part))
        return parts

    def end(self, one: ModelHold, state: str) -> None:
        """Give back what is pinned."""
        for grant_id, part in one.parts:
            self.grants[grant_id].held -= part
            self.grants[grant_id].free += part
        one.parts, one.state = [], state


AMOUNTS = st.integers(1, 1_000)


class AccountMachine(RuleBasedStateMachine):
    """Hypothesis picks what happens next; one in some appends loses its acknowledgement."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.ledger = MemoryLedger(self.clock)
        self.model = Model()
        self.account_id = uuid4()
        self.lose_next = False
        self.ledger.database.fail = self._fail
        self.orders = 0
        done(self.ledger, commands.OpenAccount(account_id=self.account_id, organisation_id=uuid4(), max_open_holds=8))

    def _fail(self, asked: object, moment: str) -> None:
        if self.lose_next and isinstance(asked, Append) and moment == "after":
            self.lose_next = False
            raise errors.ConnectionLost("lost on the way back")

    def ask(self, command: commands.Command) -> Done | Refused:
        """Submit twice under one key: the answers are the same."""
        wanted = request(command, origin="caller")
        first, again = self.ledger.submit(wanted), self.ledger.submit(wanted)
        assert again.verdict == first.verdict and again.replayed
        self.model.expire()
        return first.verdict

    @rule()
    def lose_an_acknowledgement(self) -> None:
        self.lose_next = True

    @rule(seconds=st.integers(1, 100))
    def wait(self, seconds: int) -> None:
        self.clock.pass_s(seconds)
        self.model.now += seconds

    @rule(amount=AMOUNTS, priority=st.integers(0, 2), lifetime=st.one_of(st.none(), st.integers(1, 200)))
    def grant(self, amount: int, priority: int, lifetime: int | None) -> None:
        grant_id = uuid4()
        command = commands.GrantCredits(
            account_id=self.account_id,
            grant_id=grant_id,
            amount_ucr=amount,
            kind="paid",
            priority=priority,
            lifetime_s=lifetime,
        )
        assert isinstance(self.ask(command), Done)
        ends_at = float("inf") if lifetime is None else self.model.now + lifetime
        self.orders += 1
        self.model.grants[grant_id] = ModelGrant((priority, ends_at, self.orders), ends_at, amount)

    @rule(target=holds, amount=AMOUNTS, lease=st.integers(1, 100))
    def hold(self, amount: int, lease: int) -> UUID:
        hold_id = uuid4()
        verdict = self.ask(
            commands.HoldCredits(account_id=self.account_id, hold_id=hold_id, amount_ucr=amount, lease_s=lease)
        )
        open_holds = sum(one.state == "open" for one in self.model.holds.values())
        if open_holds >= 8 or amount > self.model.available():
            code = "too-many-holds" if open_holds >= 8 else "insufficient-credits"
            assert isinstance(verdict, Refused) and verdict.code == code
            return hold_id
        assert isinstance(verdict, Done)
        parts = self.model.take(amount)
        for grant_id, part in parts:
            self.model.grants[grant_id].held += part
        self.model.holds[hold_id] = ModelHold(parts, self.model.now + lease)
        return hold_id

    @rule(hold_id=holds, amount=AMOUNTS, final=st.booleans())
    def commit(self, hold_id: UUID, amount: int, final: bool) -> None:
        verdict = self.ask(
            commands.CommitHold(account_id=self.account_id, hold_id=hold_id, amount_ucr=amount, final=final)
        )
        one = self.model.holds.get(hold_id)
        if one is None or one.state != "open":
            assert isinstance(verdict, Refused)
            assert verdict.code == ("hold-unknown" if one is None else "hold-resolved")
            return
        if amount > sum(part for _, part in one.parts):
            assert isinstance(verdict, Refused) and verdict.code == "commit-above-hold"
            return
        assert isinstance(verdict, Done)
        left = amount
        for index, (grant_id, part) in enumerate(one.parts):
            spent = min(left, part)
            left -= spent
            self.model.grants[grant_id].held -= spent
            one.parts[index] = (grant_id, part - spent)
        one.parts = [(grant_id, part) for grant_id, part in one.parts if part]
        if final or not one.parts:
            self.model.end(one, "committed")

    @rule(hold_id=consumes(holds), expire=st.booleans())
    def let_go(self, hold_id: UUID, expire: bool) -> None:
        one = self.model.holds.get(hold_id)
        fields = {"account_id": self.account_id, "hold_id": hold_id}
        command = commands.ExpireHold(**fields) if expire else commands.ReleaseHold(**fields, reason="x")
        verdict = self.ask(command)
        if one is None or one.state != "open":
            assert isinstance(verdict, Refused)
        elif expire and self.model.now < one.lease_until:
            assert isinstance(verdict, Refused) and verdict.code == "hold-not-due"
        else:
            assert isinstance(verdict, Done)
            self.model.end(one, "expired" if expire else "released")

    @rule(amount=AMOUNTS)
    def debit(self, amount: int) -> None:
        verdict = self.ask(
            commands.DebitCredits(account_id=self.account_id, debit_id=uuid4(), amount_ucr=amount, reason="x")
        )
        if amount > self.model.available():
            assert isinstance(verdict, Refused) and verdict.facts["available_ucr"] == self.model.available()
        else:
            assert isinstance(verdict, Done)
            self.model.take(amount)

    @invariant()
    def invariant_05_the_balance_is_the_models(self) -> None:
        balance = self.ledger.balance(self.account_id)
        assert balance is not None
        assert (balance.available_ucr, balance.held_ucr) == (self.model.available(), self.model.held())
        assert balance.posted_ucr == balance.available_ucr + balance.held_ucr + balance.frozen_ucr
        assert balance.open_holds == sum(one.state == "open" for one in self.model.holds.values())

    @invariant()
    def invariant_06_nothing_is_below_zero_and_invariant_32_grants_add_up(self) -> None:
        balance = self.ledger.balance(self.account_id)
        assert balance is not None
        assert min(balance.available_ucr, balance.held_ucr, balance.posted_ucr) >= 0
        assert sum(view.free_ucr + view.held_ucr for view in balance.grants) == balance.posted_ucr
        assert {view.grant_id: (view.free_ucr, view.held_ucr) for view in balance.grants} == {
            grant_id: (one.free if one.ends_at > self.model.now else 0, one.held)
            for grant_id, one in self.model.grants.items()
            if one.held or (one.free and one.ends_at > self.model.now)
        }

    @invariant()
    def invariant_10_replaying_the_stream_gives_the_same_bytes(self) -> None:
        account, rows = replay(self.account_id, self.ledger.stream(self.account_id, limit=10_000))
        assert encode_account(account) == self.ledger.database.accounts[self.account_id].state
        assert rows.holds == self.ledger.database.holds


TestInvariants05And06And10And22And32 = AccountMachine.TestCase
TestInvariants05And06And10And22And32.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
