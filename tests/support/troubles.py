"""Steps of random histories that are not everyday life: disputes, refunds, debt, reversals, transfers, budgets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from ledger.domain import commands
from ledger.domain.codec import encode_event
from ledger.ports import Companion
from payments.domain import events as payments
from tests.support.books import append, receipt_final

if TYPE_CHECKING:
    from tests.support.histories import History


class Bought(NamedTuple):
    """A grant whose receipt was applied whole; ``generation`` and ``version`` are the receipt's."""

    account_id: UUID
    grant_id: UUID
    receipt_id: UUID
    amount_ucr: int
    cost_micro: int
    tax_micro: int
    value_micro: int
    generation: int = 1
    version: int = 1


def policy(history: History) -> None:
    """More or less overdraft."""
    limit_ucr = history.dice.choice([0, 5_000_000, 40_000_000])
    history.submit(commands.SetPolicy(account_id=history.dice.choice(history.accounts), overdraft_limit_ucr=limit_ucr))


def freeze_account(history: History) -> None:
    """Nothing is spent for a while, by the sweep's clock at most until the next step of this kind."""
    account_id = history.dice.choice(history.accounts)
    history.submit(commands.FreezeAccount(account_id=account_id, reason="fraud-review"))
    if history.dice.choice([True, True, False]):
        history.submit(commands.UnfreezeAccount(account_id=account_id, reason="cleared"))


def unfreeze_accounts(history: History) -> None:
    """All may spend again."""
    for account_id in history.accounts:
        history.submit(commands.UnfreezeAccount(account_id=account_id, reason="cleared"))


def close_account(history: History) -> None:
    """The end of an account, where it is empty; a new one may take its place."""
    account_id = history.dice.choice(history.accounts)
    if len(history.accounts) > 1 and history.done(commands.CloseAccount(account_id=account_id, reason="asked")):
        history.accounts.remove(account_id)


def extend(history: History) -> None:
    """Roll-over of some or all."""
    if history.grants:
        account_id, grant_id = history.dice.choice(history.grants)
        keep_ucr = history.dice.choice([None, 0, 1_000_000])
        history.submit(
            commands.ExtendGrant(account_id=account_id, grant_id=grant_id, lifetime_s=9_000, keep_ucr=keep_ucr)
        )


def dispute(history: History) -> None:
    """A grant is frozen, in part or whole."""
    if history.grants:
        account_id, grant_id = history.dice.choice(history.grants)
        amount_ucr = history.dice.choice([None, history.dice.randint(1, 30_000_000)])
        history.submit(
            commands.FreezeGrant(account_id=account_id, grant_id=grant_id, reason="dispute", amount_ucr=amount_ucr)
        )


def win(history: History) -> None:
    """Disputes end well, one grant in three."""
    for account_id, grant_id in history.grants[-6::2]:
        history.submit(commands.UnfreezeGrant(account_id=account_id, grant_id=grant_id, reason="won"))


def revoke(history: History) -> None:
    """Credits are taken back, as a refund or a lost dispute does."""
    if not history.grants:
        return
    account_id, grant_id = history.dice.choice(history.grants)
    history.submit(
        commands.RevokeCredits(
            account_id=account_id,
            grant_id=grant_id,
            cause=history.dice.choice(["refund", "dispute", "downgrade", "correction"]),
            amount_ucr=history.dice.choice([None, 1, history.dice.randint(1, 20_000_000)]),
            spent_as=history.dice.choice(["debt", "debt", "loss"]),
        )
    )


def raise_hold(history: History) -> None:
    """More is pinned."""
    if history.holds:
        index = history.dice.randrange(len(history.holds))
        account_id, hold_id, amount_ucr = history.holds[index]
        more_ucr = history.dice.randint(1, amount_ucr)
        if history.done(commands.RaiseHold(account_id=account_id, hold_id=hold_id, amount_ucr=more_ucr)):
            history.holds[index] = (account_id, hold_id, amount_ucr + more_ucr)


def commit_late(history: History) -> None:
    """A result comes after its hold has expired."""
    if history.lapsed:
        account_id, hold_id, amount_ucr = history.lapsed.pop()
        command = commands.CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=amount_ucr, late=True)
        history.submit(command)
        history.debits.append((account_id, hold_id))


def overspend(history: History) -> None:
    """Everything that is there and a bit of what is not."""
    account_id, debit_id = history.dice.choice(history.accounts), uuid4()
    balance = history.ledger.balance(account_id)
    assert balance is not None
    amount_ucr = max(0, balance.available_ucr) + history.dice.randint(1, 5_000_000)
    history.debits.append((account_id, debit_id))
    history.submit(commands.DebitCredits(account_id=account_id, debit_id=debit_id, amount_ucr=amount_ucr, reason="fee"))


