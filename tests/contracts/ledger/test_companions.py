"""Events of other streams that come with a command: whose streams they may be, and in which order they are judged."""

from __future__ import annotations

from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.codec import NewEvent
from ledger.domain.verdicts import Done, Refused
from ledger.ports import Companion
from ledger.writer.batch import SEALS
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, open_account, refused, request

EVENT = NewEvent("test.x.v1", b"{}")


def debit(account_id: UUID, credit: int = 1) -> commands.DebitCredits:
    return commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=credit * CREDIT, reason="x")


def version(world: World, account_id: UUID) -> int:
    found = world.ledger.balance(account_id)
    assert found is not None
    return found.account_version


def test_no_companion_goes_to_a_stream_that_commands_write(world: World) -> None:
    ours, theirs, organisation_id, budget_id = open_account(world.ledger, credit=9), uuid4(), uuid4(), uuid4()
    done(world.ledger, commands.OpenAccount(account_id=theirs, organisation_id=organisation_id))
    budget = commands.SetBudget(
        budget_id=budget_id, organisation_id=organisation_id, subject="key", window="day", limit_ucr=None
    )
    done(world.ledger, budget, scope_id=organisation_id)
    for stream_id, after in ((theirs, 1), (ours, version(world, ours)), (budget_id, 1), (SEALS, 0)):
        companion = Companion(stream_id, after, (EVENT,))
        assert refused(world.ledger, debit(ours), on_accept=(companion,)).code == "internal-error"
        alone = request(None, scope_id=organisation_id, on_accept=(companion,))  # type: ignore[arg-type]
        verdict = world.ledger.submit(alone).verdict
        assert isinstance(verdict, Refused) and verdict.code == "internal-error"
        assert EVENT.tag not in [event.tag for event in world.ledger.stream(stream_id)]
    done(world.ledger, debit(ours))
    done(world.ledger, commands.FreezeAccount(account_id=theirs, reason="x"))
    done(world.ledger, budget, scope_id=organisation_id)


def test_who_knows_a_stream_as_it_was_is_told_so_before_the_rules_are_asked(world: World) -> None:
    account_id, stream_id = open_account(world.ledger, credit=1), uuid4()
    done(world.ledger, debit(account_id), on_accept=(Companion(stream_id, 0, (EVENT,)),))
    for dry_run in (True, False):
        stale = refused(
            world.ledger, debit(account_id), on_accept=(Companion(stream_id, 0, (EVENT,)),), dry_run=dry_run
        )
        assert (stale.code, stale.facts["stream_version"]) == ("stream-conflict", 1)
        current = (Companion(stream_id, 1, (EVENT,)),)
        assert (
            refused(world.ledger, debit(account_id), on_accept=current, dry_run=dry_run).code == "insufficient-credits"
        )


def test_companions_of_one_stream_follow_each_other(world: World) -> None:
    account_id, stream_id = open_account(world.ledger, credit=9), uuid4()
    first, second = Companion(stream_id, 0, (EVENT, EVENT)), Companion(stream_id, 2, (EVENT,))
    twice = refused(world.ledger, debit(account_id), on_accept=(first, Companion(stream_id, 0, (EVENT,))))
    assert (twice.code, twice.facts["stream_version"]) == ("stream-conflict", 2)
    done(world.ledger, debit(account_id), on_accept=(first, second))
    assert [event.version for event in world.ledger.stream(stream_id)] == [1, 2, 3]


def test_an_account_under_the_id_of_another_stream_is_refused_and_hurts_nobody(world: World) -> None:
    account_id, stream_id = open_account(world.ledger, credit=9), uuid4()
    done(world.ledger, debit(account_id), on_accept=(Companion(stream_id, 0, (EVENT,)),))
    opening = commands.OpenAccount(account_id=stream_id, organisation_id=uuid4())
    answers = world.ledger.submit_many([request(debit(account_id)), request(opening), request(debit(account_id))])
    codes = [answer.verdict.code if isinstance(answer.verdict, Refused) else "done" for answer in answers]
    assert codes == ["done", "internal-error", "done"]
    assert isinstance(world.ledger.submit(request(debit(account_id))).verdict, Done)
    assert len(world.ledger.stream(stream_id)) == 1 and world.ledger.balance(stream_id) is None
