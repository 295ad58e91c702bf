"""A batch decided ahead: on the batch before it, which is not committed yet, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from ledger import errors, limits
from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.domain.commands import Command
from ledger.domain.verdicts import Answer, Refused
from ledger.ports import Companion, Request
from ledger.store.memory import MemoryDatabase
from ledger.writer.ahead import Asking, WithCare, may_go_ahead, write_ahead
from ledger.writer.core import run, write
from ledger.writer.memory import Memory
from ledger.writer.prepare import prepare
from ledger.writer.requests import CLOCK_ALONE, Append, WriterRequest
from simulation.ledger import runs
from simulation.ledger.steps import Give
from tests.support.ledger import CREDIT, ManualClock, request

SECRET = b"twin"
LEASE_S = 60
NEVER = 1_000_000


class Flight:
    """A batch that was decided, and is not appended."""

    def __init__(self, core: Asking[list[Answer]], append: Append, before: Flight | None) -> None:
        self.core = core
        self.append = append
        self.before = before
        self.landed = False


def _on_the_way(flight: Flight | None) -> list[Append]:
    return [] if flight is None or flight.landed else [*_on_the_way(flight.before), flight.append]


class Site:
    """A database with one writer."""

    def __init__(self, accounts_max: int = 1_000) -> None:
        self.clock = ManualClock()
        self.database = MemoryDatabase(self.clock)
        self.memory = Memory(accounts_max)
        self.asked: list[WriterRequest] = []

    def care(self, *requests: Request, memory: Memory | None = None) -> list[Answer]:
        """Do a batch under the lock."""
        batch = [prepare(one, SECRET) for one in requests]
        return run(write(batch, memory or self.memory), self.database.answer)

    def plan(self, *requests: Request, before: Flight | None = None, trust_after: int = NEVER) -> Flight:
        """Decide a batch ahead."""
        batch = [prepare(one, SECRET) for one in requests]
        core = write_ahead(batch, self.memory, _on_the_way(before), trust_after)
        question = next(core)
        while not isinstance(question, Append):
            self.asked.append(question)
            question = core.send(self.database.look(question))
        return Flight(core, question, before)

    def land(self, flight: Flight) -> list[Answer]:
        """Append it."""
        told = self.database.answer(flight.append)
        flight.landed = True
        with pytest.raises(StopIteration) as end:
            flight.core.send(told)
        return end.value.value

    def account(self, credit: int = 100) -> UUID:
        """A new account with credits."""
        account_id = uuid4()
        opened = commands.OpenAccount(account_id=account_id, organisation_id=ORGANISATION)
        granted = commands.GrantCredits(
            account_id=account_id, grant_id=uuid4(), amount_ucr=credit * CREDIT, kind="paid"
        )
        assert codes(self.care(request(opened), request(granted))) == ["done", "done"]
        return account_id


ORGANISATION = UUID(int=77)


def codes(answers: Sequence[Answer]) -> list[str]:
    """What was answered, in words."""
    return [one.verdict.code if isinstance(one.verdict, Refused) else "done" for one in answers]


def hold(account_id: UUID, hold_id: UUID, amount_ucr: int = CREDIT, **more: object) -> Command:
    return commands.HoldCredits(
        account_id=account_id,
        hold_id=hold_id,
        amount_ucr=amount_ucr,
        lease_s=LEASE_S,
        **more,  # type: ignore[arg-type]
    )


def both(site: Site, first: Sequence[Request], second: Sequence[Request]) -> tuple[list[Answer], list[Answer]]:
    """Two batches, the second decided while the first is on its way."""
    flying = site.plan(*first)
    behind = site.plan(*second, before=flying)
    return site.land(flying), site.land(behind)


def test_it_is_tried_only_when_nobody_else_has_written_for_a_while() -> None:
    site = Site()
    account_id = site.account()
    for _ in range(limits.AHEAD_AFTER):
        assert not may_go_ahead(site.memory)
        site.care(request(hold(account_id, uuid4())))
    assert may_go_ahead(site.memory)
    site.care(request(hold(account_id, uuid4())), memory=Memory())
    site.care(request(hold(account_id, uuid4())))
    assert not may_go_ahead(site.memory)


def test_a_key_in_flight_is_replayed() -> None:
    site = Site()
    account_id = site.account()
    again = request(hold(account_id, uuid4()), key="the same")
    first, second = both(site, [again], [again, request(hold(account_id, uuid4()))])
    assert (first[0].replayed, second[0].replayed) == (False, True)
    assert second[0].verdict == first[0].verdict
    assert len(site.database.holds) == 2


def test_invariant_05_a_hold_that_ends_in_flight_is_not_committed_again() -> None:
    site = Site()
    account_id, hold_id = site.account(), uuid4()
    site.care(request(hold(account_id, hold_id)))
    commit = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT)
    more = request(hold(account_id, uuid4()))
    first, second = both(site, [request(commit)], [request(commit), more])
    assert codes(first) == ["done"]
    assert codes(second) == ["hold-resolved", "done"]


def test_what_is_held_in_flight_cannot_be_held_again() -> None:
    site = Site()
    account_id = site.account(credit=3)
    wanted = [request(hold(account_id, uuid4(), 2 * CREDIT)) for _ in range(2)]
    site.care(request(hold(account_id, uuid4())))
    first, second = both(site, wanted[:1], [wanted[1], request(commands.ExpireGrants(account_id=account_id)), noted()])
    assert codes(first) == ["done"]
    assert codes(second)[0] == "insufficient-credits"


def noted(stream_id: UUID | None = None, after_version: int = 0) -> Request:
    """A request that appends to a stream of somebody else's."""
    companion = Companion(stream_id or uuid4(), after_version, (NewEvent("tests.noted.v1", b"{}"),))
    return Request(key=uuid4().hex, operation="note", scope_id=UUID(int=5), on_accept=(companion,))


