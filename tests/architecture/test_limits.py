"""Every bound of the ledger bites: at the limit all is well, one above is refused by name. None is without its test."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from threading import Event as Signal
from typing import Any, Self
from uuid import UUID, uuid4

import pytest

from ledger import errors, limits
from ledger.amounts import parse_credits
from ledger.domain import commands, events
from ledger.domain.account import Account
from ledger.domain.codec import NewEvent, encode_event
from ledger.domain.verdicts import Answer, Done, Refused, Verdict
from ledger.follower import follow_once
from ledger.ports import Companion, LedgerWriter, Request
from ledger.remote.client import WriterClient
from ledger.sansio import Run
from ledger.store.memory import MemoryDatabase, MemoryLedger
from ledger.writer.ahead import may_go_ahead
from ledger.writer.chain import GENESIS
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import Append, Head, ReadUnderLock, UnderLock, WriterRequest
from ledger.writer_thread import WriterThread
from projections.statement import StatementFollower
from tests.support.domain import D1, G1, G2, H1, NOON, OURS, R1, WHO, Life, after
from tests.support.ledger import ManualClock, open_account, request

BEGINNING = Head(0, GENESIS, NOON)
BOUNDS = {name: value for name, value in vars(limits).items() if name.isupper()}
Patch = pytest.MonkeyPatch
BITES: dict[str, Callable[[Patch], None]] = {}


def bites(check: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Register the check of the bound that it is named after."""
    BITES[check.__name__.upper()] = check
    return check


def world(credit: int = 1_000) -> tuple[MemoryLedger, UUID]:
    """A ledger, and an account with credits."""
    ledger = MemoryLedger(ManualClock())
    return ledger, open_account(ledger, credit=credit)


def refuses(field: str, command: commands.Command | None = None, **more: Any) -> None:
    """Refused before the queue, naming the field."""
    fields: dict[str, Any] = {"key": "k", "operation": "o", "command": command, "scope_id": OURS} | more
    with pytest.raises(errors.InvalidRequest) as refusal:
        prepare(Request(**fields), b"secret")
    assert refusal.value.field == field


def accepts(command: commands.Command | None = None, **more: Any) -> None:
    """Let through to the queue."""
    fields: dict[str, Any] = {"key": "k", "operation": "o", "command": command, "scope_id": OURS} | more
    prepare(Request(**fields), b"secret")


def giving(**more: Any) -> commands.GrantCredits:
    return commands.GrantCredits(**WHO | {"grant_id": G1, "amount_ucr": 1, "kind": "paid"} | more)


def holding(**more: Any) -> commands.HoldCredits:
    return commands.HoldCredits(**WHO | {"hold_id": H1, "amount_ucr": 1, "lease_s": 1} | more)


def debiting(account_id: UUID, amount_ucr: int = 1, **more: Any) -> commands.DebitCredits:
    fields: dict[str, Any] = {"debit_id": uuid4(), "reason": "x"} | more
    return commands.DebitCredits(account_id=account_id, amount_ucr=amount_ucr, **fields)


def beside(*states: bytes) -> tuple[Companion, ...]:
    return (Companion(R1, 0, tuple(NewEvent("test.x.v1", state) for state in states)),)


def both(field: str, command: Callable[..., commands.Command], bound: int) -> None:
    """A number up to its bound and not one above."""
    accepts(command(**{field: bound}))
    refuses(field, command(**{field: bound + 1}))


# Numbers and texts


@bites
def ucr_per_credit(_: Patch) -> None:
    assert parse_credits("0.000001") * limits.UCR_PER_CREDIT == parse_credits("1")
    with pytest.raises(ValueError, match="expected"):
        parse_credits("0.0000001")


@bites
def int64_max(_: Patch) -> None:
    most = limits.INT64_MAX
    accepts(giving(), expected_account_version=most)
    refuses("expected_account_version", giving(), expected_account_version=most + 1)


@bites
def amount_max_ucr(_: Patch) -> None:
    both("amount_ucr", giving, limits.AMOUNT_MAX_UCR)
    both("amount_ucr", holding, limits.AMOUNT_MAX_UCR)
    both("cap_ucr", holding, limits.AMOUNT_MAX_UCR)
    policy: dict[str, Any] = WHO | {"max_open_holds": 1}
    both("overdraft_limit_ucr", lambda **more: commands.SetPolicy(**policy | more), limits.AMOUNT_MAX_UCR)
    said: dict[str, Any] = WHO | {"adjustment_id": D1, "cause": "correction", "operator_id": G1, "approver_id": G2}
    both("amount_ucr", lambda **more: commands.AdjustBalance(**said | more), limits.AMOUNT_MAX_UCR)
    refuses("amount_ucr", commands.AdjustBalance(**said, amount_ucr=-limits.AMOUNT_MAX_UCR - 1))


