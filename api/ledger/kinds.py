"""Everything that can be asked of the ledger: one table, which routes, batches, scopes and documents are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct

from api.ledger import bodies, commands
from api.ledger.commands import Place
from ledger.domain.commands import Command

WRITE, GRANTS, FREEZE, ACCOUNTS, ADJUST = (
    "ledger:write",
    "ledger:grants",
    "ledger:freeze",
    "ledger:accounts",
    "ledger:adjust",
)
Whose = Literal["account", "hold", "organisation"]
"""What says which account it is: the body or the key, the hold that is named, or none at all."""


class Kind(Struct, frozen=True, kw_only=True):
    """One thing that can be asked.

    ``target`` is the id that it names, in the path or in a batch; ``subject`` the kind of id that its answer names.
    """

    name: str
    path: str
    scope: str
    summary: str
    body: type[Struct]
    make: Callable[[Any, Place], Command]
    subject: str
    refusals: tuple[str, ...]
    example: dict[str, Any]
    target: str = ""
    whose: Whose = "account"
    mints: bool = False
    method: Literal["POST", "PUT"] = "POST"

    @property
    def operation(self) -> str:
        """What its keys are kept under."""
        return f"http/{self.name}"

    @property
    def batched(self) -> bool:
        """Whether it changes an account, and so may be one of many."""
        return self.subject != "budget"

    @property
    def status(self) -> int:
        """Of an answer that is no problem."""
        return 201 if self.mints else 200

    @property
    def target_kinds(self) -> tuple[str, ...]:
        """Prefixes of the id that it names."""
        return _PREFIXES[self.target]


_PREFIXES = {
    "": (),
    "hold_id": ("hold",),
    "grant_id": ("grant",),
    "debit_id": ("debit", "hold"),
    "account_id": ("acc",),
    "budget_id": ("budget",),
}
_SPENDING = ("account-frozen", "account-closed", "insufficient-credits", "too-many-slices")
_ON_HOLD = ("hold-unknown", "hold-resolved", "hold-of-job")
_BUDGETS = ("budget-unknown", "budget-exceeded")
_ROOM = ("too-many-grants", "balance-too-large")
_CODE = "customer-request"
_HOLDS = (
    Kind(
        name="hold",
        path="/holds",
        scope=WRITE,
        summary="Hold credits",
        body=bodies.HoldIn,
        make=commands.hold,
        subject="hold",
        mints=True,
        refusals=(*_SPENDING, *_BUDGETS, "too-many-holds"),
        example={"amount": "2.5", "lease_s": 60},
    ),
    Kind(
        name="renew-hold",
        path="/holds/{hold_id:str}/renew",
        scope=WRITE,
        summary="Keep a hold longer",
        body=bodies.RenewIn,
        make=commands.renew,
        subject="hold",
        target="hold_id",
        whose="hold",
        refusals=_ON_HOLD,
        example={"lease_s": 120},
    ),
    Kind(
        name="raise-hold",
        path="/holds/{hold_id:str}/raise",
        scope=WRITE,
        summary="Hold more",
        body=bodies.RaiseIn,
        make=commands.raise_hold,
        subject="hold",
        target="hold_id",
        whose="hold",
        refusals=(*_ON_HOLD, *_SPENDING, *_BUDGETS, "raise-above-cap"),
        example={"amount": "0.5"},
    ),
    Kind(
        name="commit-hold",
        path="/holds/{hold_id:str}/commit",
        scope=WRITE,
        summary="Debit what is held",
        body=bodies.CommitIn,
        make=commands.commit,
        subject="hold",
        target="hold_id",
        whose="hold",
        refusals=(*_ON_HOLD, "commit-above-hold", "late-finish-over", "insufficient-credits", "account-frozen"),
        example={"amount": "2"},
    ),
    Kind(
        name="release-hold",
        path="/holds/{hold_id:str}/release",
        scope=WRITE,
        summary="Give back what is held",
        body=bodies.ReleaseIn,
        make=commands.release,
        subject="hold",
        target="hold_id",
        whose="hold",
        refusals=_ON_HOLD,
        example={"reason": "cancelled"},
    ),
)
_DEBITS = (
    Kind(
        name="debit",
        path="/debits",
        scope=WRITE,
        summary="Debit without a hold",
        body=bodies.DebitIn,
        make=commands.debit,
        subject="debit",
        mints=True,
        refusals=(*_SPENDING, *_BUDGETS),
        example={"amount": "1", "reason": "api-call"},
    ),
    Kind(
        name="reverse-debit",
        path="/debits/{debit_id:str}/reverse",
        scope=ADJUST,
        summary="Undo a debit",
        body=bodies.ReverseIn,
        make=commands.reverse,
        subject="undo",
        target="debit_id",
        mints=True,
        refusals=(
            "debit-unknown",
            "reverse-above-debit",
            "overdraft-repaid",
            "debt-repaid",
            "effective-in-future",
            "balance-too-large",
        ),
        example={"reason": _CODE},
    ),
    Kind(
        name="transfer",
        path="/transfers",
        scope=WRITE,
        summary="Move credits between accounts",
        body=bodies.TransferIn,
        make=commands.transfer,
        subject="move",
        mints=True,
        refusals=(*_SPENDING, *_ROOM, "other-organisation"),
        example={"to_account_id": f"acc_{'0' * 32}", "amount": "10", "reason": "team-budget"},
    ),
)
_GRANTS = (
    Kind(
        name="grant",
        path="/grants",
        scope=GRANTS,
        summary="Give credits",
        body=bodies.GrantIn,
        make=commands.grant,
        subject="grant",
        mints=True,
        refusals=("account-closed", "effective-in-future", *_ROOM),
        example={"amount": "100", "kind": "promo", "expires_in_s": 2592000, "reason": "welcome"},
    ),
    Kind(
        name="extend-grant",
        path="/grants/{grant_id:str}/extend",
        scope=GRANTS,
        summary="Let a grant end later",
        body=bodies.ExtendIn,
        make=commands.extend,
        subject="grant",
        target="grant_id",
        refusals=("account-closed", "grant-unknown", "grant-ended", "extension-not-later"),
        example={"expires_in_s": 2592000, "keep": "50"},
    ),
    Kind(
        name="freeze-grant",
        path="/grants/{grant_id:str}/freeze",
        scope=FREEZE,
        summary="Freeze a grant",
        body=bodies.FreezeGrantIn,
        make=commands.freeze_grant,
        subject="grant",
        target="grant_id",
        refusals=("grant-unknown", "grant-frozen", "grant-ended"),
        example={"reason": "dispute"},
    ),
    Kind(
        name="unfreeze-grant",
        path="/grants/{grant_id:str}/unfreeze",
        scope=FREEZE,
        summary="Unfreeze a grant",
        body=bodies.ReasonIn,
        make=commands.unfreeze_grant,
        subject="grant",
        target="grant_id",
        refusals=("grant-unknown", "grant-not-frozen"),
        example={"reason": "dispute-won"},
    ),
    Kind(
        name="revoke-grant",
        path="/grants/{grant_id:str}/revoke",
        scope=FREEZE,
        summary="Take a grant back",
        body=bodies.RevokeIn,
        make=commands.revoke,
        subject="grant",
        target="grant_id",
        refusals=("grant-unknown", "grant-ended", "revoke-above-grant", "debt-too-large"),
        example={"cause": "refund", "amount": "10"},
    ),
)
_ACCOUNTS = (
    Kind(
        name="open-account",
        path="/accounts",
        scope=ACCOUNTS,
        summary="Open another account",
        body=bodies.AccountIn,
        make=commands.open_account,
        subject="acc",
        mints=True,
        whose="organisation",
        refusals=(),
        example={"overdraft_limit": "0"},
    ),
    Kind(
        name="set-policy",
        path="/accounts/{account_id:str}/policy",
        method="PUT",
        scope=ACCOUNTS,
        summary="Set the limits of an account",
        body=bodies.PolicyIn,
        make=commands.set_policy,
        subject="acc",
        target="account_id",
        refusals=("account-closed",),
        example={"overdraft_limit": "50", "max_open_holds": 1000},
    ),
    Kind(
        name="freeze-account",
        path="/accounts/{account_id:str}/freeze",
        scope=FREEZE,
        summary="Freeze an account",
        body=bodies.LifeIn,
        make=commands.freeze_account,
        subject="acc",
        target="account_id",
        refusals=("account-frozen", "account-closed"),
        example={"reason": "fraud-suspected"},
    ),
    Kind(
        name="unfreeze-account",
        path="/accounts/{account_id:str}/unfreeze",
        scope=FREEZE,
        summary="Unfreeze an account",
        body=bodies.LifeIn,
        make=commands.unfreeze_account,
        subject="acc",
        target="account_id",
        refusals=("account-closed",),
        example={"reason": "cleared"},
    ),
    Kind(
        name="close-account",
        path="/accounts/{account_id:str}/close",
        scope=ACCOUNTS,
        summary="Close an account",
        body=bodies.LifeIn,
        make=commands.close_account,
        subject="acc",
        target="account_id",
        refusals=("account-not-empty", "account-closed"),
        example={"reason": _CODE},
    ),
    Kind(
        name="set-budget",
        path="/budgets/{budget_id:str}",
        method="PUT",
        scope="ledger:budgets",
        summary="Set a budget",
        body=bodies.BudgetIn,
        make=commands.set_budget,
        subject="budget",
        target="budget_id",
        whose="organisation",
        refusals=("budget-unknown",),
        example={"subject": "project", "window": "month", "limit": "500"},
    ),
)
KINDS = (*_HOLDS, *_DEBITS, *_GRANTS, *_ACCOUNTS)

assert len({kind.name for kind in KINDS}) == len(KINDS), "a name is used twice"
