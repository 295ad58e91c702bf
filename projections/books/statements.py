"""SQL of the books. New rows are copied; others go in as one JSON array, spread by the table's own column types."""

from __future__ import annotations

from ledger.sansio import Statement, Table
from projections.books.deferred import Grant

READ_ACCOUNTS = Statement("books-read-accounts", "SELECT account_no, name, commodity FROM book_accounts")
READ_GRANTS = Statement(
    "books-read-grants",
    """
    SELECT grant_id, account_id, kind, granted_ucr, cost_micro, list_value_micro, currency, position, money_position,
           gone_ucr, receipt_id, generation, tax_micro, revoked_ucr
    FROM book_grants WHERE grant_id = ANY(%(ids)b)
    """,
    Grant,
)
READ_TABS = Statement(
    "books-read-tabs",
    """
    SELECT account_id, currency, list_micro, list_ucr, owed_ucr, owed_micro
    FROM book_tabs WHERE account_id = ANY(%(ids)b)
    """,
)
READ_RECEIPTS = Statement(
    "books-read-receipts",
    """
    SELECT receipt_id, generation, rail, asset, amount_minor, currency, value_micro, unapplied_micro, suspense_micro,
           tax_micro, taken_micro, taken_in, gone_for
    FROM book_receipts WHERE receipt_id = ANY(%(ids)b)
    """,
)
ACCOUNTS = Table("book_accounts", {"account_no": "smallint", "name": "text", "commodity": "text"})
ENTRIES = Table(
    "book_entries",
    {
        "position": "bigint",
        "kind": "text",
        "booked_on": "date",
        "effective_at": "timestamptz",
        "recorded_at": "timestamptz",
        "account_id": "uuid",
        "hold_id": "uuid",
        "grant_id": "uuid",
        "receipt_id": "uuid",
        "reference_id": "uuid",
    },
)
LEGS = Table(
    "book_legs",
    {"position": "bigint", "leg_no": "smallint", "account_no": "smallint", "debit": "bigint", "credit": "bigint"},
)
CHANGES = Table(
    "book_changes", {"position": "bigint", "grant_id": "uuid", "gone_ucr": "bigint", "deferred_micro": "bigint"}
)
GRANTS = Table(
    "book_grants",
    {
        "grant_id": "uuid",
        "account_id": "uuid",
        "kind": "text",
        "granted_ucr": "bigint",
        "cost_micro": "bigint",
        "list_value_micro": "bigint",
        "currency": "text",
        "position": "bigint",
        "money_position": "bigint",
        "gone_ucr": "bigint",
        "receipt_id": "uuid",
        "generation": "bigint",
        "tax_micro": "bigint",
        "revoked_ucr": "bigint",
    },
)
assert tuple(GRANTS.columns) == Grant.__struct_fields__, "a grant is copied as it is"
UPDATE_GRANTS = Statement(
    "books-update-grants",
    """
    UPDATE book_grants AS g SET gone_ucr = n.gone_ucr, revoked_ucr = n.revoked_ucr
    FROM json_to_recordset(CAST(%(rows)s AS json)) AS n (grant_id uuid, gone_ucr bigint, revoked_ucr bigint)
    WHERE g.grant_id = n.grant_id
    """,
)
UPSERT_TABS = Statement(
    "books-upsert-tabs",
    """
    INSERT INTO book_tabs (account_id, currency, list_micro, list_ucr, owed_ucr, owed_micro)
    SELECT account_id, currency, list_micro, list_ucr, owed_ucr, owed_micro
    FROM json_populate_recordset(CAST(NULL AS book_tabs), CAST(%(rows)s AS json))
    ON CONFLICT (account_id) DO UPDATE
    SET currency = EXCLUDED.currency, list_micro = EXCLUDED.list_micro, list_ucr = EXCLUDED.list_ucr,
        owed_ucr = EXCLUDED.owed_ucr, owed_micro = EXCLUDED.owed_micro
    """,
)
UPSERT_RECEIPTS = Statement(
    "books-upsert-receipts",
    """
    INSERT INTO book_receipts (receipt_id, generation, rail, asset, amount_minor, currency, value_micro,
                               unapplied_micro, suspense_micro, tax_micro, taken_micro, taken_in, gone_for)
    SELECT receipt_id, generation, rail, asset, amount_minor, currency, value_micro, unapplied_micro, suspense_micro,
           tax_micro, taken_micro, taken_in, gone_for
    FROM json_populate_recordset(CAST(NULL AS book_receipts), CAST(%(rows)s AS json))
    ON CONFLICT (receipt_id) DO UPDATE
    SET generation = EXCLUDED.generation, rail = EXCLUDED.rail, asset = EXCLUDED.asset,
        amount_minor = EXCLUDED.amount_minor, currency = EXCLUDED.currency, value_micro = EXCLUDED.value_micro,
        unapplied_micro = EXCLUDED.unapplied_micro, suspense_micro = EXCLUDED.suspense_micro,
        tax_micro = EXCLUDED.tax_micro, taken_micro = EXCLUDED.taken_micro, taken_in = EXCLUDED.taken_in,
        gone_for = EXCLUDED.gone_for
    """,
)
EXTENT = Statement("books-extent", "SELECT count(*), coalesce(max(position), 0) FROM book_entries")
EXPORT = Statement(
    "books-export",
    """
    SELECT e.position, e.kind, e.booked_on, e.effective_at, e.recorded_at, e.account_id, e.hold_id, e.grant_id,
           e.receipt_id, e.reference_id, l.legs, c.gone, g.issued
    FROM book_entries AS e
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_array(account_no, debit - credit) ORDER BY leg_no) AS legs
        FROM book_legs WHERE position = e.position
    ) AS l
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_array(grant_id, gone_ucr) ORDER BY grant_id) AS gone
        FROM book_changes WHERE position = e.position
    ) AS c
    CROSS JOIN LATERAL (
        SELECT json_agg(json_build_array(grant_id, granted_ucr, cost_micro, kind, currency) ORDER BY grant_id) AS issued
        FROM book_grants WHERE position = e.position
    ) AS g
    ORDER BY e.booked_on, e.position
    """,
)