def test_a_stream_that_grows_in_flight_has_grown() -> None:
    site = Site()
    site.account()
    stream_id = uuid4()
    first, second = both(site, [noted(stream_id)], [noted(stream_id), noted(stream_id, 1), noted(stream_id, 1)])
    assert codes(first) == ["done"]
    assert codes(second) == ["stream-conflict", "done", "stream-conflict"]
    assert [event.version for event in site.database.streams[stream_id]] == [1, 2]


def test_an_account_that_is_forgotten_in_flight_is_taken_from_what_is_appended() -> None:
    site = Site(accounts_max=2)
    accounts = [site.account() for _ in range(3)]
    flying = site.plan(*(request(hold(one, uuid4(), 60 * CREDIT)) for one in accounts))
    behind = site.plan(*(request(hold(one, uuid4(), 60 * CREDIT)) for one in accounts), noted(), before=flying)
    assert codes(site.land(flying)) == ["done"] * 3
    assert codes(site.land(behind)) == ["insufficient-credits"] * 3 + ["done"]


def test_a_budget_that_is_lowered_or_used_in_flight_binds() -> None:
    site = Site()
    account_id, budget_id = site.account(), uuid4()

    def limited(limit_ucr: int) -> Request:
        command = commands.SetBudget(
            budget_id=budget_id, organisation_id=ORGANISATION, subject="key", window="day", limit_ucr=limit_ucr
        )
        return request(command, scope_id=ORGANISATION)

    def wanted() -> Request:
        return request(hold(account_id, uuid4(), 4 * CREDIT, budgets=(budget_id,)))

    site.care(limited(20 * CREDIT))
    site.care(wanted())
    first, second = both(site, [wanted()], [wanted(), limited(30 * CREDIT)])
    assert (codes(first), codes(second)) == (["done"], ["done", "done"])
    first, second = both(site, [limited(15 * CREDIT)], [wanted(), noted()])
    assert (codes(first), codes(second)) == (["done"], ["budget-exceeded", "done"])
    assert list(site.database.usage.values()) == [12 * CREDIT]


def test_refusals_in_flight_count_towards_those_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REFUSALS_KEPT_PER_ACCOUNT_DAY", 1)
    site = Site()
    account_id = site.account(credit=1)
    too_much = [request(hold(account_id, uuid4(), 2 * CREDIT), origin="caller") for _ in range(2)]
    first, second = both(site, too_much[:1], [too_much[1], noted()])
    assert (codes(first), codes(second)) == (["insufficient-credits"], ["too-many-refusals", "done"])
    assert list(site.database.refusals.values()) == [1]


def test_what_is_on_its_way_is_written_as_it_was_decided() -> None:
    site = Site()
    account_id, hold_id = site.account(), uuid4()
    flying = site.plan(request(hold(account_id, hold_id)))
    commit = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT)
    behind = site.plan(request(commit), before=flying)
    site.land(flying)
    assert site.database.holds[hold_id].state == "open"
    site.land(behind)
    assert site.database.holds[hold_id].state == "committed"


def test_a_hold_that_expired_in_flight_and_is_finished_late_is_written_as_expired_first() -> None:
    site = Site()
    account_id, hold_id = site.account(), uuid4()
    site.care(request(hold(account_id, hold_id)))
    site.clock.pass_s(LEASE_S + 1)
    flying = site.plan(request(commands.ExpireHold(account_id=account_id, hold_id=hold_id)))
    late = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT, late=True)
    behind = site.plan(request(late), before=flying)
    site.land(flying)
    assert (site.database.holds[hold_id].state, site.database.holds[hold_id].committed_ucr) == ("expired", 0)
    assert codes(site.land(behind)) == ["done"]
    assert site.database.holds[hold_id].committed_ucr == CREDIT


def test_invariant_26_somebody_else_who_writes_first_undoes_it() -> None:
    site = Site()
    account_id = site.account(credit=3)
    flying = site.plan(request(hold(account_id, uuid4(), 2 * CREDIT)))
    assert codes(site.care(request(hold(account_id, uuid4(), 2 * CREDIT)), memory=Memory())) == ["done"]
    with pytest.raises(errors.Overtaken):
        site.land(flying)
    assert len(site.database.holds) == 1


