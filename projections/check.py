"""The projection part of ``tallystick verify``: does what we read say what the log says?

Sans I/O, from one snapshot, on a connection of its own: running sums and books against the ledger's state, the
identities of the books, and every read model against itself folded again from the first event.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from msgspec import Struct

from ledger.domain.account import STATE_FORMAT, decode_account
from ledger.follower import FoldError
from ledger.sansio import Core, Row, Run, Statement
from projections import books, statement
from projections.books import chart
from projections.books.identities import broken
from projections.books.model import CREDIT
from projections.rebuild import ReadModel, digests, fold_beside

PAGE = 2_000
_NIL = UUID(int=0)

SNAPSHOT = Statement("check-snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
HEAD = Statement("check-head", "SELECT position FROM log_head")
FOLLOWERS = Statement("check-followers", "SELECT name, position, parked_reason FROM followers ORDER BY name")
ACCOUNTS = Statement(
    "check-accounts",
    """
    SELECT a.account_id, a.version, a.format, a.state, s.account_version, s.organisation_id, s.posted_ucr, s.held_ucr,
           s.frozen_ucr, s.debt_ucr
    FROM account_states AS a LEFT JOIN statement_accounts AS s USING (account_id)
    WHERE a.account_id > %(after)s ORDER BY a.account_id LIMIT %(limit)s
    """,
)
UNITS = Statement(
    "check-units",
    """
    SELECT a.name, a.commodity, sum(l.credit - l.debit) AS balance
    FROM book_legs AS l JOIN book_accounts AS a USING (account_no)
    WHERE a.name = ANY(%(names)s) GROUP BY a.name, a.commodity ORDER BY a.name, a.commodity
    """,
)
SUMS = Statement(
    "check-sums",
    """
    SELECT coalesce(sum(posted_ucr - held_ucr - frozen_ucr + debt_ucr), 0) AS available,
           coalesce(sum(frozen_ucr), 0) AS frozen,
           coalesce(sum(debt_ucr), 0) AS debt,
           (SELECT coalesce(sum(remaining_ucr), 0) FROM holds WHERE state = 'open') AS held
    FROM statement_accounts
    """,
)
"""Sums over accounts have no bound: they stay ``numeric``, and are whole."""
_SUMS = ("posted_ucr", "held_ucr", "frozen_ucr", "debt_ucr")


class Difference(Struct, frozen=True):
    """Where a read model does not say what the log says; position 0 is no place in the log."""

    projection: str
    position: int
    what: str


class Standing(Struct, frozen=True):
    """How far a follower has come; ``parked_reason`` names the event at which it stopped."""

    name: str
    position: int
    parked_reason: str | None


class Checked(Struct, frozen=True, kw_only=True):
    """What was compared at which head, and what differs; ``differences`` empty means clean."""

    head: int
    followers: tuple[Standing, ...]
    differences: tuple[Difference, ...]


def standings() -> Core[list[Standing]]:
    """How far every follower has come."""
    rows: list[Row] = yield Run(FOLLOWERS, {})
    return [Standing(**row) for row in rows]


def check(models: Sequence[ReadModel]) -> Core[Checked]:
    """Compare everything. Followers behind the head are compared with the log up to where they are."""
    yield Run(SNAPSHOT, {})
    head_rows: list[Row] = yield Run(HEAD, {})
    head = head_rows[0]["position"]
    stand = {one.name: one for one in (yield from standings())}
    found = [
        Difference(one.name, one.position + 1, f"parked: {one.parked_reason}")
        for one in stand.values()
        if one.parked_reason is not None
    ]
    found += [Difference(books.NAME, wrong.position, wrong.what) for wrong in (yield from broken())]
    at_head = {one.name for one in stand.values() if one.position == head}
    if statement.NAME in at_head:
        found += yield from _accounts()
        if books.NAME in at_head:
            found += yield from _units()
    for model in models:
        if model.name in stand:
            found += yield from _replayed(model, stand[model.name].position)
    return Checked(head=head, followers=tuple(stand.values()), differences=tuple(found))


def _replayed(model: ReadModel, until: int) -> Core[list[Difference]]:
    """The read model against itself folded again beside it."""
    stored = yield from digests(model.tables)
    try:
        yield from fold_beside(model, until)
    except FoldError as error:
        return [Difference(model.name, error.position, f"a replay stops here: {error.reason}")]
    again = yield from digests(model.tables, shadow=True)
    return [
        Difference(model.name, 0, f"{one.table}: {one.rows} rows stored are not the {other.rows} of a replay")
        for one, other in zip(stored, again, strict=True)
        if one != other
    ]


def _accounts() -> Core[list[Difference]]:
    """Running sums of statements against the ledger's account states."""
    found: list[Difference] = []
    after = _NIL
    while rows := (yield Run(ACCOUNTS, {"after": after, "limit": PAGE})):
        after = rows[-1]["account_id"]
        found.extend(_wrong_sums(rows))
    return found


def _wrong_sums(rows: list[Row]) -> Iterator[Difference]:
    for row in rows:
        if row["format"] != STATE_FORMAT:
            continue
        account = decode_account(row["state"])
        ledgers = (account.version, account.organisation_id, *(getattr(account, name) for name in _SUMS))
        ours = (row["account_version"], row["organisation_id"], *(row[name] for name in _SUMS))
        if ledgers != ours:
            yield Difference(
                statement.NAME, 0, f"account {row['account_id']}: the ledger has {ledgers}, we have {ours}"
            )


def _units() -> Core[list[Difference]]:
    """The unit accounts of the books against statements and open holds; and nothing is between two accounts."""
    row: Row = (yield Run(SUMS, {}))[0]
    wanted = {
        (chart.AVAILABLE, CREDIT): int(row["available"]),
        (chart.HELD, CREDIT): int(row["held"]),
        (chart.FROZEN, CREDIT): int(row["frozen"]),
        (chart.DEBT, CREDIT): -int(row["debt"]),
    }
    names = [chart.AVAILABLE, chart.HELD, chart.FROZEN, chart.DEBT, chart.MOVING, chart.TRANSFERS]
    rows: list[Row] = yield Run(UNITS, {"names": names})
    found = {(row["name"], row["commodity"]): int(row["balance"]) for row in rows}
    return [
        Difference(books.NAME, 0, f"{name} is {found.get((name, unit), 0)} {unit} in the books, not {expected}")
        for (name, unit) in sorted({*wanted, *found})
        if found.get((name, unit), 0) != (expected := wanted.get((name, unit), 0))
    ]
