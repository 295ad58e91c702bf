"""What a decision may look at beside its account, and what several rules share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from ledger import errors, limits
from ledger.domain import events
from ledger.domain.account import Account, Grant
from ledger.domain.budgets import Budgets
from ledger.domain.events import OVERDRAFT, Slice
from ledger.domain.evolve import Rows
from ledger.domain.words import total_ucr
from ledger.limits import SLICES_MAX

Decision = list[events.AccountEvent]
NOTHING: Mapping[UUID, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """What was read for a batch: the time, rows, budgets and other accounts that its commands name."""

    now: datetime
    rows: Rows
    budgets: Budgets
    accounts: Mapping[UUID, Account]


def iso(at: datetime) -> str:
    """A moment as facts carry it: RFC 3339, UTC."""
    return at.isoformat().replace("+00:00", "Z")


def may_spend(account: Account) -> None:
    """Check that an account takes new spending.

    :raises errors.AccountIsFrozen: or closed (``may_receive``).
    """
    may_receive(account)
    if account.status == "frozen":
        raise errors.AccountIsFrozen(account_id=str(account.account_id))


def may_receive(account: Account) -> None:
    """Check that an account has not ended.

    :raises errors.AccountIsClosed: it has.
    """
    if account.status == "closed":
        raise errors.AccountIsClosed(account_id=str(account.account_id))


def not_ahead(effective_at: datetime | None, now: datetime) -> None:
    """Check that an effective date does not lie in the future.

    :raises errors.EffectiveInFuture: it does.
    """
    if effective_at is not None and effective_at > now:
        raise errors.EffectiveInFuture(effective_at=iso(effective_at))


def may_grow(account: Account, amount_ucr: int) -> None:
    """Check that an account may have so much more.

    :raises errors.BalanceTooLarge: it would have more than any may.
    """
    if account.posted_ucr + amount_ucr > limits.POSTED_MAX_UCR:
        raise errors.BalanceTooLarge(
            posted_ucr=account.posted_ucr, amount_ucr=amount_ucr, posted_max_ucr=limits.POSTED_MAX_UCR
        )


def may_add(account: Account, amount_ucr: int, grants: int = 1) -> None:
    """Check that an account has room for new grants that make an amount together.

    :raises errors.TooManyGrants: too many are live already.
    :raises errors.BalanceTooLarge: as ``may_grow``.
    """
    if len(account.grants) + grants > limits.GRANTS_MAX:
        raise errors.TooManyGrants(grants_max=limits.GRANTS_MAX)
    may_grow(account, amount_ucr)


def affordable(account: Account, amount_ucr: int, *, overdraft: bool = True) -> tuple[Slice, ...]:
    """Slices for an amount; what grants do not cover is overdraft, if the policy and the caller allow it.

    :raises errors.InsufficientCredits: less is available; the overdraft is told only where it counts.
    :raises errors.TooManySlices: it would take more grants than one event may name.
    """
    limit_ucr = account.overdraft_limit_ucr if overdraft else 0
    if amount_ucr > account.available_ucr + limit_ucr:
        raise errors.InsufficientCredits(
            required_ucr=amount_ucr,
            available_ucr=account.available_ucr,
            held_ucr=account.held_ucr,
            **({"overdraft_limit_ucr": limit_ucr} if limit_ucr else {}),
        )
    slices = account.burn(amount_ucr)
    if len(slices) > SLICES_MAX:
        raise errors.TooManySlices(slices_max=SLICES_MAX)
    assert overdraft or not slices[-1].overdraft, "what is available lies in grants"
    return slices


def overdrawn(slices: tuple[Slice, ...]) -> Decision:
    """The debt that spending slices leaves behind."""
    amount_ucr = total_ucr([part for part in slices if part.overdraft])
    return [events.DebtIncurred(amount_ucr=amount_ucr, cause="overdraft")] if amount_ucr else []


def seen_grant(account: Account, known: Known, grant_id: UUID) -> Grant | None:
    """A grant of this account, live or ended."""
    return account.grant(grant_id) or known.rows.ended.get((account.account_id, grant_id))


def find_grant(account: Account, known: Known, grant_id: UUID) -> Grant:
    """A grant of this account, live or ended.

    :raises errors.GrantUnknown: no such grant.
    """
    found = seen_grant(account, known, grant_id)
    if found is None:
        raise errors.GrantUnknown(grant_id=str(grant_id))
    return found


def refrozen(
    account: Account, known: Known, slices: tuple[Slice, ...], taken_ucr: Mapping[UUID, int] = NOTHING
) -> tuple[Slice, ...]:
    """The parts of returning slices that go to frozen: grants under dispute, up to what is disputed.

    What is claimed of a grant does not, nor what is ``taken_ucr`` again of it.
    """
    back_ucr: dict[UUID, int] = {}
    for part in slices:
        back_ucr[part.grant_id] = back_ucr.get(part.grant_id, 0) + part.amount_ucr
    parts: list[Slice] = []
    for grant_id, amount_ucr in back_ucr.items():
        grant = None if grant_id == OVERDRAFT else seen_grant(account, known, grant_id)
        if grant is not None and grant.freeze_limit_ucr:
            room_ucr = grant.freeze_limit_ucr - grant.frozen_ucr
            stays_ucr = amount_ucr - grant.claim_ucr - taken_ucr.get(grant_id, 0)
            frozen_ucr = min(room_ucr, max(0, stays_ucr))
            parts += [Slice(grant_id, frozen_ucr)] if frozen_ucr else []
    return tuple(parts)