@pytest.mark.parametrize(("passed_s", "lands"), [(0.9, True), (1.1, False), (-4.0, True), (-6.0, False)])
def test_a_batch_that_waits_too_long_is_decided_again(passed_s: float, lands: bool) -> None:
    site = Site()
    flying = site.plan(request(hold(site.account(), uuid4())))
    site.clock.pass_s(passed_s)
    if lands:
        assert codes(site.land(flying)) == ["done"]
    else:
        with pytest.raises(errors.Overtaken):
            site.land(flying)


def test_what_writes_nothing_is_answered_under_the_lock() -> None:
    site = Site()
    account_id = site.account()
    dry = request(hold(account_id, uuid4()), dry_run=True)
    with pytest.raises(WithCare):
        site.plan(dry)
    assert site.memory.known(account_id).certain, "nothing is forgotten over it"


def test_new_keys_and_holds_are_taken_to_be_new_without_asking() -> None:
    site = Site()
    account_id = site.account()
    flying = site.plan(request(hold(account_id, uuid4())), trust_after=0)
    again = request(hold(account_id, uuid4()), key="the same")
    behind = site.plan(again, before=flying, trust_after=0)
    last = site.plan(again, request(hold(account_id, uuid4())), before=behind, trust_after=0)
    assert site.asked == [CLOCK_ALONE] * 3
    assert codes(site.land(flying)) == codes(site.land(behind)) == ["done"]
    assert [one.replayed for one in site.land(last)] == [True, False]


def test_a_key_that_was_there_already_undoes_what_was_decided_without_asking() -> None:
    site = Site()
    account_id = site.account()
    debit = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="used")
    again = request(debit, key="the same")
    done = site.care(again)
    flying = site.plan(again, trust_after=0)
    with pytest.raises(errors.Overtaken):
        site.land(flying)
    assert len(site.database.holds) == 1
    site.memory.forget()
    assert site.care(again)[0].verdict == done[0].verdict


def test_a_hold_that_was_there_already_undoes_it_too() -> None:
    site = Site()
    account_id, hold_id = site.account(), uuid4()
    site.care(request(hold(account_id, hold_id)))
    site.care(request(commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="over")))
    with pytest.raises(errors.Overtaken):
        site.land(site.plan(request(hold(account_id, hold_id)), trust_after=0))


@pytest.mark.parametrize("what", ["a hold that is over", "a hold that is over, linked", "a stream", "another account"])
def test_what_may_be_there_is_asked_for(what: str) -> None:
    site = Site()
    account_id, hold_id = site.account(), uuid4()
    site.care(request(hold(account_id, hold_id)))
    release = commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="over")
    site.care(request(release))
    wanted = {
        "a hold that is over": request(release, origin="caller"),
        "a hold that is over, linked": request(hold(account_id, uuid4()), linked=(release,), origin="caller"),
        "a stream": noted(),
        "another account": request(commands.OpenAccount(account_id=uuid4(), organisation_id=ORGANISATION)),
    }[what]
    site.plan(wanted, request(hold(account_id, uuid4())), trust_after=0)
    assert CLOCK_ALONE not in site.asked


def test_a_key_that_came_twice_ends_the_trust_for_a_while() -> None:
    site = Site()
    account_id = site.account()
    debit = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="used")
    again = request(debit, key="the same")
    site.care(again)
    for trusts in (False, False, True):
        site.asked.clear()
        site.land(site.plan(request(hold(account_id, uuid4())), trust_after=2))
        assert (CLOCK_ALONE in site.asked) == trusts
    site.land(site.plan(again, request(hold(account_id, uuid4()))))
    site.asked.clear()
    site.land(site.plan(request(hold(account_id, uuid4())), trust_after=2))
    assert CLOCK_ALONE not in site.asked


@pytest.mark.parametrize("trust_after", [0, NEVER])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_batches_come_to_the_same_log_however_they_are_decided(seed: int, trust_after: int) -> None:
    batches = [step.requests for step in runs.play(seed, 200).history if isinstance(step, Give)]
    careful, ahead = Site(), Site()
    flight: Flight | None = None
    flying: Sequence[Request] = ()
    landed = 0
    for batch in [*batches, ()]:
        meant = careful.care(*batch)
        try:
            planned = ahead.plan(*batch, before=flight, trust_after=trust_after)
        except WithCare:
            planned = None
        if flight:
            try:
                landed += bool(ahead.land(flight))
            except errors.Overtaken:
                assert trust_after != NEVER
                ahead.memory.forget()
                ahead.care(*flying)
                planned = None
        if planned is None:
            assert ahead.care(*batch) == meant
        flight, flying = planned, batch
    assert landed > len(batches) // 8
    for table in ("events", "verdicts", "accounts", "holds", "grants", "budgets", "usage", "refusals", "head"):
        assert getattr(ahead.database, table) == getattr(careful.database, table), table
