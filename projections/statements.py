"""SQL of statements. Rows go in as one JSON array and are spread by the table's own column types."""

from __future__ import annotations

from ledger.sansio import Statement

READ_SUMS = Statement(
    "statement-read-sums",
    """
    SELECT account_id, organisation_id, account_version, position, posted_ucr, held_ucr, frozen_ucr, debt_ucr
    FROM statement_accounts WHERE account_id = ANY(%(ids)s)
    """,
)
INSERT_LINES = Statement(
    "statement-insert-lines",
    """
    INSERT INTO statement_lines (position, organisation_id, account_id, account_version, kind, amount_ucr,
                                 held_change_ucr, posted_ucr, held_ucr, subject_id, reference_id, detail, recorded_at,
                                 effective_at, frozen_change_ucr, debt_change_ucr, frozen_ucr, debt_ucr)
    SELECT position, organisation_id, account_id, account_version, kind, amount_ucr, held_change_ucr, posted_ucr,
           held_ucr, subject_id, reference_id, detail, recorded_at, effective_at, frozen_change_ucr, debt_change_ucr,
           frozen_ucr, debt_ucr
    FROM json_populate_recordset(CAST(NULL AS statement_lines), CAST(%(rows)s AS json))
    """,
)
UPSERT_SUMS = Statement(
    "statement-upsert-sums",
    """
    INSERT INTO statement_accounts (account_id, organisation_id, account_version, position, posted_ucr, held_ucr,
                                    frozen_ucr, debt_ucr)
    SELECT account_id, organisation_id, account_version, position, posted_ucr, held_ucr, frozen_ucr, debt_ucr
    FROM json_populate_recordset(CAST(NULL AS statement_accounts), CAST(%(rows)s AS json))
    ON CONFLICT (account_id) DO UPDATE
    SET account_version = EXCLUDED.account_version, position = EXCLUDED.position, posted_ucr = EXCLUDED.posted_ucr,
        held_ucr = EXCLUDED.held_ucr, frozen_ucr = EXCLUDED.frozen_ucr, debt_ucr = EXCLUDED.debt_ucr
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
           CAST(coalesce(-sum(amount_ucr) FILTER (WHERE kind <> 'reversal'), 0) AS bigint) AS spent_ucr,
           count(*) FILTER (WHERE kind IN ('commit', 'debit')) AS debits,
           CAST(coalesce(sum(amount_ucr) FILTER (WHERE kind = 'reversal'), 0) AS bigint) AS reversed_ucr
    FROM statement_lines
    WHERE organisation_id = %(organisation_id)s
      AND (kind IN ('commit', 'debit', 'reversal') OR (kind = 'debt' AND detail = 'overdraft'))
      AND recorded_at >= CAST(%(first)s AS date)::timestamp AT TIME ZONE 'UTC'
      AND recorded_at < (CAST(%(last)s AS date) + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY day ORDER BY day
    """,
)
