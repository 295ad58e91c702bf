"""What always holds in the books, at every sequence, asked of the stored rows; and the trial balance.

An entry that balances keeps every prefix of the log balanced. The formula is checked change by change and entry by
entry, so that the sum of it over all grants equals the Deferred accounts at every sequence.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from ledger.sansio import Core, Row, Run, Statement
from projections.books import chart
from projections.books.model import render

FOUND_MAX = 20
"""Differences of one kind that are told."""

_NAMES = {
    "packs": chart.DEFERRED_PACKS,
    "subscriptions": chart.DEFERRED_SUBSCRIPTIONS,
    "customers": chart.RECEIVABLE_CUSTOMERS,
}
_TOTAL = "CASE WHEN g.kind IN ('paid', 'subscription') THEN g.cost_micro ELSE 0 END"


class Identity(NamedTuple):
    """Rows of ``statement`` break it, each with a ``position`` and a ``detail``."""

    statement: Statement
    what: str


IDENTITIES = (
    Identity(
        Statement(
            "identity-balanced",
            """
            SELECT l.position, a.commodity || ' ' || sum(l.debit - l.credit) AS detail
            FROM book_legs AS l JOIN book_accounts AS a USING (account_no)
            GROUP BY l.position, a.commodity HAVING sum(l.debit - l.credit) <> 0
            ORDER BY l.position LIMIT 20
            """,
        ),
        "an entry does not balance",
    ),
    Identity(
        Statement(
            "identity-entries-have-legs",
            """
            SELECT coalesce(e.position, l.position) AS position, '' AS detail
            FROM book_entries AS e
            FULL JOIN (SELECT DISTINCT position FROM book_legs) AS l ON l.position = e.position
            WHERE e.position IS NULL OR l.position IS NULL
            ORDER BY 1 LIMIT 20
            """,
        ),
        "an entry without legs, or legs without an entry",
    ),
    Identity(
        Statement(
            "identity-formula",
            f"""
            WITH gone AS (
                SELECT c.position, c.grant_id, c.deferred_micro, g.granted_ucr, {_TOTAL} AS total, c.gone_ucr,
                       sum(c.gone_ucr) OVER (PARTITION BY c.grant_id ORDER BY c.position) AS after_ucr
                FROM book_changes AS c JOIN book_grants AS g USING (grant_id)
            )
            SELECT position, grant_id || ' took ' || deferred_micro || ' out of Deferred' AS detail
            FROM gone
            WHERE deferred_micro
                <> div(total * after_ucr, granted_ucr) - div(total * (after_ucr - gone_ucr), granted_ucr)
            ORDER BY position LIMIT 20
            """,  # noqa: S608  constants of ours
        ),
        "a grant's change is not the deferred formula's",
    ),
    Identity(
        Statement(
            "identity-deferred",
            f"""
            SELECT position, 'off by ' || sum(micro) AS detail
            FROM (
                SELECT l.position, l.debit - l.credit AS micro
                FROM book_legs AS l JOIN book_accounts AS a USING (account_no)
                WHERE a.name IN (%(packs)s, %(subscriptions)s)
                UNION ALL
                SELECT g.position, {_TOTAL} FROM book_grants AS g
                UNION ALL
                SELECT c.position, -c.deferred_micro FROM book_changes AS c
            ) AS moves
            GROUP BY position HAVING sum(micro) <> 0
            ORDER BY position LIMIT 20
            """,  # noqa: S608  constants of ours
        ),
        "the Deferred accounts and the formula part",
    ),
    Identity(
        Statement(
            "identity-gone",
            """
            SELECT g.position, g.grant_id || ' has ' || g.gone_ucr || ' gone' AS detail
            FROM book_grants AS g
            LEFT JOIN (
                SELECT grant_id, sum(gone_ucr) AS gone_ucr FROM book_changes GROUP BY grant_id
            ) AS c USING (grant_id)
            WHERE g.gone_ucr <> coalesce(c.gone_ucr, 0)
            ORDER BY g.position LIMIT 20
            """,
        ),
        "a grant's state is not the sum of its changes",
    ),
    Identity(
        Statement(
            "identity-receivable",
            """
            SELECT 0 AS position, currency || ' off by ' || sum(micro) AS detail
            FROM (
                SELECT a.commodity AS currency, l.debit - l.credit AS micro
                FROM book_legs AS l JOIN book_accounts AS a USING (account_no)
                WHERE a.name = %(customers)s
                UNION ALL
                SELECT currency, -owed_micro FROM book_tabs
            ) AS moves
            GROUP BY currency HAVING sum(micro) <> 0
            ORDER BY currency LIMIT 20
            """,
        ),
        "what customers owe for overdraft is not on their tabs",
    ),
)

TRIAL_BALANCE = Statement(
    "trial-balance",
    """
    SELECT a.name, a.commodity, CAST(sum(l.debit) AS text) AS debit, CAST(sum(l.credit) AS text) AS credit
    FROM book_legs AS l JOIN book_accounts AS a USING (account_no)
    WHERE l.position <= %(position)s
    GROUP BY a.name, a.commodity ORDER BY a.name, a.commodity
    """,
)


class TrialLine(Struct, frozen=True):
    """Turnover of an account in one commodity, in its smallest unit."""

    account: str
    commodity: str
    debit: int
    credit: int

    @property
    def balance(self) -> int:
        """Signed, debit positive."""
        return self.debit - self.credit

    @property
    def text(self) -> str:
        """The balance as exact decimal text."""
        return render(self.balance, self.commodity)


class Broken(Struct, frozen=True):
    """An identity that does not hold at a position."""

    position: int
    what: str


def broken() -> Core[list[Broken]]:
    """Identities that do not hold, at most ``FOUND_MAX`` of each; empty when the books are sound."""
    found: list[Broken] = []
    for identity in IDENTITIES:
        rows: list[Row] = yield Run(identity.statement, _NAMES)
        found += [Broken(row["position"], f"{identity.what}: {row['detail']}") for row in rows]
    return found


def trial_balance(position: int) -> Core[list[TrialLine]]:
    """Turnover of every account up to a position of the log."""
    rows: list[Row] = yield Run(TRIAL_BALANCE, {"position": position})
    return [TrialLine(row["name"], row["commodity"], int(row["debit"]), int(row["credit"])) for row in rows]
