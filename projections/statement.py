"""Statements: the follower that writes lines per account, and what reads them. Decisions never read these tables."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import astuple
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

from ledger.domain import events
from ledger.domain.codec import RecordedEvent, account_event, is_account_event
from ledger.follower import Fold, FoldError
from ledger.sansio import Copy, Row, Run
from projections import statements as sql
from projections.appends import Funding, fundings
from projections.lines import Line, Sums, line, opened

NAME: Final = "statement"
PAGE_MAX = 500
_encode = msgspec.json.Encoder().encode


class StatementFollower:
    """Writes ``statement_lines`` and the running sums in ``statement_accounts``."""

    name = NAME
    tables = ("statement_accounts", "statement_lines")

    def fold(self, events: Sequence[RecordedEvent]) -> Fold:
        """Write the lines of a batch, and the sums after it. An event that cannot be read parks the follower."""
        batch = [(event, _decoded(event)) for event in events if is_account_event(event.tag)]
        paid = yield from fundings(events)
        sums = yield from _sums({recorded.stream_id.int: recorded.stream_id for recorded, _ in batch})
        known = len(sums)
        lines: list[Line] = []
        for recorded, event in batch:
            if (found := _fold(sums, event, recorded, paid)) is not None:
                lines.append(found)
        if lines:
            yield Copy(sql.LINES, [astuple(one) for one in lines])
        moved = [*sums.values()]
        if new := moved[known:]:
            yield Copy(sql.SUMS, [astuple(one) for one in new])
        if known:
            yield Run(sql.UPDATE_SUMS, {"rows": _encode(moved[:known]).decode()})


class StatementPage(Struct, frozen=True, kw_only=True):
    """Lines in the order of the log. ``has_more``: there are lines beyond; ``log_position``: folded at least so far."""

    lines: list[Line]
    has_more: bool
    log_position: int


class StatementReader:
    """Reads statements; every query names the organisation."""

    def __init__(self, pool: ConnectionPool[Any]) -> None:
        self._pool = pool

    def page(self, organisation_id: UUID, account_id: UUID, after_position: int, limit: int) -> StatementPage:
        """Lines after a position, oldest first. Another organisation's account has none."""
        return self._read(sql.PAGE.sql, organisation_id, account_id, after_position, limit)

    def latest(self, organisation_id: UUID, account_id: UUID, before_position: int | None, limit: int) -> StatementPage:
        """Lines before a position (None: the end), newest first."""
        bound = before_position if before_position is not None else 2**63 - 1
        return self._read(sql.LATEST.sql, organisation_id, account_id, bound, limit)

    def accounts(self, organisation_id: UUID, after_account: UUID, limit: int) -> list[Sums]:
        """Running sums of an organisation's accounts by id, for lists; the ledger has the balance to act on."""
        params = {"organisation_id": organisation_id, "after": after_account, "limit": limit}
        with self._pool.connection() as connection:
            return connection.cursor(row_factory=class_row(Sums)).execute(sql.ACCOUNTS.sql.encode(), params).fetchall()

    def _read(self, text: str, organisation_id: UUID, account_id: UUID, bound: int, limit: int) -> StatementPage:
        assert 0 < limit <= PAGE_MAX
        params = {"organisation_id": organisation_id, "account_id": account_id, "bound": bound, "limit": limit + 1}
        with self._pool.connection() as connection:
            # The position first: lines may then be ahead of it, never behind.
            row = connection.cursor().execute(sql.POSITION.sql.encode(), {"name": NAME}).fetchone()
            lines = connection.cursor(row_factory=class_row(Line)).execute(text.encode(), params).fetchall()
        return StatementPage(lines=lines[:limit], has_more=len(lines) > limit, log_position=row[0] if row else 0)


def is_line(position: int) -> Generator[Run, list[Row], bool]:
    """Whether some statement has a line at a position."""
    return bool((yield Run(sql.LINE, {"position": position})))


def _decoded(recorded: RecordedEvent) -> events.AccountEvent:
    try:
        return account_event(recorded.state)
    except msgspec.MsgspecError as error:
        raise FoldError(recorded.position, f"{recorded.tag} cannot be read: {error}") from error


def _fold(
    sums: dict[int, Sums], event: events.AccountEvent, recorded: RecordedEvent, paid: Mapping[UUID, Funding]
) -> Line | None:
    if isinstance(event, events.AccountOpened):
        sums[event.account_id.int] = opened(event, recorded)
        return None
    if (found := sums.get(recorded.stream_id.int)) is None:
        raise FoldError(recorded.position, f"account {recorded.stream_id} was never opened")
    funding = paid.get(event.grant_id) if isinstance(event, events.CreditsGranted) else None
    try:
        return line(found, event, recorded, funding.money.topup_id if funding else None)
    except AssertionError as error:
        raise FoldError(recorded.position, str(error)) from error


def _sums(account_ids: Mapping[int, UUID]) -> Generator[Run, list[Sums], dict[int, Sums]]:
    """Sums by the number that an account's id is: an id itself takes ten times as long to look up."""
    if not account_ids:
        return {}
    found = yield Run(sql.READ_SUMS, {"ids": [*account_ids.values()]})
    return {sums.account_id.int: sums for sums in found}