@bites
def value_max_micro(_: Patch) -> None:
    both("cost_micro", giving, limits.VALUE_MAX_MICRO)
    both("list_value_micro", giving, limits.VALUE_MAX_MICRO)


@bites
def key_chars_max(_: Patch) -> None:
    for field in ("key", "operation"):
        accepts(giving(), **{field: "x" * limits.KEY_CHARS_MAX})
        refuses(field, giving(), **{field: "x" * (limits.KEY_CHARS_MAX + 1)})


@bites
def text_chars_max(_: Patch) -> None:
    accepts(giving(reason="x" * limits.TEXT_CHARS_MAX))
    refuses("reason", giving(reason="x" * (limits.TEXT_CHARS_MAX + 1)))


@bites
def open_holds_max(_: Patch) -> None:
    both("max_open_holds", lambda **more: commands.SetPolicy(**WHO | more), limits.OPEN_HOLDS_MAX)
    life = Life(max_open_holds=1)
    life.grant()
    life.hold(D1, 1)
    life.refuses(holding(), "too-many-holds", open_holds=1, max_open_holds=1)


@bites
def grants_max(_: Patch) -> None:
    life = Life()
    for number in range(limits.GRANTS_MAX):
        life.grant(UUID(int=0x1000 + number), 1)
    life.refuses(giving(), "too-many-grants", grants_max=limits.GRANTS_MAX)
    life.debit(D1, 1)
    life.decided(giving())


@bites
def posted_max_ucr(_: Patch) -> None:
    ledger, account_id = world(credit=0)
    full = [giving(account_id=account_id, grant_id=uuid4(), amount_ucr=limits.AMOUNT_MAX_UCR) for _ in range(101)]
    verdicts = [ledger.submit(request(command)).verdict for command in full]
    assert isinstance(verdicts[-2], Done) and verdicts[-2].posted_ucr == limits.POSTED_MAX_UCR
    assert isinstance(verdicts[-1], Refused) and verdicts[-1].code == "balance-too-large"


@bites
def debt_max_ucr(patch: Patch) -> None:
    patch.setattr(limits, "DEBT_MAX_UCR", 3)
    life = Life()
    life.grant(G1, 4)
    life.debit(D1, 4)
    command = commands.RevokeCredits(**WHO, grant_id=G1, cause="refund")
    life.refuses(command, "debt-too-large", debt_ucr=0, amount_ucr=4, debt_max_ucr=3)
    life.revoke(G1, 3)


# Times


@bites
def hold_lease_max_s(_: Patch) -> None:
    both("lease_s", holding, limits.HOLD_LEASE_MAX_S)
    both("lease_s", lambda **more: commands.RenewHold(**WHO | more, hold_id=H1), limits.HOLD_LEASE_MAX_S)


@bites
def grant_lifetime_max_s(_: Patch) -> None:
    both("lifetime_s", giving, limits.GRANT_LIFETIME_MAX_S)
    said: dict[str, Any] = WHO | {"reversal_id": R1, "debit_id": D1, "reason": "x"}
    both("grace_s", lambda **more: commands.ReverseDebit(**said | more), limits.GRANT_LIFETIME_MAX_S)


@bites
def late_finish_max_s(_: Patch) -> None:
    life = Life()
    life.grant()
    life.hold(H1, 1, lease_s=1)
    life.pass_s(1)
    life.expire()
    life.pass_s(limits.LATE_FINISH_MAX_S)
    command = commands.CommitHold(**WHO, hold_id=H1, amount_ucr=1, late=True)
    life.decided(command)
    life.pass_s(1)
    life.refuses(command, "late-finish-over", hold_id=str(H1), resolved_at="2026-01-01T12:00:01Z")


@bites
def reversal_grace_s(_: Patch) -> None:
    life = Life()
    life.grant(G1, 5, lifetime_s=1)
    life.debit(D1, 5)
    life.pass_s(1)
    life.reverse(D1)
    assert life.live().expires_at == after(1 + limits.REVERSAL_GRACE_S)


