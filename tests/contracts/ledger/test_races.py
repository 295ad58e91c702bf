"""Who asks at the same moment, on every ledger: one wins, and nobody reads half of what happened."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.verdicts import Done, Refused, Verdict
from ledger.ports import Balance
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, hold, open_account, request

CALLERS = 8


def at_once(world: World, wanted: list[commands.AccountCommand]) -> list[Verdict]:
    """What callers are told who all ask at the same moment."""
    with ThreadPoolExecutor(CALLERS) as threads:
        return list(threads.map(lambda command: world.ledger.submit(request(command)).verdict, wanted))


def test_invariant_19_of_a_commit_and_an_expiry_at_once_one_wins_and_the_other_is_told_which(world: World) -> None:
    account_id = open_account(world.ledger, credit=20)
    held = [hold(world.ledger, account_id, CREDIT, lease_s=1) for _ in range(6)]
    world.pass_s(1.2)
    for hold_id in held:
        racing: list[commands.AccountCommand] = [
            commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT),
            commands.ExpireHold(account_id=account_id, hold_id=hold_id),
        ]
        verdicts = at_once(world, racing * (CALLERS // 2))
        accepted = [number for number, verdict in enumerate(verdicts) if isinstance(verdict, Done)]
        assert len(accepted) == 1
        won = ("committed", "expired")[accepted[0] % 2]
        lost = [verdict for verdict in verdicts if isinstance(verdict, Refused)]
        assert {(verdict.code, verdict.facts["state"]) for verdict in lost} == {("hold-resolved", won)}
        found = world.ledger.hold(hold_id)
        assert found is not None and (found.state, found.remaining_ucr) == (won, 0)


def agrees(world: World, account_id: UUID, total_ucr: int) -> Balance:
    """One read: what is held is what its open holds pin, and the rest is available."""
    seen = world.ledger.balance(account_id)
    assert seen is not None
    assert (seen.posted_ucr, seen.available_ucr) == (total_ucr, total_ucr - seen.held_ucr)
    assert seen.held_ucr == seen.open_holds * CREDIT == sum(one.held_ucr for one in seen.grants)
    listed = world.ledger.open_holds_at(account_id, position=seen.log_position, limit=100)
    assert (len(listed), sum(one.remaining_ucr for one in listed)) == (seen.open_holds, seen.held_ucr)
    return seen


def test_invariant_20_an_expired_hold_is_gone_from_available_and_from_the_list_in_the_same_read(world: World) -> None:
    account_id = open_account(world.ledger, credit=20)
    held = [hold(world.ledger, account_id, CREDIT, lease_s=1) for _ in range(12)]
    world.pass_s(1.2)
    over = Event()

    def look() -> list[Balance]:
        seen = [agrees(world, account_id, 20 * CREDIT)]
        while not over.is_set():
            seen.append(agrees(world, account_id, 20 * CREDIT))
        return seen

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(look) for _ in range(2)]
        for hold_id in held:
            done(world.ledger, commands.ExpireHold(account_id=account_id, hold_id=hold_id))
            assert hold_id not in {one.hold_id for one in world.ledger.open_holds(account_id, limit=100)}
        over.set()
        for reader in readers:
            assert all(after.open_holds <= before.open_holds for before, after in pairwise(reader.result()))
    last = agrees(world, account_id, 20 * CREDIT)
    assert (last.available_ucr, last.open_holds) == (20 * CREDIT, 0)


def test_invariant_28_recorded_at_never_decreases_whoever_writes(world: World) -> None:
    accounts = [open_account(world.ledger, credit=100) for _ in range(3)]
    at_once(
        world,
        [
            commands.DebitCredits(account_id=accounts[number % 3], debit_id=uuid4(), amount_ucr=1, reason="x")
            for number in range(60)
        ],
    )
    events = world.ledger.log(after=0, limit=1_000)
    assert len(events) == 66
    assert all(before.recorded_at <= after.recorded_at for before, after in pairwise(events))
    assert all(event.recorded_at == event.effective_at for event in events)
