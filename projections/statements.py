"""SQL of statements. New rows are copied; sums that move go in as one JSON array, spread by the table's own types."""

from __future__ import annotations

from ledger.sansio import Statement, Table
from projections.lines import Line, Sums

READ_SUMS = Statement(
    "statement-read-sums",
    """
    SELECT account_id, organisation_id, account_version, position, posted_ucr, held_ucr, frozen_ucr, debt_ucr
    FROM statement_accounts WHERE account_id = ANY(%(ids)b)
    """,
    Sums,
)
LINES = Table(
    "statement_lines",
    {
        "position": "bigint",
        "organisation_id": "uuid",
        "account_id": "uuid",
        "account_version": "bigint",
        "kind": "text",
        "amount_ucr": "bigint",
        "held_change_ucr": "bigint",
        "posted_ucr": "bigint",
        "held_ucr": "bigint",
        "subject_id": "uuid",
        "reference_id": "uuid",
        "detail": "text",
        "recorded_at": "timestamptz",
        "effective_at": "timestamptz",
        "frozen_change_ucr": "bigint",
        "debt_change_ucr": "bigint",
        "frozen_ucr": "bigint",
        "debt_ucr": "bigint",
    },
)
assert tuple(LINES.columns) == Line.__struct_fields__, "a line is copied as it is"
SUMS = Table(
    "statement_accounts",
    {
        "account_id": "uuid",
        "organisation_id": "uuid",
        "account_version": "bigint",
        "position": "bigint",
        "posted_ucr": "bigint",
        "held_ucr": "bigint",
        "frozen_ucr": "bigint",
        "debt_ucr": "bigint",
    },
)
assert tuple(SUMS.columns) == Sums.__struct_fields__, "sums are copied as they are"
UPDATE_SUMS = Statement(
    "statement-update-sums",
    """
    UPDATE statement_accounts AS s
    SET account_version = n.account_version, position = n.position, posted_ucr = n.posted_ucr, held_ucr = n.held_ucr,
        frozen_ucr = n.frozen_ucr, debt_ucr = n.debt_ucr
    FROM json_populate_recordset(CAST(NULL AS statement_accounts), CAST(%(rows)s AS json)) AS n
    WHERE s.account_id = n.account_id
    """,
)
POSITION = Statement("follower-position", "SELECT position FROM followers WHERE name = %(name)s")

_LINES = """
    SELECT position, organisation_id, account_id, account_version, kind, amount_ucr, held_change_ucr, posted_ucr,
           held_ucr, subject_id, reference_id, detail, recorded_at, effective_at, frozen_change_ucr, debt_change_ucr,
           frozen_ucr, debt_ucr
    FROM statement_lines
    WHERE organisation_id = %(organisation_id)s AND account_id = %(account_id)s
"""
PAGE = Statement("statement-page", f"{_LINES} AND position > %(bound)s ORDER BY position LIMIT %(limit)s")
LATEST = Statement("statement-latest", f"{_LINES} AND position < %(bound)s ORDER BY position DESC LIMIT %(limit)s")
LINE = Statement("statement-line", "SELECT TRUE AS found FROM statement_lines WHERE position = %(position)s")
ACCOUNTS = Statement(
    "statement-accounts",
    """
    SELECT account_id, organisation_id, account_version, position, posted_ucr, held_ucr, frozen_ucr, debt_ucr
    FROM statement_accounts
    WHERE organisation_id = %(organisation_id)s AND account_id > %(after)s
    ORDER BY account_id LIMIT %(limit)s
    """,
)
USAGE = Statement(
    "usage-days",
    """
    SELECT CAST(recorded_at AT TIME ZONE 'UTC' AS date) AS day,
           coalesce(-sum(amount_ucr) FILTER (WHERE kind <> 'reversal'), 0) AS spent_ucr,
           count(*) FILTER (WHERE kind IN ('commit', 'debit')) AS debits,
           coalesce(sum(amount_ucr) FILTER (WHERE kind = 'reversal'), 0) AS reversed_ucr
    FROM statement_lines
    WHERE organisation_id = %(organisation_id)s
      AND (kind IN ('commit', 'debit', 'reversal') OR (kind = 'debt' AND detail = 'overdraft'))
      AND recorded_at >= CAST(%(first)s AS date)::timestamp AT TIME ZONE 'UTC'
      AND recorded_at < (CAST(%(last)s AS date) + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY day ORDER BY day
    """,
)