@bites
def submit_timeout_s(_: Patch) -> None:
    for writer in (LedgerWriter, MemoryLedger, WriterThread, WriterClient):
        for method in (writer.submit, writer.submit_many):
            assert inspect.signature(method).parameters["timeout_s"].default == limits.SUBMIT_TIMEOUT_S
    with Blocked() as blocked:
        taken = blocked.busy(timeout_s=5.0)
        with pytest.raises(errors.NotDone):
            blocked.writer.submit(request(debiting(D1)), timeout_s=0.01)
        assert isinstance(taken.exception(30), errors.OutcomeUnknown)


def asked_at(clock: timedelta, head: timedelta) -> Verdict:
    """What a batch is answered by clocks that differ."""
    said = UnderLock(Head(1, GENESIS, NOON + head), NOON, NOON + clock, {}, {}, {}, {}, 0.0)
    (answer,) = run(write([prepare(request(debiting(D1)), b"")], Memory()), lambda asked: _read(asked, said))
    return answer.verdict


def _read(asked: WriterRequest, said: UnderLock) -> object:
    return said if isinstance(asked, ReadUnderLock) else None


def skewed(clock: timedelta, head: timedelta = timedelta(0)) -> object:
    """By how much clocks are told to differ, in milliseconds; the other refusal where they agree well enough."""
    verdict = asked_at(clock, head)
    assert isinstance(verdict, Refused)
    return verdict.facts["skew_ms"] if verdict.code == "clock-skew" and verdict.transient else verdict.code


@bites
def clock_skew_max_s(_: Patch) -> None:
    most, more = timedelta(seconds=limits.CLOCK_SKEW_MAX_S), timedelta(milliseconds=1)
    assert skewed(most) == skewed(-most) == "account-unknown"
    assert skewed(most + more) == skewed(-most - more) == limits.CLOCK_SKEW_MAX_S * 1_000 + 1


@bites
def head_ahead_max_s(_: Patch) -> None:
    most, more = timedelta(seconds=limits.HEAD_AHEAD_MAX_S), timedelta(milliseconds=1)
    assert skewed(timedelta(0), most) == "account-unknown"
    assert skewed(timedelta(0), most + more) == limits.HEAD_AHEAD_MAX_S * 1_000 + 1


# How many


@bites
def event_bytes_max(_: Patch) -> None:
    accepts(on_accept=beside(b"x" * limits.EVENT_BYTES_MAX))
    refuses("companions", on_accept=beside(b"x" * (limits.EVENT_BYTES_MAX + 1)))


@bites
def companion_events_max(_: Patch) -> None:
    accepts(on_accept=beside(*[b"{}"] * limits.COMPANION_EVENTS_MAX))
    refuses("companions", on_accept=beside(*[b"{}"] * (limits.COMPANION_EVENTS_MAX + 1)))


@bites
def linked_max(_: Patch) -> None:
    accepts(giving(), linked=(giving(),) * (limits.LINKED_MAX - 1))
    refuses("linked", giving(), linked=(giving(),) * limits.LINKED_MAX)


@bites
def budgets_max(_: Patch) -> None:
    ids = tuple(UUID(int=number) for number in range(limits.BUDGETS_MAX + 1))
    for command in (holding, lambda **more: debiting(D1, **more)):
        accepts(command(budgets=ids[1:]))
        refuses("budgets", command(budgets=ids))


@bites
def refunds_remembered_max(_: Patch) -> None:
    life = Life()
    for number in range(limits.REFUNDS_REMEMBERED_MAX + 1):
        life.grant(UUID(int=0x1000 + number), 1, receipt_id=UUID(int=0x2000 + number))
        life.revoke(UUID(int=0x1000 + number))
    kept = [one.receipt_id.int for one in life.account.refunds]
    assert kept == [0x2000 + number for number in range(1, limits.REFUNDS_REMEMBERED_MAX + 1)]


@bites
def slices_max(_: Patch) -> None:
    life = Life()
    for number in range(limits.SLICES_MAX + 1):
        life.grant(UUID(int=0x1000 + number), 1)
    life.decided(holding(amount_ucr=limits.SLICES_MAX))
    life.refuses(holding(amount_ucr=limits.SLICES_MAX + 1), "too-many-slices", slices_max=limits.SLICES_MAX)


@bites
def refusals_kept_per_account_day(patch: Patch) -> None:
    patch.setattr(limits, "REFUSALS_KEPT_PER_ACCOUNT_DAY", 2)
    ledger, account_id = world(credit=0)
    wanted = [request(debiting(account_id), origin="caller") for _ in range(3)]
    codes = [verdict.code for verdict in map(ledger_verdict(ledger), wanted) if isinstance(verdict, Refused)]
    assert codes == ["insufficient-credits", "insufficient-credits", "too-many-refusals"]


