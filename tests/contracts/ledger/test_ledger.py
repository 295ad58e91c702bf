"""What every ledger does, in memory and on PostgreSQL alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from ledger import errors
from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.domain.verdicts import Done, Refused
from ledger.ports import Companion, Request
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, grant, hold, open_account, refused, request


def sums(world: World, account_id: UUID) -> tuple[int, int, int]:
    """Posted, held and available, in credits."""
    balance = world.ledger.balance(account_id)
    assert balance is not None
    return balance.posted_ucr // CREDIT, balance.held_ucr // CREDIT, balance.available_ucr // CREDIT


def test_feature_M1_3_a_hold_pins_and_a_commit_debits(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold_id = hold(world.ledger, account_id, 4 * CREDIT)
    assert sums(world, account_id) == (10, 4, 6)
    verdict = done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=3 * CREDIT))
    assert (verdict.posted_ucr, verdict.available_ucr) == (7 * CREDIT, 7 * CREDIT)
    assert sums(world, account_id) == (7, 0, 7)


def test_feature_M1_3_a_release_gives_everything_back(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold_id = hold(world.ledger, account_id, 10 * CREDIT)
    done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="failed"))
    assert sums(world, account_id) == (10, 0, 10)


def test_a_hold_is_committed_in_parts(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold_id = hold(world.ledger, account_id, 10 * CREDIT)
    for _ in range(2):
        done(
            world.ledger,
            commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=3 * CREDIT, final=False),
        )
    view = world.ledger.hold(hold_id)
    assert view is not None
    assert (view.state, view.committed_ucr, view.remaining_ucr) == ("open", 6 * CREDIT, 4 * CREDIT)
    assert sums(world, account_id) == (4, 4, 0)
    done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=4 * CREDIT, final=False))
    view = world.ledger.hold(hold_id)
    assert view is not None and view.state == "committed"
    assert sums(world, account_id) == (0, 0, 0)


def test_invariant_17_a_partial_commit_returns_the_rest_to_the_same_grants(world: World) -> None:
    account_id = open_account(world.ledger)
    first = grant(world.ledger, account_id, 3 * CREDIT, priority=1)
    second = grant(world.ledger, account_id, 5 * CREDIT, priority=2)
    hold_id = hold(world.ledger, account_id, 7 * CREDIT)
    done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=4 * CREDIT))
    balance = world.ledger.balance(account_id)
    assert balance is not None
    assert [(view.grant_id, view.free_ucr) for view in balance.grants] == [(second, 4 * CREDIT)]
    assert first not in {view.grant_id for view in balance.grants}
    refusal = refused(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=1))
    assert refusal.code == "hold-resolved" and refusal.facts["state"] == "committed"


def test_invariant_17_a_commit_above_the_hold_is_refused(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold_id = hold(world.ledger, account_id, CREDIT)
    refusal = refused(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT + 1))
    assert refusal.code == "commit-above-hold" and refusal.facts["remaining_ucr"] == CREDIT


def test_invariant_31_credits_burn_by_priority_then_end_then_order(world: World) -> None:
    account_id = open_account(world.ledger)
    never = grant(world.ledger, account_id, CREDIT, priority=5)
    later = grant(world.ledger, account_id, CREDIT, priority=5, lifetime_s=2_000)
    sooner = grant(world.ledger, account_id, CREDIT, priority=5, lifetime_s=1_000)
    urgent = grant(world.ledger, account_id, CREDIT, priority=1)
    never_too = grant(world.ledger, account_id, CREDIT, priority=5)
    balance = world.ledger.balance(account_id)
    assert balance is not None
    assert [view.grant_id for view in balance.grants] == [urgent, sooner, later, never, never_too]


def test_feature_M1_3_a_hold_above_what_is_available_is_refused_with_the_figures(world: World) -> None:
    account_id = open_account(world.ledger, credit=10)
    hold(world.ledger, account_id, 6 * CREDIT)
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=5 * CREDIT, lease_s=60)
    refusal = refused(world.ledger, command)
    assert refusal.code == "insufficient-credits" and not refusal.transient
    assert refusal.facts == {"required_ucr": 5 * CREDIT, "available_ucr": 4 * CREDIT, "held_ucr": 6 * CREDIT}


def test_invariant_11_a_refused_command_leaves_the_account_as_it_was(world: World) -> None:
    account_id = open_account(world.ledger, credit=1)
    before = world.ledger.balance(account_id), world.ledger.stream(account_id), world.ledger.head()
    refused(
        world.ledger, commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=2 * CREDIT, reason="x")
    )
    after = world.ledger.balance(account_id), world.ledger.stream(account_id), world.ledger.head()
    assert before[1:] == after[1:]
    assert before[0] is not None and after[0] is not None
    assert before[0].grants == after[0].grants and before[0].account_version == after[0].account_version


def test_invariant_13_a_dry_run_writes_nothing(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    head = world.ledger.head()
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=60)
    done(world.ledger, command, "same", dry_run=True)
    assert world.ledger.head() == head and world.ledger.open_holds(account_id, limit=5) == []
    assert not world.ledger.submit(request(command, "same")).replayed


def test_invariant_16_a_hold_resolves_once_under_racing_callers(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    hold_id = hold(world.ledger, account_id, 5 * CREDIT)
    racing = [
        commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=5 * CREDIT),
        commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="cancelled"),
    ] * 8
    with ThreadPoolExecutor(8) as pool:
        verdicts = [
            answer.verdict for answer in pool.map(lambda command: world.ledger.submit(request(command)), racing)
        ]
    accepted = [verdict for verdict in verdicts if isinstance(verdict, Done)]
    assert len(accepted) == 1
    assert {verdict.code for verdict in verdicts if isinstance(verdict, Refused)} == {"hold-resolved"}


def test_invariant_18_a_hold_never_expires_early_and_leaves_held_only_by_an_event(world: World) -> None:
    account_id = open_account(world.ledger, credit=7)
    hold_id = hold(world.ledger, account_id, 5 * CREDIT, lease_s=1)
    early = commands.ExpireHold(account_id=account_id, hold_id=hold(world.ledger, account_id, 2 * CREDIT, lease_s=60))
    world.pass_s(1.2)
    assert refused(world.ledger, early).code == "hold-not-due"
    assert sums(world, account_id) == (7, 7, 0)
    done(world.ledger, commands.ExpireHold(account_id=account_id, hold_id=hold_id))
    assert sums(world, account_id) == (7, 2, 5)
    late = refused(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT))
    assert (late.code, late.facts["state"]) == ("hold-resolved", "expired")


def test_a_commit_after_the_lease_but_before_its_expiry_is_an_ordinary_commit(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    hold_id = hold(world.ledger, account_id, 5 * CREDIT, lease_s=1)
    world.pass_s(1.2)
    done(world.ledger, commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=5 * CREDIT))
    assert sums(world, account_id) == (0, 0, 0)


def test_a_renewal_moves_the_lease_only_forward(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    hold_id = hold(world.ledger, account_id, CREDIT, lease_s=100)
    before, stream = world.ledger.hold(hold_id), world.ledger.stream(account_id)
    done(world.ledger, commands.RenewHold(account_id=account_id, hold_id=hold_id, lease_s=50))
    assert world.ledger.stream(account_id) == stream and world.ledger.hold(hold_id) == before
    done(world.ledger, commands.RenewHold(account_id=account_id, hold_id=hold_id, lease_s=500))
    after = world.ledger.hold(hold_id)
    assert before is not None and after is not None and after.lease_until > before.lease_until


def test_invariant_33_a_grant_expires_once_and_never_what_is_held(world: World) -> None:
    account_id = open_account(world.ledger)
    grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=world.soon_s)
    hold_id = hold(world.ledger, account_id, 2 * CREDIT)
    world.until_soon_has_passed()
    assert sums(world, account_id) == (2, 2, 0)
    done(world.ledger, commands.ExpireGrants(account_id=account_id))
    assert sums(world, account_id) == (2, 2, 0)
    done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=hold_id, reason="failed"))
    assert sums(world, account_id) == (0, 0, 0)
    done(world.ledger, commands.ExpireGrants(account_id=account_id))
    done(world.ledger, commands.ExpireGrants(account_id=account_id))
    tags = [event.tag for event in world.ledger.stream(account_id)]
    assert tags.count("ledger.credits-expired.v1") == 2


def test_grants_that_are_due_are_booked_even_if_the_command_is_refused(world: World) -> None:
    account_id = open_account(world.ledger)
    grant(world.ledger, account_id, 5 * CREDIT, lifetime_s=1)
    world.pass_s(1.2)
    refusal = refused(
        world.ledger, commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
    )
    assert refusal.facts["available_ucr"] == 0
    assert world.ledger.stream(account_id)[-1].tag == "ledger.credits-expired.v1"


@pytest.mark.parametrize("origin", ["caller", "system"])
def test_invariant_22_the_same_key_and_body_get_the_same_answer(world: World, origin: str) -> None:
    account_id = open_account(world.ledger, credit=5)
    first = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x")
    again = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x")
    answers = [world.ledger.submit(request(command, "k", origin=origin)) for command in (first, again, again)]
    assert [answer.replayed for answer in answers] == [False, True, True]
    assert len({answer.verdict for answer in answers}) == 1
    assert sums(world, account_id) == (4, 0, 4)


def test_invariant_22_a_callers_refusal_is_kept_and_ours_is_not(world: World) -> None:
    for origin, code in (("caller", "insufficient-credits"), ("system", None)):
        account_id = open_account(world.ledger)
        command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x")
        refused(world.ledger, command, "k", origin=origin)
        grant(world.ledger, account_id, CREDIT)
        answer = world.ledger.submit(request(command, "k", origin=origin))
        assert answer.replayed == (origin == "caller")
        assert (answer.verdict.code if isinstance(answer.verdict, Refused) else None) == code


def test_invariant_23_the_same_key_with_another_body_names_the_field(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    done(world.ledger, commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x"), "k")
    for change, field in (({"amount_ucr": 2}, "amount_ucr"), ({"reason": "y"}, "reason")):
        same = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
        refusal = refused(world.ledger, replace(same, **change), "k")
        assert (refusal.code, refusal.facts) == ("idempotency-key-conflict", {"field": field})


def test_invariant_23_a_callers_body_is_what_counts_and_the_subject_comes_back(world: World) -> None:
    account_id, job_id = open_account(world.ledger, credit=5), uuid4()

    def generate(prompt: str, subject_id: UUID) -> Request:
        command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=60)
        return request(command, "k", body={"prompt": prompt, "size": [1, 2]}, subject_id=subject_id, origin="caller")

    first = world.ledger.submit(generate("a cat", job_id))
    again = world.ledger.submit(generate("a cat", uuid4()))
    other = world.ledger.submit(generate("a dog", uuid4()))
    assert first.verdict.subject_id == again.verdict.subject_id == job_id
    assert isinstance(other.verdict, Refused) and other.verdict.facts == {"field": "prompt"}


def test_invariant_23_a_body_without_fields_differs_from_one_that_has_some(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)

    def freeze(key: str, body: dict[str, str]) -> Done | Refused:
        return world.ledger.submit(
            request(commands.FreezeAccount(account_id=account_id, reason="x"), key, body=body, origin="caller")
        ).verdict

    for key, before, after, field in (("a", {"note": "y"}, {}, "body"), ("b", {}, {"note": "y"}, "note")):
        assert freeze(key, before) == freeze(key, before)
        other = freeze(key, after)
        assert isinstance(other, Refused) and other.facts == {"field": field}


def test_invariant_24_equal_concurrent_calls_have_one_effect(world: World) -> None:
    account_id = open_account(world.ledger, credit=100)

    def call(_: int) -> Done | Refused:
        command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x")
        return world.ledger.submit(request(command, "k", origin="caller")).verdict

    with ThreadPoolExecutor(8) as pool:
        verdicts = set(pool.map(call, range(40)))
    assert len(verdicts) == 1 and sums(world, account_id) == (99, 0, 99)


def test_an_expected_version_that_has_passed_is_a_transient_refusal(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    balance = world.ledger.balance(account_id)
    assert balance is not None
    command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
    done(world.ledger, command, expected_account_version=balance.account_version)
    refusal = refused(world.ledger, command, expected_account_version=balance.account_version, origin="caller")
    assert (refusal.code, refusal.transient) == ("version-conflict", True)


def test_companions_are_appended_with_the_command_or_not_at_all(world: World) -> None:
    account_id, job_id = open_account(world.ledger, credit=5), uuid4()
    accepted, turned_down = NewEvent("test.accepted.v1", b"{}"), NewEvent("test.refused.v1", b"{}")
    fields: dict[str, Any] = {
        "on_accept": (Companion(job_id, 0, (accepted,)),),
        "on_refuse": (Companion(job_id, 0, (turned_down,)),),
    }
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=50 * CREDIT, lease_s=60)
    refused(world.ledger, command, **fields)
    assert [event.tag for event in world.ledger.stream(job_id)] == ["test.refused.v1"]
    conflict = refused(world.ledger, command, **fields)
    assert conflict.code == "stream-conflict" and conflict.facts["stream_version"] == 1
    other = uuid4()
    done(
        world.ledger,
        commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=CREDIT, lease_s=60),
        on_accept=(Companion(job_id, 1, (accepted, accepted)), Companion(other, 0, (accepted,))),
    )
    assert [event.version for event in world.ledger.stream(job_id)] == [1, 2, 3]
    assert len(world.ledger.stream(other)) == 1


@pytest.mark.parametrize("origin", ["caller", "system"])
def test_events_of_a_refusal_name_a_key_only_if_its_verdict_is_kept(world: World, origin: str) -> None:
    account_id, job_id = open_account(world.ledger), uuid4()
    command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
    turned_down = (Companion(job_id, 0, (NewEvent("test.refused.v1", b"{}"),)),)
    wanted = request(command, "k", origin=origin, on_refuse=turned_down)
    answers = [world.ledger.submit(wanted) for _ in range(2)]
    (event,) = world.ledger.stream(job_id)
    assert (event.key_hash is not None) == answers[1].replayed == (origin == "caller")


def test_what_may_pass_by_itself_appends_neither_list(world: World) -> None:
    account_id, job_id = open_account(world.ledger, credit=1), uuid4()
    command = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=1, reason="x")
    event = (Companion(job_id, 0, (NewEvent("test.x.v1", b"{}"),)),)
    refusal = refused(world.ledger, command, expected_account_version=99, on_accept=event, on_refuse=event)
    assert refusal.transient and world.ledger.stream(job_id) == []


def test_a_claim_on_a_stream_succeeds_once_under_racing_callers(world: World) -> None:
    account_id, receipt_id = open_account(world.ledger), uuid4()
    claim = (Companion(receipt_id, 0, (NewEvent("test.receipt.v1", b"{}"),)),)

    def credit(_: int) -> Done | Refused:
        command = commands.GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=CREDIT, kind="paid")
        return world.ledger.submit(request(command, on_accept=claim)).verdict

    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(credit, range(24)))
    assert sum(isinstance(verdict, Done) for verdict in verdicts) == 1
    assert sums(world, account_id) == (1, 0, 1)


def test_events_alone_are_appended_under_a_scope(world: World) -> None:
    stream_id, scope_id = uuid4(), uuid4()
    append = Request(
        key="k",
        operation="test",
        scope_id=scope_id,
        on_accept=(Companion(stream_id, 0, (NewEvent("test.x.v1", b"{}"),)),),
    )
    first, again = world.ledger.submit(append), world.ledger.submit(append)
    assert isinstance(first.verdict, Done) and again.replayed and again.verdict == first.verdict


def test_invariant_27_positions_are_gapless_and_in_order(world: World) -> None:
    account_id = open_account(world.ledger, credit=50)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: hold(world.ledger, account_id, CREDIT), range(40)))
    events = world.ledger.log(after=0, limit=1_000)
    assert [event.position for event in events] == list(range(1, world.ledger.head() + 1))
    assert all(before.recorded_at <= after.recorded_at for before, after in pairwise(events))


def test_the_most_open_holds_of_an_account_are_bounded(world: World) -> None:
    account_id = open_account(world.ledger, credit=5, max_open_holds=2)
    first = hold(world.ledger, account_id, 1)
    hold(world.ledger, account_id, 1)
    command = commands.HoldCredits(account_id=account_id, hold_id=uuid4(), amount_ucr=1, lease_s=60)
    assert refused(world.ledger, command).code == "too-many-holds"
    done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=first, reason="x"))
    done(world.ledger, command)


def test_what_is_unknown_or_there_already_is_told_apart(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    hold_id = hold(world.ledger, account_id, CREDIT)
    stranger = open_account(world.ledger, credit=5)
    release = commands.ReleaseHold(account_id=account_id, hold_id=uuid4(), reason="x")
    assert refused(world.ledger, release).code == "hold-unknown"
    foreign = commands.CommitHold(account_id=stranger, hold_id=hold_id, amount_ucr=CREDIT)
    assert refused(world.ledger, foreign).code == "hold-unknown"
    twice = commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=CREDIT, lease_s=60)
    assert refused(world.ledger, twice).code == "hold-exists"
    nobody = commands.DebitCredits(account_id=uuid4(), debit_id=uuid4(), amount_ucr=1, reason="x")
    assert refused(world.ledger, nobody).code == "account-unknown"
    again = commands.OpenAccount(account_id=account_id, organisation_id=uuid4())
    assert refused(world.ledger, again).code == "account-exists"
    assert world.ledger.balance(uuid4()) is None and world.ledger.hold(uuid4()) is None


BAD = {
    "negative amount": (commands.DebitCredits, {"amount_ucr": -1}),
    "zero amount": (commands.DebitCredits, {"amount_ucr": 0}),
    "above the limit": (commands.DebitCredits, {"amount_ucr": 10**30}),
    "NUL": (commands.DebitCredits, {"reason": "a\0b"}),
    "lone surrogate": (commands.DebitCredits, {"reason": "\ud800"}),
    "too long": (commands.DebitCredits, {"reason": "x" * 10_000}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_numbers_and_texts_are_refused_before_the_queue(world: World, name: str) -> None:
    account_id = open_account(world.ledger, credit=5)
    head = world.ledger.head()
    kind, change = BAD[name]
    fields = {"account_id": account_id, "debit_id": uuid4(), "amount_ucr": 1, "reason": "x"} | change
    with pytest.raises(errors.InvalidRequest) as caught:
        world.ledger.submit(request(kind(**fields)))
    assert caught.value.field == next(iter(change))
    assert world.ledger.head() == head


def test_open_holds_are_listed_newest_first(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    ids = [hold(world.ledger, account_id, 1) for _ in range(3)]
    done(world.ledger, commands.ReleaseHold(account_id=account_id, hold_id=ids[1], reason="x"))
    assert [view.hold_id for view in world.ledger.open_holds(account_id, limit=9)] == [ids[2], ids[0]]
    assert [view.hold_id for view in world.ledger.open_holds(account_id, limit=1)] == [ids[2]]


def test_many_requests_are_answered_in_their_order(world: World) -> None:
    account_id = open_account(world.ledger, credit=5)
    wanted = [
        request(commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=2 * CREDIT, reason=str(n)))
        for n in range(4)
    ]
    verdicts = [answer.verdict for answer in world.ledger.submit_many(wanted)]
    assert [isinstance(verdict, Done) for verdict in verdicts] == [True, True, False, False]
