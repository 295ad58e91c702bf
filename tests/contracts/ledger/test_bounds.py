"""What one account may come to: refused in figures, by every ledger, and nothing of it hurts anybody else."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from ledger import limits
from ledger.domain import commands
from ledger.domain.verdicts import Refused
from ledger.ports import Balance, Ledger, Request
from tests.contracts.ledger.conftest import World
from tests.support.ledger import CREDIT, done, grant, refused, request

MOST = limits.AMOUNT_MAX_UCR
HUNDRED = limits.POSTED_MAX_UCR // MOST


def granting(account_id: UUID, amount_ucr: int = MOST) -> commands.GrantCredits:
    return commands.GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=amount_ucr, kind="promo")


def transferring(account_id: UUID, to_account_id: UUID, amount_ucr: int) -> commands.TransferCredits:
    return commands.TransferCredits(
        account_id=account_id, to_account_id=to_account_id, transfer_id=uuid4(), amount_ucr=amount_ucr, reason="x"
    )


def adjusting(account_id: UUID, amount_ucr: int) -> commands.AdjustBalance:
    return commands.AdjustBalance(
        account_id=account_id,
        adjustment_id=uuid4(),
        amount_ucr=amount_ucr,
        cause="correction",
        operator_id=uuid4(),
        approver_id=uuid4(),
    )


def balance(ledger: Ledger, account_id: UUID) -> Balance:
    found = ledger.balance(account_id)
    assert found is not None
    return found


def two_accounts(ledger: Ledger, overdraft_limit_ucr: int = 0) -> tuple[UUID, UUID]:
    """An empty account, and another one of its organisation with ten credits."""
    organisation_id, account_id, other_id = uuid4(), uuid4(), uuid4()
    for opened_id in (account_id, other_id):
        done(
            ledger,
            commands.OpenAccount(
                account_id=opened_id, organisation_id=organisation_id, overdraft_limit_ucr=overdraft_limit_ucr
            ),
        )
    grant(ledger, other_id, 10 * CREDIT)
    return account_id, other_id


def full_account(ledger: Ledger) -> tuple[UUID, UUID]:
    """An account that has all it may, and another one of its organisation with ten credits."""
    account_id, other_id = two_accounts(ledger)
    answers = ledger.submit_many([request(granting(account_id)) for _ in range(HUNDRED + 1)])
    assert [isinstance(answer.verdict, Refused) for answer in answers] == [False] * HUNDRED + [True]
    return account_id, other_id


def test_what_an_account_may_have_is_bounded_however_it_comes(world: World) -> None:
    account_id, other_id = full_account(world.ledger)
    debit_id = uuid4()
    debit = commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=5, reason="x")
    done(world.ledger, debit)
    done(world.ledger, granting(account_id, 3))
    posted_ucr = limits.POSTED_MAX_UCR - 2
    reversing = commands.ReverseDebit(account_id=account_id, reversal_id=uuid4(), debit_id=debit_id, reason="x")
    for command, amount_ucr in (
        (granting(account_id, 3), 3),
        (transferring(other_id, account_id, 4), 4),
        (adjusting(account_id, 6), 6),
        (reversing, 5),
    ):
        refusal = refused(world.ledger, command)
        assert (refusal.code, refusal.transient) == ("balance-too-large", False)
        assert refusal.facts == {
            "posted_ucr": posted_ucr,
            "amount_ucr": amount_ucr,
            "posted_max_ucr": limits.POSTED_MAX_UCR,
        }
    done(world.ledger, transferring(other_id, account_id, 2))
    assert balance(world.ledger, account_id).posted_ucr == limits.POSTED_MAX_UCR
    assert balance(world.ledger, other_id).posted_ucr == 10 * CREDIT - 2


def test_how_many_grants_an_account_has_is_bounded(world: World) -> None:
    account_id, other_id = two_accounts(world.ledger)
    world.ledger.submit_many([request(granting(account_id, 1)) for _ in range(limits.GRANTS_MAX)])
    for command in (granting(account_id, 1), transferring(other_id, account_id, 1), adjusting(account_id, 1)):
        refusal = refused(world.ledger, command)
        assert (refusal.code, refusal.facts) == ("too-many-grants", {"grants_max": limits.GRANTS_MAX})
        assert not refusal.transient
    debit_id = uuid4()
    done(world.ledger, commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=2, reason="x"))
    done(world.ledger, transferring(other_id, account_id, 1))
    done(world.ledger, granting(account_id, 1))
    reversing = commands.ReverseDebit(account_id=account_id, reversal_id=uuid4(), debit_id=debit_id, reason="x")
    done(world.ledger, reversing)
    assert len(balance(world.ledger, account_id).grants) == limits.GRANTS_MAX + 2, "nobody's credits are kept back"
    assert refused(world.ledger, granting(account_id, 1)).code == "too-many-grants"


def test_linked_commands_are_refused_by_the_one_that_goes_too_far(world: World) -> None:
    account_id, other_id = full_account(world.ledger)
    spend = commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=2, reason="x")
    asked = Request(key=uuid4().hex, operation="move", command=spend, linked=(granting(account_id, 3),))
    verdict = world.ledger.submit(asked).verdict
    assert isinstance(verdict, Refused) and verdict.code == "balance-too-large"
    assert (verdict.facts["linked_index"], verdict.facts["posted_ucr"]) == (1, limits.POSTED_MAX_UCR - 2)
    done(world.ledger, transferring(account_id, other_id, 2))


@pytest.mark.parametrize("limit", [0, 5])
def test_what_may_not_be_overdrawn_does_not_fit_by_its_own_figures(world: World, limit: int) -> None:
    account_id, other_id = two_accounts(world.ledger, limit * CREDIT)
    for command in (transferring(other_id, account_id, 11 * CREDIT), adjusting(other_id, -11 * CREDIT)):
        refusal = refused(world.ledger, command)
        assert (refusal.code, refusal.facts) == (
            "insufficient-credits",
            {"required_ucr": 11 * CREDIT, "available_ucr": 10 * CREDIT, "held_ucr": 0},
        )