def ledger_verdict(ledger: MemoryLedger) -> Callable[[Request], Verdict]:
    return lambda one: ledger.submit(one).verdict


@bites
def snapshot_every(_: Patch) -> None:
    ledger, account_id = world()
    ledger.submit_many([request(debiting(account_id)) for _ in range(2 * limits.SNAPSHOT_EVERY)])
    assert [version for _, version in ledger.database.snapshots] == [limits.SNAPSHOT_EVERY, 2 * limits.SNAPSHOT_EVERY]


@bites
def accounts_cached_max(_: Patch) -> None:
    assert inspect.signature(Memory).parameters["accounts_max"].default == limits.ACCOUNTS_CACHED_MAX
    memory = Memory(accounts_max=10)
    for number in range(100):
        account = Account(account_id=UUID(int=number), organisation_id=OURS, version=1)
        memory.keep({account.account_id: account}, [], BEGINNING)
        known = sum(memory.get(UUID(int=seen)) is not None for seen in range(100))
        assert memory.get(account.account_id) is account and known <= 10 + 1, "and what the last batch touched"


@bites
def holds_cached_max(patch: Patch) -> None:
    patch.setattr(limits, "HOLDS_CACHED_MAX", 2)
    life, memory = Life(), Memory()
    life.grant()
    for number in range(3):
        life.hold(UUID(int=number + 1), 1)
        memory.keep({}, [life.rows.holds[UUID(int=number + 1)]], BEGINNING)
        assert len(memory.holds) == [1, 2, 0][number]


@bites
def ahead_after(_: Patch) -> None:
    memory = Memory()
    for looks in range(limits.AHEAD_AFTER):
        memory.see(BEGINNING)
        assert not may_go_ahead(memory), looks
    memory.see(BEGINNING)
    assert may_go_ahead(memory)


@bites
def ahead_max_s(patch: Patch) -> None:
    patch.setattr(limits, "AHEAD_MAX_S", 3.0)
    for waited_s, refused in ((3.0, False), (3.1, True)):
        clock = ManualClock()
        database = MemoryDatabase(clock)
        append = Append(Head(0, GENESIS, clock.now()), 0, decided_on=GENESIS)
        clock.pass_s(waited_s)
        with pytest.raises(errors.Overtaken) if refused else nullcontext():
            database.answer(append)


@bites
def appends_lost_max(_: Patch) -> None:
    for lost, done in ((limits.APPENDS_LOST_MAX - 1, True), (limits.APPENDS_LOST_MAX, False)):
        ledger, account_id = world()
        left = iter(range(lost))

        def lose(asked: WriterRequest, moment: str, left: Iterator[int] = left) -> None:
            if isinstance(asked, Append) and moment == "before" and next(left, None) is not None:
                raise errors.ConnectionLost("over the append")

        ledger.database.fail = lose
        wanted = commands.DebitCredits(account_id=account_id, debit_id=D1, amount_ucr=1, reason="x")
        assert isinstance(ledger.submit(request(wanted)).verdict, Done) is done


@bites
def follower_batch_max(_: Patch) -> None:
    assert inspect.signature(follow_once).parameters["limit"].default == limits.FOLLOWER_BATCH_MAX


@bites
def follower_idle_max_s(patch: Patch) -> None:
    patch.setattr("ledger.follower.FOLLOWER_IDLE_MAX_S", 7)
    claim = next(follow_once(StatementFollower()))
    assert isinstance(claim, Run) and claim.params["idle_max"] == "7s"


# The queue


class Blocked:
    """A writer whose store answers nothing until the test lets it; ``asked`` gathers how large its batches were."""

    def __init__(self) -> None:
        self.database = MemoryDatabase(ManualClock())
        self.entered, self.let = Signal(), Signal()
        self.asked: list[int] = []
        self.database.fail = self._wait
        self.writer = WriterThread(self, b"secret")
        self.calls = ThreadPoolExecutor(8)

    def busy(self, timeout_s: float = 30.0) -> Future[Answer]:
        """One request is in the writer's hands, and stays there."""
        call = self.calls.submit(self.writer.submit, request(debiting(D1)), timeout_s=timeout_s)
        assert self.entered.wait(30)
        return call

    def answer(self, request: WriterRequest) -> Any:
        """As the twin answers."""
        return self.database.answer(request)

    look = answer

    def pack(self, append: Append) -> None:
        """Nothing needs to be made ready."""

    def close(self) -> None:
        """Nothing is held."""

    def _wait(self, asked: WriterRequest, moment: str) -> None:
        if isinstance(asked, ReadUnderLock) and moment == "before":
            self.asked.append(len(asked.keys))
            self.entered.set()
            assert self.let.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let.set()
        self.writer.close()
        self.calls.shutdown()


