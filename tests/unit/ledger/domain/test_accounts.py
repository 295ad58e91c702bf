"""Rules of an account's life: opened once, its policy, frozen, closed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from ledger import limits
from ledger.domain import commands, decide, events
from ledger.domain.account import Account
from tests.support.domain import D1, G1, G2, H1, H2, MINE, OTHER, OURS, WHO, Life

NOBODY = UUID(int=0xAF)


def test_an_account_opens_once_with_its_policy() -> None:
    life = Life()
    life.accounts[NOBODY] = Account(account_id=NOBODY, organisation_id=UUID(int=0))
    command = commands.OpenAccount(account_id=NOBODY, organisation_id=OURS, max_open_holds=7, overdraft_limit_ucr=3)
    assert life.do(command) == [
        events.AccountOpened(account_id=NOBODY, organisation_id=OURS, max_open_holds=7, overdraft_limit_ucr=3)
    ]
    opened = life.accounts[NOBODY]
    assert (opened.organisation_id, opened.max_open_holds, opened.overdraft_limit_ucr) == (OURS, 7, 3)
    assert (opened.version, opened.status, opened.grants) == (1, "open", [])
    life.refuses(command, "account-exists", account_id=str(NOBODY))


def test_an_account_that_was_not_opened_is_unknown_to_every_other_command() -> None:
    life = Life()
    life.accounts[NOBODY] = Account(account_id=NOBODY, organisation_id=OURS)
    who: dict[str, Any] = {"account_id": NOBODY}
    for command in (
        commands.SetPolicy(**who),
        commands.CloseAccount(**who, reason="x"),
        commands.GrantCredits(**who, grant_id=G1, amount_ucr=1, kind="paid"),
        commands.ExpireGrants(**who),
    ):
        life.refuses(command, "account-unknown", account_id=str(NOBODY))


def test_a_policy_that_changes_nothing_is_no_event() -> None:
    life = Life(max_open_holds=5, overdraft_limit_ucr=2)
    assert life.do(commands.SetPolicy(**WHO, max_open_holds=5, overdraft_limit_ucr=2)) == []
    for holds, overdraft in ((6, 2), (6, 3)):
        command = commands.SetPolicy(**WHO, max_open_holds=holds, overdraft_limit_ucr=overdraft)
        assert life.do(command) == [events.AccountPolicySet(max_open_holds=holds, overdraft_limit_ucr=overdraft)]
        assert (life.account.max_open_holds, life.account.overdraft_limit_ucr) == (holds, overdraft)


def test_freezing_twice_is_once_and_so_is_unfreezing() -> None:
    life = Life()
    freeze, unfreeze = commands.FreezeAccount(**WHO, reason="a"), commands.UnfreezeAccount(**WHO, reason="b")
    assert life.do(unfreeze) == []
    assert life.do(freeze) == [events.AccountFrozen(reason="a")]
    assert life.account.status == "frozen" and life.do(freeze) == []
    assert life.do(unfreeze) == [events.AccountUnfrozen(reason="b")]
    assert life.account.status == "open" and life.do(unfreeze) == []


def spending() -> list[commands.AccountCommand]:
    return [
        commands.HoldCredits(**WHO, hold_id=H2, amount_ucr=1, lease_s=1),
        commands.RaiseHold(**WHO, hold_id=H1, amount_ucr=1),
        commands.DebitCredits(**WHO, debit_id=D1, amount_ucr=1, reason="x"),
        commands.TransferCredits(**WHO, to_account_id=OTHER, transfer_id=D1, amount_ucr=1, reason="x"),
    ]


def receiving() -> list[commands.AccountCommand]:
    adjustment: dict[str, Any] = {"adjustment_id": D1, "operator_id": G1, "approver_id": G2, "cause": "correction"}
    return [
        commands.GrantCredits(**WHO, grant_id=G2, amount_ucr=1, kind="paid"),
        commands.ExtendGrant(**WHO, grant_id=G1, lifetime_s=1),
        commands.ReverseDebit(**WHO, debit_id=D1, reversal_id=D1, reason="x"),
        commands.AdjustBalance(**WHO, **adjustment, amount_ucr=1),
        commands.SetPolicy(**WHO),
        commands.FreezeAccount(**WHO, reason="x"),
        commands.UnfreezeAccount(**WHO, reason="x"),
        commands.CloseAccount(**WHO, reason="x"),
    ]


@pytest.mark.parametrize("command", spending(), ids=lambda command: type(command).__name__)
def test_a_frozen_account_spends_nothing_new(command: commands.AccountCommand) -> None:
    life = Life()
    life.grant()
    life.hold(H1, 2, cap_ucr=5)
    life.do(commands.FreezeAccount(**WHO, reason="x"))
    life.refuses(command, "account-frozen", account_id=str(MINE))
    life.do(commands.UnfreezeAccount(**WHO, reason="x"))
    assert life.do(command)


def test_a_frozen_account_keeps_its_promises_and_takes_credits() -> None:
    life = Life()
    life.grant()
    life.hold(H1, 2)
    life.hold(H2, 3)
    life.do(commands.FreezeAccount(**WHO, reason="x"))
    life.grant(G2, 5)
    life.commit(H1, 2)
    life.release(H2)
    assert life.sums == (13, 0, 0, 13)


@pytest.mark.parametrize("command", [*spending(), *receiving()], ids=lambda command: type(command).__name__)
def test_a_closed_account_takes_and_spends_nothing(command: commands.AccountCommand) -> None:
    life = Life()
    assert life.close() == [events.AccountClosed(reason="left")]
    life.refuses(command, "account-closed", account_id=str(MINE))


def test_only_an_empty_account_closes() -> None:
    close = commands.CloseAccount(**WHO, reason="left")
    facts: dict[str, Any] = {"account_id": str(MINE), "posted_ucr": 0, "open_holds": 0, "debt_ucr": 0}
    life = Life(overdraft_limit_ucr=10)
    life.hold(H1, 4)
    life.refuses(close, "account-not-empty", **facts | {"open_holds": 1})
    life.commit(H1, 4)
    life.refuses(close, "account-not-empty", **facts | {"posted_ucr": -4, "debt_ucr": 4})
    life.grant(G1, 6)
    life.refuses(close, "account-not-empty", **facts | {"posted_ucr": 2})
    life.debit(D1, 2)
    life.close()
    assert life.account.status == "closed"


def test_what_is_granted_to_a_closed_account_can_still_be_taken_back_and_disputed() -> None:
    life = Life()
    life.grant()
    life.debit(D1, 10)
    life.close()
    life.freeze()
    life.unfreeze()
    life.revoke()
    assert life.sums == (-10, 0, 0, -10)


def test_what_nobody_says_has_its_default() -> None:
    opened = commands.OpenAccount(**WHO, organisation_id=OURS)
    assert (opened.max_open_holds, opened.overdraft_limit_ucr) == (limits.OPEN_HOLDS_MAX, 0)
    reversal = commands.ReverseDebit(**WHO, reversal_id=D1, debit_id=D1, reason="x")
    assert (reversal.amount_ucr, reversal.grace_s) == (None, limits.REVERSAL_GRACE_S)
    commit = commands.CommitHold(**WHO, hold_id=H1, amount_ucr=1)
    assert commit.final and not commit.late
    assert commands.GrantCredits(**WHO, grant_id=G1, amount_ucr=1, kind="paid").priority == 100
    assert commands.RevokeCredits(**WHO, grant_id=G1, cause="refund").spent_as == "debt"


def test_a_rule_that_needs_no_rows_is_told_the_account_and_the_command() -> None:
    life, command = Life(), commands.FreezeAccount(**WHO, reason="x")
    told = decide._without_rows(lambda account, asked: [events.AccountFrozen(reason=account.status + asked.reason)])
    assert told(life.account, life.known, command) == [events.AccountFrozen(reason="openx")]


def test_a_sweep_of_what_is_due_decides_nothing_by_itself() -> None:
    assert Life().decided(commands.ExpireGrants(**WHO)) == []
