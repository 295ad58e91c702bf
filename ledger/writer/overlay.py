"""The tables as a few more batches will leave them: what those write, laid over what the tables say now.

They may say it already, or not: the batches are being appended meanwhile. The outcome is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any
from uuid import UUID

from ledger.domain.codec import is_of_commands
from ledger.writer.requests import (
    AccountRow,
    Append,
    More,
    ReadAhead,
    ReadMore,
    ReadRefusals,
    Refusals,
    StoredAccount,
    StoredVerdict,
    StreamHead,
    UnderLock,
    WriterRequest,
)


def overlaid(asked: WriterRequest, told: Any, appends: Sequence[Append]) -> Any:
    """What would be told if these batches had been appended, the first one first."""
    for append in appends:
        told = _over(asked, told, append)
    return told


def _over(asked: WriterRequest, told: Any, append: Append) -> Any:
    match asked:
        case ReadAhead():
            return _read(asked, told, append)
        case ReadMore():
            return _more(asked, told, append)
        case ReadRefusals():
            return _refusals(asked, told, append)
        case _:
            return told


def _read(asked: ReadAhead, told: UnderLock, append: Append) -> UnderLock:
    return replace(
        told,
        verdicts={**told.verdicts, **_verdicts(asked, append)},
        accounts={**told.accounts, **_accounts(asked, append)},
        holds={**told.holds, **_holds(asked, append)},
        streams=_heads(told.streams, append),
    )


def _verdicts(asked: ReadAhead, append: Append) -> dict[bytes, StoredVerdict]:
    wanted = set(asked.keys)
    return {row.key_hash: StoredVerdict(row.digests, row.verdict) for row in append.verdicts if row.key_hash in wanted}


def _accounts(asked: ReadAhead, append: Append) -> dict[UUID, StoredAccount]:
    if not asked.accounts:
        return {}
    return {row.account_id: _stored(row) for row in append.accounts if row.account_id in asked.accounts}


def _stored(row: AccountRow) -> StoredAccount:
    return StoredAccount(row.version, row.hash, row.format, row.state)


def _holds(asked: ReadAhead, append: Append) -> dict[UUID, Any]:
    if not asked.holds:
        return {}
    wanted = set(asked.holds)
    return {hold.hold_id: copy(hold) for hold in append.holds if hold.hold_id in wanted}


def _heads(told: Mapping[UUID, StreamHead], append: Append) -> Mapping[UUID, StreamHead]:
    if not told:
        return told
    rows = [row for row in append.events if row.stream_id in told]
    return {**told, **{row.stream_id: StreamHead(row.version, row.hash, is_of_commands(row.tag)) for row in rows}}


def _more(asked: ReadMore, told: More, append: Append) -> More:
    budgets = {budget.budget_id: budget for budget in told.budgets}
    budgets |= {budget.budget_id: budget for budget in append.budgets if budget.budget_id in asked.budgets}
    ended = {(account_id, grant.grant_id): grant for account_id, grant in append.grants}
    used = dict(append.usage)
    return More(
        {**told.grants, **{key: copy(ended[key]) for key in asked.grants if key in ended}},
        list(budgets.values()),
        {**told.usage, **{use: used[use] for use in asked.usage if use in used}},
    )


def _refusals(asked: ReadRefusals, told: Refusals, append: Append) -> Refusals:
    kept = {account_id: count for account_id, day, count in append.refusals if day == asked.day}
    wanted = {account_id: kept[account_id] for account_id in asked.accounts if account_id in kept}
    seals = [StreamHead(row.version, row.hash) for row in append.events if row.stream_id == asked.seals]
    return Refusals({**told.kept, **wanted}, seals[-1] if seals else told.seals)
