"""The rest of the catalogue: life of an account, raises and late ends, roll-over, transfers, adjustments, linked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4, uuid5

import msgspec
import pytest

from ledger import limits
from ledger.domain import commands, events
from ledger.domain.account import decode_account
from ledger.domain.codec import NewEvent, account_event
from ledger.domain.verdicts import Answer, Done, Refused
from ledger.errors import InvalidRequest
from ledger.ports import Balance, Companion, Request
from ledger.store.memory import MemoryLedger
from ledger.writer.batch import SEALS
from ledger.writer.seal import seal
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, ManualClock, done, grant, hold, open_account, refused, request


def balance(world: World, account_id: UUID) -> Balance:
    found = world.ledger.balance(account_id)
    assert found is not None
    return found


def available(world: World, account_id: UUID) -> int:
    return balance(world, account_id).available_ucr // CREDIT


def debit(account_id: UUID, amount: int, **more: object) -> commands.DebitCredits:
    fields: dict[str, Any] = {
        "account_id": account_id,
        "debit_id": uuid4(),
        "amount_ucr": amount * CREDIT,
        "reason": "x",
    } | more
    return commands.DebitCredits(**fields)


def test_a_frozen_account_spends_nothing_new_and_keeps_what_it_promised(world: World) -> None:
    account_id, other = open_account(world.ledger, credit=10), open_account(world.ledger)
    hold_id = hold(world.ledger, account_id, 2 * CREDIT)
    done(world.ledger, commands.FreezeAccount(account_id=account_id, reason="fraud"))
    version = balance(world, account_id).account_version
    done(world.ledger, commands.FreezeAccount(account_id=account_id, reason="again"))
    assert balance(world, account_id).account_version == version
    fields: dict[str, Any] = {"account_id": account_id, "amount_ucr": CREDIT}
    for command in (
        commands.HoldCredits(**fields, hold_id=uuid4(), lease_s=1),
        commands.RaiseHold(**fields, hold_id=hold_id),
        debit(account_id, 1),
        commands.TransferCredits(**fields, to_account_id=other, transfer_id=uuid4(), reason="x"),
    ):
        assert refused(world.ledger, command).code == "account-frozen"
    grant(world.ledger, account_id, CREDIT)
    done(world.ledger, commands.CommitHold(**fields, hold_id=hold_id))
    done(world.ledger, commands.UnfreezeAccount(account_id=account_id, reason="cleared"))
    done(world.ledger, debit(account_id, 10))
    assert available(world, account_id) == 0


def test_an_account_closes_when_it_is_empty_and_stays_closed(world: World) -> None:
    account_id = open_account(world.ledger, credit=1)
    paid = balance(world, account_id).grants[0].grant_id
    close = commands.CloseAccount(account_id=account_id, reason="left")
    refusal = refused(world.ledger, close)
    assert refusal.code == "account-not-empty" and refusal.facts["posted_ucr"] == CREDIT
    done(world.ledger, debit(account_id, 1))
    done(world.ledger, close)
    for command in (
        debit(account_id, 1),
        commands.GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=1, kind="paid"),
        commands.SetPolicy(account_id=account_id),
        commands.FreezeAccount(account_id=account_id, reason="x"),
        commands.UnfreezeAccount(account_id=account_id, reason="x"),
        close,
    ):
        assert refused(world.ledger, command).code == "account-closed"
    done(world.ledger, commands.RevokeCredits(account_id=account_id, grant_id=paid, cause="dispute"))
    assert available(world, account_id) == -1


def test_a_hold_is_raised_within_the_cap_given_at_the_start(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    capped = hold(world.ledger, account_id, 2 * CREDIT, cap_ucr=5 * CREDIT)
    uncapped = hold(world.ledger, account_id, CREDIT)
    raise_by: dict[str, Any] = {"account_id": account_id, "hold_id": capped}
    done(world.ledger, commands.RaiseHold(**raise_by, amount_ucr=3 * CREDIT))
    found = world.ledger.hold(capped)
    assert found is not None and (found.amount_ucr, found.remaining_ucr) == (5 * CREDIT, 5 * CREDIT)
    refusal = refused(world.ledger, commands.RaiseHold(**raise_by, amount_ucr=1))
    assert refusal.code == "raise-above-cap" and refusal.facts["cap_ucr"] == 5 * CREDIT
    refusal = refused(world.ledger, commands.RaiseHold(account_id=account_id, hold_id=uncapped, amount_ucr=1))
    assert refusal.code == "raise-above-cap"
    done(world.ledger, commands.CommitHold(**raise_by, amount_ucr=4 * CREDIT))
    assert available(world, account_id) == 5
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=5, cap_ucr=4, lease_s=1)
    assert refused(world.ledger, command).code == "raise-above-cap"


def test_an_expired_hold_without_a_job_is_finished_late_whole_or_not_at_all(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    owned = hold(world.ledger, account_id, CREDIT, lease_s=1, reference=uuid4())
    first = hold(world.ledger, account_id, 6 * CREDIT, lease_s=1)
    second = hold(world.ledger, account_id, 2 * CREDIT, lease_s=1)
    world.pass_s(1.2)
    for hold_id in (owned, first, second):
        done(world.ledger, commands.ExpireHold(account_id=account_id, hold_id=hold_id))
    done(world.ledger, debit(account_id, 5))

    def finish(hold_id: UUID, amount: int, *, late: bool = True) -> commands.CommitHold:
        return commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=amount * CREDIT, late=late)

    assert refused(world.ledger, finish(first, 6)).code == "insufficient-credits"
    assert refused(world.ledger, finish(second, 3)).code == "commit-above-hold"
    assert refused(world.ledger, finish(second, 2, late=False)).code == "hold-resolved"
    assert refused(world.ledger, finish(owned, 1)).code == "hold-resolved"
    assert refused(world.ledger, finish(uuid4(), 1)).code == "hold-unknown"
    done(world.ledger, finish(second, 2))
    event = account_event(world.ledger.stream(account_id)[-1].state)
    assert isinstance(event, events.HoldCommitted) and event.late and event.final
    found = world.ledger.hold(second)
    assert found is not None and (found.state, found.committed_ucr) == ("committed", 2 * CREDIT)
    assert refused(world.ledger, finish(second, 2)).code == "hold-resolved"
    assert available(world, account_id) == 3


def test_a_hold_is_finished_late_only_for_a_while() -> None:
    clock = ManualClock()
    world = World(MemoryLedger(clock), clock.pass_s)
    account_id = open_account(world.ledger, credit=10)
    hold_id = hold(world.ledger, account_id, CREDIT, lease_s=1)
    world.pass_s(2)
    done(world.ledger, commands.ExpireHold(account_id=account_id, hold_id=hold_id))
    world.pass_s(limits.LATE_FINISH_MAX_S + 1)
    command = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT, late=True)
    assert refused(world.ledger, command).code == "late-finish-over"


def test_feature_M1_5_credits_roll_over_and_the_rest_expires(world: World) -> None:
    account_id = open_account(world.ledger)
    rolled = grant(world.ledger, account_id, 10 * CREDIT, lifetime_s=100)
    later = grant(world.ledger, account_id, CREDIT, lifetime_s=500)
    endless = grant(world.ledger, account_id, CREDIT)
    extend: dict[str, Any] = {"account_id": account_id, "grant_id": rolled}
    done(world.ledger, commands.ExtendGrant(**extend, lifetime_s=1_000, keep_ucr=4 * CREDIT))
    assert [one.grant_id for one in balance(world, account_id).grants] == [later, rolled, endless]
    assert available(world, account_id) == 6
    refusal = refused(world.ledger, commands.ExtendGrant(**extend, lifetime_s=900))
    assert refusal.code == "extension-not-later" and str(refusal.facts["expires_at"]).endswith("Z")
    refusal = refused(world.ledger, commands.ExtendGrant(account_id=account_id, grant_id=endless, lifetime_s=9))
    assert refusal.code == "grant-ended"
    done(world.ledger, commands.ExtendGrant(**extend, lifetime_s=2_000, keep_ucr=0))
    assert refused(world.ledger, commands.ExtendGrant(**extend, lifetime_s=3_000)).code == "grant-ended"
    assert available(world, account_id) == 2


def test_a_transfer_moves_slices_with_their_kind_end_and_cost(world: World) -> None:
    organisation_id, source, target = uuid4(), uuid4(), uuid4()
    for account_id in (source, target):
        done(world.ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
    receipt_id = uuid4()
    paid = grant(
        world.ledger, source, 3 * CREDIT, cost_micro=10_000_001, list_value_micro=7, receipt_id=receipt_id, generation=2
    )
    grant(world.ledger, source, 5 * CREDIT, kind="promo", lifetime_s=900)
    transfer_id = uuid4()
    move: dict[str, Any] = {"account_id": source, "to_account_id": target, "transfer_id": transfer_id, "reason": "x"}
    done(world.ledger, commands.TransferCredits(**move, amount_ucr=6 * CREDIT))
    again: dict[str, Any] = {"account_id": source, "to_account_id": target, "transfer_id": uuid4(), "reason": "x"}
    done(world.ledger, commands.TransferCredits(**again, amount_ucr=2 * CREDIT))
    assert (available(world, source), available(world, target)) == (0, 8)
    arrived = [
        part
        for event in (account_event(recorded.state) for recorded in world.ledger.stream(target)[1:])
        if isinstance(event, events.CreditsTransferredIn)
        for part in event.parts
    ]
    assert [part.kind for part in arrived] == ["promo", "paid", "paid"]
    of_paid = [part for part in arrived if part.from_grant_id == paid]
    assert sum(part.cost_micro for part in of_paid) == 10_000_001
    assert sum(part.list_value_micro for part in of_paid) == 7
    assert {(part.receipt_id, part.generation) for part in of_paid} == {(receipt_id, 2)}
    assert all(one.expires_at is not None for one in balance(world, target).grants if one.kind == "promo")
    back: dict[str, Any] = {"account_id": target, "to_account_id": source, "transfer_id": uuid4(), "reason": "x"}
    assert refused(world.ledger, commands.TransferCredits(**back, amount_ucr=9 * CREDIT)).code == "insufficient-credits"


def test_credits_never_leave_their_organisation(world: World) -> None:
    ours, theirs = open_account(world.ledger, credit=5), open_account(world.ledger)
    move: dict[str, Any] = {"account_id": ours, "transfer_id": uuid4(), "amount_ucr": CREDIT, "reason": "x"}
    assert refused(world.ledger, commands.TransferCredits(**move, to_account_id=theirs)).code == "other-organisation"
    assert refused(world.ledger, commands.TransferCredits(**move, to_account_id=ours)).code == "other-organisation"
    assert refused(world.ledger, commands.TransferCredits(**move, to_account_id=uuid4())).code == "account-unknown"
    assert available(world, ours) == 5


def test_an_adjustment_takes_two_operators_and_a_cause(world: World) -> None:
    account_id, operator_id = open_account(world.ledger, credit=5), uuid4()
    adjust: dict[str, Any] = {"account_id": account_id, "cause": "correction", "operator_id": operator_id}

    def by(amount: int, approver_id: UUID) -> commands.AdjustBalance:
        return commands.AdjustBalance(
            **adjust,
            adjustment_id=uuid4(),
            amount_ucr=amount * CREDIT,
            approver_id=approver_id,
        )

    assert refused(world.ledger, by(1, operator_id)).code == "second-operator-needed"
    done(world.ledger, by(3, uuid4()))
    assert available(world, account_id) == 8
    done(world.ledger, by(-6, uuid4()))
    assert available(world, account_id) == 2
    assert refused(world.ledger, by(-3, uuid4())).code == "insufficient-credits"
    with pytest.raises(InvalidRequest):
        world.ledger.submit(request(by(0, uuid4())))


def test_only_what_decides_nothing_may_be_backdated(world: World) -> None:
    account_id = open_account(world.ledger)
    opened = world.ledger.stream(account_id)[0].recorded_at
    past, ahead = opened - timedelta(days=40), opened + timedelta(days=1)
    grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=900, effective_at=past)
    event = world.ledger.stream(account_id)[-1]
    assert event.effective_at == past and event.recorded_at >= opened
    assert available(world, account_id) == 5
    command = commands.GrantCredits(
        account_id=account_id, grant_id=uuid4(), amount_ucr=1, kind="paid", effective_at=ahead
    )
    assert refused(world.ledger, command).code == "effective-in-future"
    command = msgspec.structs.replace(command, effective_at=datetime(1999, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidRequest, match="effective_at"):
        world.ledger.submit(request(command))


def test_feature_M1_6_a_budget_bounds_a_window_and_counts_back_what_returns(world: World) -> None:
    organisation_id, account_id, budget_id = uuid4(), uuid4(), uuid4()
    done(world.ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
    grant(world.ledger, account_id, 100 * CREDIT)
    budget = commands.SetBudget(
        budget_id=budget_id, organisation_id=organisation_id, subject="key", window="once", limit_ucr=10 * CREDIT
    )
    done(world.ledger, budget, scope_id=organisation_id)
    counted: dict[str, Any] = {"budgets": (budget_id,)}
    hold_id = hold(world.ledger, account_id, 6 * CREDIT, cap_ucr=20 * CREDIT, **counted)
    refusal = refused(world.ledger, debit(account_id, 5, **counted))
    assert refusal.code == "budget-exceeded" and refusal.facts["used_ucr"] == 6 * CREDIT
    assert refusal.facts["resets_at"] is None
    raising = commands.RaiseHold(account_id=account_id, hold_id=hold_id, amount_ucr=5 * CREDIT)
    assert refused(world.ledger, raising).code == "budget-exceeded"
    done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=2 * CREDIT))
    spent = debit(account_id, 8, **counted)
    done(world.ledger, spent)
    assert refused(world.ledger, debit(account_id, 1, **counted)).code == "budget-exceeded"
    back: dict[str, Any] = {"account_id": account_id, "debit_id": spent.debit_id, "reason": "x", "reversal_id": uuid4()}
    done(world.ledger, commands.ReverseDebit(**back, amount_ucr=3 * CREDIT))
    done(world.ledger, debit(account_id, 3, **counted))
    done(world.ledger, debit(account_id, 1))
    done(world.ledger, msgspec.structs.replace(budget, limit_ucr=None), scope_id=organisation_id)
    done(world.ledger, debit(account_id, 30, **counted))


def test_a_budget_belongs_to_its_organisation(world: World) -> None:
    account_id, stranger, budget_id = open_account(world.ledger, credit=5), uuid4(), uuid4()
    budget = commands.SetBudget(budget_id=budget_id, organisation_id=stranger, subject="member", window="day")
    done(world.ledger, budget, scope_id=stranger)
    for named in (budget_id, uuid4()):
        assert refused(world.ledger, debit(account_id, 1, budgets=(named,))).code == "budget-unknown"
    other = msgspec.structs.replace(budget, organisation_id=uuid4())
    assert refused(world.ledger, other, scope_id=other.organisation_id).code == "budget-unknown"
    with pytest.raises(InvalidRequest, match="budgets"):
        world.ledger.submit(request(debit(account_id, 1, budgets=(budget_id, budget_id))))


def test_invariant_12_linked_commands_are_done_together_or_not_at_all(world: World) -> None:
    account_id, other = open_account(world.ledger, credit=10), open_account(world.ledger, credit=1)
    hold_id = uuid4()
    held = commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=4 * CREDIT, lease_s=9)
    taken = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=3 * CREDIT)
    before = world.ledger.head()
    refusal = refused(world.ledger, held, linked=(taken, debit(other, 2), debit(other, 5)))
    assert (refusal.code, refusal.facts["linked_index"]) == ("insufficient-credits", 2)
    assert world.ledger.head() == before and world.ledger.hold(hold_id) is None
    verdict = done(world.ledger, held, linked=(taken, debit(other, 1)))
    assert verdict.available_ucr == 7 * CREDIT and available(world, other) == 0
    too_many = tuple(debit(other, 1) for _ in range(limits.LINKED_MAX))
    with pytest.raises(InvalidRequest, match="linked"):
        world.ledger.submit(request(held, linked=too_many))


def test_invariant_33_linked_commands_use_nothing_whose_end_has_come(world: World) -> None:
    account_id = open_account(world.ledger)
    other, organisation_id = uuid4(), balance(world, account_id).organisation_id
    done(world.ledger, commands.OpenAccount(account_id=other, organisation_id=organisation_id))
    ended = grant(world.ledger, account_id, 4 * CREDIT, lifetime_s=world.soon_s)
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    world.until_soon_has_passed()
    back = commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="x")
    for following in (
        debit(account_id, 4),
        commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=9),
        commands.ExtendGrant(account_id=account_id, grant_id=ended, lifetime_s=60),
        commands.TransferCredits(
            account_id=account_id, to_account_id=other, transfer_id=uuid4(), amount_ucr=CREDIT, reason="x"
        ),
    ):
        for dry_run in (True, False):
            refusal = refused(world.ledger, back, linked=(following,), dry_run=dry_run)
            code = "grant-ended" if isinstance(following, commands.ExtendGrant) else "insufficient-credits"
            assert (refusal.code, refusal.facts["linked_index"]) == (code, 1), following
    verdict = done(world.ledger, back)
    assert (verdict.posted_ucr, balance(world, account_id).posted_ucr) == (0, 0), "answered as it is read"


def test_a_budget_begins_a_stream_of_its_own(world: World) -> None:
    account_id = open_account(world.ledger)
    organisation_id = balance(world, account_id).organisation_id
    before = world.ledger.head()
    for taken in (account_id, UUID(int=0), UUID(int=1), uuid5(account_id, "receipt")):
        budget = commands.SetBudget(budget_id=taken, organisation_id=organisation_id, subject="key", window="day")
        for dry_run in (True, False):
            refusal = refused(world.ledger, budget, scope_id=organisation_id, dry_run=dry_run)
            assert refusal.code == "budget-unknown"
    assert world.ledger.head() == before


def test_invariant_13_a_dry_run_says_what_would_be_and_writes_nothing(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    before = (world.ledger.head(), balance(world, account_id).account_version)
    verdict = done(world.ledger, debit(account_id, 4), dry_run=True)
    assert verdict.available_ucr == 6 * CREDIT
    linked = refused(world.ledger, debit(account_id, 4), linked=(debit(account_id, 7),), dry_run=True)
    assert (linked.code, linked.facts["linked_index"]) == ("insufficient-credits", 1)
    budget = commands.SetBudget(budget_id=uuid4(), organisation_id=uuid4(), subject="key", window="day")
    done(world.ledger, budget, scope_id=budget.organisation_id, dry_run=True)
    assert (world.ledger.head(), balance(world, account_id).account_version) == before


def test_an_ended_grant_is_remembered(world: World) -> None:
    account_id = open_account(world.ledger)
    spent = grant(world.ledger, account_id, CREDIT)
    done(world.ledger, debit(account_id, 1))
    command = commands.GrantCredits(account_id=account_id, grant_id=spent, amount_ucr=1, kind="paid")
    assert refused(world.ledger, command).code == "grant-exists"
    same = debit(account_id, 1)
    grant(world.ledger, account_id, 2 * CREDIT)
    done(world.ledger, same)
    assert refused(world.ledger, same).code == "debit-exists"


def test_verdicts_that_no_event_names_are_sealed(world: World) -> None:
    account_id = open_account(world.ledger, credit=1)
    refusing = request(debit(account_id, 5), origin="caller")
    answers = world.ledger.submit_many([refusing, request(debit(account_id, 1)), request(debit(account_id, 6))])
    assert [type(answer.verdict) for answer in answers] == [Refused, Done, Refused]
    sealed = world.ledger.stream(SEALS)
    assert len(sealed) == 1
    event = msgspec.json.decode(sealed[0].state, type=events.VerdictsSealed)
    assert event.count == 1, "only a caller's refusal is kept"
    if isinstance(world.ledger, MemoryLedger):
        kept = {key: row for key, row in world.ledger.database.verdicts.items() if b"insufficient" in row.verdict}
        assert event.sha256 == seal((key, row.digests, row.verdict) for key, row in kept.items()).hex()
    assert world.ledger.submit(refusing).replayed


def test_refusals_are_kept_up_to_a_number_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REFUSALS_KEPT_PER_ACCOUNT_DAY", 3)

    def ask() -> tuple[list[Request], list[Answer]]:
        account_id, other = open_account(world.ledger), open_account(world.ledger)
        wanted = [request(debit(account_id, 5), origin="caller") for _ in range(5)]
        first = world.ledger.submit_many(wanted[:2])
        rest = world.ledger.submit_many([*wanted[2:], request(debit(other, 5), origin="caller")])
        return wanted, [*first, *rest]

    wanted, answers = ask()
    if len({answer.verdict.recorded_at.date() for answer in answers}) > 1:  # midnight came; the day is young now
        wanted, answers = ask()
    codes = [answer.verdict.code for answer in answers if isinstance(answer.verdict, Refused)]
    assert codes == ["insufficient-credits"] * 3 + ["too-many-refusals"] * 2 + ["insufficient-credits"]
    assert world.ledger.submit(wanted[2]).replayed and not world.ledger.submit(wanted[4]).replayed


def test_invariant_10_a_snapshot_is_the_state_at_its_version() -> None:
    ledger = MemoryLedger(ManualClock())
    account_id = open_account(ledger, credit=1_000)
    ledger.submit_many([request(debit(account_id, 1)) for _ in range(600)])
    taken = [version for found, version in ledger.database.snapshots if found == account_id]
    assert taken == [256, 512]
    row = ledger.database.snapshots[account_id, 512]
    state = decode_account(row.state)
    assert (state.version, state.posted_ucr) == (512, 1_000 * CREDIT - 510 * CREDIT)
    assert ledger.stream(account_id, after_version=511, limit=1)[0].position == row.position


def test_a_dry_run_refuses_what_would_be_refused(world: World) -> None:
    account_id = open_account(world.ledger)
    grant(world.ledger, account_id, CREDIT, lifetime_s=world.soon_s)
    grant(world.ledger, account_id, CREDIT)
    version = balance(world, account_id).account_version
    world.until_soon_has_passed()
    wanted = debit(account_id, 1)
    for dry_run in (True, False):
        refusal = refused(world.ledger, wanted, expected_account_version=version, dry_run=dry_run)
        assert (refusal.code, refusal.facts["account_version"]) == ("version-conflict", version + 1)
    claim = (Companion(uuid4(), 3, (NewEvent("test.x.v1", b"{}"),)),)
    for dry_run in (True, False):
        assert refused(world.ledger, wanted, on_accept=claim, dry_run=dry_run).code == "stream-conflict"


def test_buckets_that_we_name_have_ids_of_their_own(world: World) -> None:
    organisation_id, source, target = uuid4(), uuid4(), uuid4()
    for account_id in (source, target):
        done(world.ledger, commands.OpenAccount(account_id=account_id, organisation_id=organisation_id))
    adjust = commands.AdjustBalance(
        account_id=source,
        adjustment_id=uuid4(),
        amount_ucr=5 * CREDIT,
        cause="correction",
        operator_id=uuid4(),
        approver_id=uuid4(),
    )
    done(world.ledger, adjust)
    assert refused(world.ledger, adjust).code == "grant-exists"
    move: dict[str, Any] = {"account_id": source, "to_account_id": target, "transfer_id": uuid4(), "reason": "x"}
    for _ in range(2):
        done(world.ledger, commands.TransferCredits(**move, amount_ucr=2 * CREDIT))
    assert len({one.grant_id for one in balance(world, target).grants}) == 2
    done(world.ledger, debit(source, 1))
    assert refused(world.ledger, adjust).code == "grant-exists"