@bites
def queue_commands_max(patch: Patch) -> None:
    patch.setattr(limits, "QUEUE_COMMANDS_MAX", 5)
    with Blocked() as blocked:
        blocked.busy()
        wanted = [request(debiting(D1)) for _ in range(6)]
        with pytest.raises(errors.NotDone, match="the deadline passed while the request was queued"):
            blocked.writer.submit_many(wanted[1:], timeout_s=0.0)
        with pytest.raises(errors.NotDone, match="the writer's queue is full"):
            blocked.writer.submit_many(wanted, timeout_s=0.0)


@bites
def batch_commands_max(patch: Patch) -> None:
    patch.setattr(limits, "BATCH_COMMANDS_MAX", 4)
    with Blocked() as blocked:
        blocked.let.set()
        answers = blocked.writer.submit_many([request(debiting(D1)) for _ in range(11)])
        assert len(answers) == 11 and blocked.asked == [4, 4, 3]


@bites
def batch_bytes_max(patch: Patch) -> None:
    patch.setattr(limits, "BATCH_BYTES_MAX", 2 * prepare(request(debiting(D1)), b"").size)
    with Blocked() as blocked:
        blocked.busy()
        rest = [blocked.calls.submit(blocked.writer.submit, request(debiting(D1))) for _ in range(4)]
        while blocked.writer.queued < len(rest):
            time.sleep(0.001)
        blocked.let.set()
        assert all(isinstance(one.result(30).verdict, Refused) for one in rest)
        assert blocked.asked == [1, 2, 2]


# All of them


def test_every_bound_has_a_check_and_every_check_a_bound() -> None:
    assert set(BITES) == set(BOUNDS)


@pytest.mark.parametrize("name", sorted(BOUNDS))
def test_a_bound_bites(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BITES[name](monkeypatch)


FRACTIONS = {"SUBMIT_TIMEOUT_S", "CLOCK_SKEW_MAX_S", "HEAD_AHEAD_MAX_S", "AHEAD_MAX_S"}


def test_bounds_are_whole_and_above_zero() -> None:
    for name, value in BOUNDS.items():
        assert value > 0, name
        assert isinstance(value, float if name in FRACTIONS else int)


def test_the_largest_events_that_commands_can_cause_fit_the_bound_of_events() -> None:
    most = limits.INT64_MAX
    slices = tuple(events.Slice(UUID(int=most + number), most) for number in range(limits.SLICES_MAX))
    uses = tuple(events.BudgetUse(UUID(int=most + number), NOON) for number in range(limits.BUDGETS_MAX))
    text = "\N{GRINNING FACE}" * limits.TEXT_CHARS_MAX
    part: dict[str, Any] = {"kind": "subscription", "priority": most, "expires_at": NOON, "book_currency": "USD"}
    parts = tuple(
        events.TransferPart(
            grant_id=one.grant_id,
            from_grant_id=one.grant_id,
            amount_ucr=most,
            cost_micro=most,
            list_value_micro=most,
            receipt_id=G1,
            generation=most,
            **part,
        )
        for one in slices
    )
    largest = (
        events.CreditsDebited(debit_id=D1, amount_ucr=most, slices=slices, reason=text, reference=G1, budgets=uses),
        events.HoldCommitted(
            hold_id=H1, amount_ucr=most, slices=slices, final=True, returned=slices, frozen=slices, reference=G1
        ),
        events.CreditsTransferredIn(transfer_id=R1, from_account_id=D1, amount_ucr=most, parts=parts, reason=text),
    )
    for event in largest:
        assert len(encode_event(event).state) <= limits.EVENT_BYTES_MAX, type(event).__name__


def test_a_batch_at_its_bounds_never_overflows_an_account() -> None:
    ledger, account_id = world(credit=0)
    full = [giving(account_id=account_id, grant_id=uuid4(), amount_ucr=limits.AMOUNT_MAX_UCR) for _ in range(9)]
    verdicts = [ledger.submit(request(command)).verdict for command in full]
    last = verdicts[-1]
    assert isinstance(last, Done) and last.posted_ucr == 9 * limits.AMOUNT_MAX_UCR < limits.INT64_MAX
    assert last.posted_ucr // 9 * limits.BATCH_COMMANDS_MAX < limits.INT64_MAX