def reverse(history: History) -> None:
    """A debit is undone, in part or whole, perhaps as of an earlier day."""
    if not history.debits:
        return
    account_id, debit_id = history.dice.choice(history.debits)
    history.submit(
        commands.ReverseDebit(
            account_id=account_id,
            reversal_id=uuid4(),
            debit_id=debit_id,
            reason="bad-picture",
            amount_ucr=history.dice.choice([None, None, 1]),
            effective_at=history.dice.choice([None, history.clock.now() - timedelta(days=35)]),
        )
    )


def transfer(history: History) -> None:
    """Between accounts of one organisation; of two organisations it is refused."""
    account_id, to_account_id = history.dice.choice(history.accounts), history.dice.choice(history.accounts)
    history.submit(
        commands.TransferCredits(
            account_id=account_id,
            to_account_id=to_account_id,
            transfer_id=uuid4(),
            amount_ucr=history.dice.randint(1, 20_000_000),
            reason="team",
        )
    )


def adjust(history: History) -> None:
    """Two operators change a balance."""
    amount_ucr = history.dice.randint(1, 9_000_000) * history.dice.choice([1, -1])
    history.submit(
        commands.AdjustBalance(
            account_id=history.dice.choice(history.accounts),
            adjustment_id=uuid4(),
            amount_ucr=amount_ucr,
            cause=history.dice.choice(["correction", "compensation", "migration", "write-off", "dormant"]),
            operator_id=uuid4(),
            approver_id=uuid4(),
            effective_at=history.dice.choice([None, history.clock.now() - timedelta(days=33)]),
        )
    )


def budget(history: History) -> None:
    """A budget of some organisation."""
    organisation_id, budget_id = history.dice.choice(list(history.organisations.values())), uuid4()
    asked = commands.SetBudget(
        budget_id=budget_id,
        organisation_id=organisation_id,
        subject=history.dice.choice(["organisation", "member", "key", "project"]),
        window=history.dice.choice(["once", "day", "week", "month"]),
        limit_ucr=history.dice.choice([None, 200_000_000]),
    )
    if history.done(asked, scope_id=organisation_id):
        history.budgets.append((organisation_id, budget_id))


def linked(history: History) -> None:
    """Two transfers to and fro, all or none."""
    first, second = history.dice.choice(history.accounts), history.dice.choice(history.accounts)
    amount_ucr = history.dice.randint(1, 5_000_000)
    there, back = (
        commands.TransferCredits(
            account_id=one, to_account_id=other, transfer_id=uuid4(), amount_ucr=amount_ucr, reason="team"
        )
        for one, other in ((first, second), (second, first))
    )
    history.submit(there, linked=(back,))


def reorganise(history: History) -> None:
    """Money is gone at its source and its credits with it; perhaps it comes back, and so do they."""
    if not history.bought:
        return
    found = history.bought.pop(history.dice.randrange(len(history.bought)))
    cause: payments.ReversalCause = history.dice.choice(["reorganisation", "refund", "dispute"])
    gone = payments.ReceiptReversed(
        receipt_id=found.receipt_id,
        generation=found.generation,
        rail="sandbox",
        currency="USD",
        value_micro=found.value_micro,
        credits_kept_ucr=0,
        reversed_at=history.clock.now(),
        credits_revoked_ucr=found.amount_ucr,
        cause=cause,
    )
    command = commands.RevokeCredits(account_id=found.account_id, grant_id=found.grant_id, cause=cause)
    companion = Companion(found.receipt_id, found.version, (encode_event(gone),))
    if history.done(command, on_accept=(companion,)) and not history.closed(found.account_id):
        history.dice.choice([come_back, lambda *_: None])(history, found)


def come_back(history: History, found: Bought) -> None:
    """The same money again, as the receipt's next generation, with a grant of its own."""
    again = found._replace(grant_id=uuid4(), generation=found.generation + 1, version=found.version + 2)
    final = receipt_final(
        receipt_id=found.receipt_id,
        generation=again.generation,
        case="restored",
        value_micro=found.value_micro,
        net_micro=found.cost_micro,
        tax_micro=found.tax_micro,
        fx_micro=found.value_micro - found.cost_micro - found.tax_micro,
        topup_id=uuid4(),
        account_id=found.account_id,
        grant_id=again.grant_id,
        credits_ucr=found.amount_ucr,
    )
    command = commands.GrantCredits(
        account_id=found.account_id,
        grant_id=again.grant_id,
        amount_ucr=found.amount_ucr,
        kind="paid",
        cost_micro=found.cost_micro,
        receipt_id=found.receipt_id,
        generation=again.generation,
    )
    append(history.ledger, [(found.receipt_id, found.version + 1, final)], command)
    history.grants.append((found.account_id, again.grant_id))
    history.bought.append(again)


TROUBLES = (
    policy,
    freeze_account,
    unfreeze_accounts,
    close_account,
    extend,
    dispute,
    win,
    revoke,
    raise_hold,
    commit_late,
    overspend,
    reverse,
    reverse,
    transfer,
    adjust,
    budget,
    linked,
    reorganise,
)
