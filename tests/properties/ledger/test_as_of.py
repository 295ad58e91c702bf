"""The past at every position of random histories, beside a full replay of what had happened until then."""

from __future__ import annotations

from random import Random
from typing import get_args

import msgspec
import pytest

from ledger import as_of
from ledger.domain import commands
from ledger.domain.account import Account
from ledger.domain.codec import account_event, is_account_event
from ledger.domain.events import AccountEvent
from ledger.domain.evolve import Rows, evolve
from ledger.effective import posted_change
from ledger.errors import UpgradeNeeded
from ledger.ports import Balance, HoldView
from ledger.store.memory import MemoryLedger
from ledger.views import balance_view, hold_view
from ledger.writer import appending
from ledger.writer.loading import empty, replay
from tests.support.ledger import ManualClock
from tests.support.lives import Lives

EVERY = 8
STEPS = 260


@pytest.fixture(autouse=True)
def _many_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "SNAPSHOT_EVERY", EVERY)
    monkeypatch.setattr(as_of, "PAGE", EVERY)


def lived(seed: int, steps: int = STEPS) -> tuple[MemoryLedger, Lives]:
    """A ledger in memory with two random lives, and time passed since."""
    clock = ManualClock()
    ledger = MemoryLedger(clock)
    lives = Lives(ledger, clock, Random(seed))
    lives.play(steps)
    clock.pass_s(10_000)
    return ledger, lives


def open_ones(rows: Rows) -> list[HoldView]:
    """Open holds of a replay, newest first."""
    found = [hold for hold in rows.holds.values() if hold.state == "open"]
    return [hold_view(hold) for hold in sorted(found, key=lambda hold: -hold.opened_position)]


@pytest.mark.parametrize("seed", range(12))
def test_invariant_29_as_of_every_position_is_the_replay_of_the_prefix(seed: int) -> None:
    ledger, lives = lived(seed)
    for account_id in (*lives.accounts, lives.closed):
        account, rows = empty(account_id), Rows()
        for recorded in ledger.log(after=0, limit=100_000):
            if recorded.stream_id == account_id:
                evolve(account, rows, account_event(recorded.state), recorded.recorded_at, recorded.position)
            compare(ledger, account, rows, recorded.position)


def compare(ledger: MemoryLedger, account: Account, rows: Rows, position: int) -> None:
    """One account as of one position, against its replay until then."""
    recorded = ledger.log(after=position - 1, limit=1)[0]
    found = ledger.balance_at(account.account_id, position=position)
    if account.version == 0:
        assert found is None
        return
    assert found is not None
    assert found == balance_view(account, log_position=position, at=recorded.recorded_at)
    compare_sums(found, account)
    holds = open_ones(rows)
    assert ledger.open_holds_at(account.account_id, position=position, limit=100) == holds
    assert ledger.open_holds_at(account.account_id, position=position, limit=2) == holds[:2]
    for hold_id, hold in list(rows.holds.items())[-20:]:
        assert ledger.hold_at(hold_id, position=position) == hold_view(hold)


def compare_sums(found: Balance, account: Account) -> None:
    """The grants shown are where all of it lies, but for overdraft and debt."""
    held_ucr, owed_ucr = account.overdraft_held_ucr, account.debt_ucr
    assert sum(grant.frozen_ucr for grant in found.grants) == found.frozen_ucr
    assert sum(grant.held_ucr for grant in found.grants) == found.held_ucr - held_ucr
    assert sum(grant.free_ucr for grant in found.grants) == found.available_ucr + held_ucr + owed_ucr


@pytest.mark.parametrize("seed", range(4))
def test_invariant_29_as_of_a_recorded_time_is_all_that_was_recorded_until_then(seed: int) -> None:
    ledger, lives = lived(seed, 120)
    log = ledger.log(after=0, limit=100_000)
    moments = {log[0].recorded_at} | {event.recorded_at for event in log}
    for at in sorted(moments | {one.replace(microsecond=1) for one in moments}):
        position = sum(event.recorded_at <= at for event in log)
        for account_id in (*lives.accounts, lives.closed):
            until = [event for event in log[:position] if event.stream_id == account_id]
            expected = balance_view(replay(account_id, until)[0], log_position=position, at=at) if until else None
            assert ledger.balance_at(account_id, recorded_at=at) == expected


@pytest.mark.parametrize("seed", range(6))
def test_every_event_says_what_it_does_to_posted(seed: int) -> None:
    ledger, lives = lived(seed)
    for account_id in (*lives.accounts, lives.closed):
        account, rows = empty(account_id), Rows()
        for recorded in ledger.stream(account_id, limit=100_000):
            before, event = account.posted_ucr, account_event(recorded.state)
            evolve(account, rows, event, recorded.recorded_at, recorded.position)
            assert account.posted_ucr - before == posted_change(event), event


def test_the_histories_know_every_command_and_event() -> None:
    done, seen = set[str](), set[type]()
    for seed in range(12):
        ledger, lives = lived(seed)
        done |= lives.done
        log = ledger.log(after=0, limit=100_000)
        seen |= {type(account_event(one.state)) for one in log if is_account_event(one.tag)}
    assert set(get_args(AccountEvent)) == seen
    assert {kind.__name__ for kind in get_args(commands.AccountCommand)} == done


def test_snapshots_of_another_format_are_passed_over() -> None:
    ledger, lives = lived(3)
    account_id = lives.accounts[0]
    head = ledger.head()
    expected = [ledger.balance_at(account_id, position=position) for position in range(1, head + 1)]
    rows = ledger.database.snapshots
    assert len(rows) > 10
    for number, key in enumerate(sorted(rows)):
        if number % 2:
            rows[key] = rows[key]._replace(format=99, state=b"?")
    assert [ledger.balance_at(account_id, position=position) for position in range(1, head + 1)] == expected
    for key in rows:
        rows[key] = rows[key]._replace(format=99, state=b"?")
    assert [ledger.balance_at(account_id, position=position) for position in range(1, head + 1)] == expected


def test_a_grant_without_a_row_is_found_by_the_whole_stream() -> None:
    ledger, lives = lived(4)
    head, account_id = ledger.head(), lives.accounts[0]
    expected = [ledger.balance_at(account_id, position=position) for position in range(1, head + 1)]
    ledger.database.grants.clear()
    assert [ledger.balance_at(account_id, position=position) for position in range(1, head + 1)] == expected


def test_an_event_of_a_newer_release_is_named() -> None:
    ledger, lives = lived(5, 20)
    account_id = lives.accounts[0]
    stream = ledger.database.streams[account_id]
    stream[-1] = stream[-1]._replace(state=msgspec.msgpack.encode(["ledger.unheard-of.v1"]))
    ledger.database.snapshots.clear()
    with pytest.raises(UpgradeNeeded):
        ledger.balance_at(account_id, position=ledger.head())
