-- The read side learns disputes, debt, transfers and adjustments: two more running sums on a statement, what a grant's
-- tax and revocations were, and what each account owes for overdraft.

SET LOCAL lock_timeout = '5s';

ALTER TABLE statement_accounts ADD COLUMN frozen_ucr bigint NOT NULL DEFAULT 0 CHECK (frozen_ucr >= 0);
ALTER TABLE statement_accounts ADD COLUMN debt_ucr bigint NOT NULL DEFAULT 0 CHECK (debt_ucr >= 0);

ALTER TABLE statement_lines ADD COLUMN frozen_change_ucr bigint NOT NULL DEFAULT 0;
ALTER TABLE statement_lines ADD COLUMN debt_change_ucr bigint NOT NULL DEFAULT 0;
ALTER TABLE statement_lines ADD COLUMN frozen_ucr bigint NOT NULL DEFAULT 0;
ALTER TABLE statement_lines ADD COLUMN debt_ucr bigint NOT NULL DEFAULT 0;
ALTER TABLE statement_lines DROP CONSTRAINT statement_lines_check;
ALTER TABLE statement_lines ADD CONSTRAINT statement_lines_moves
CHECK (amount_ucr <> 0 OR held_change_ucr <> 0 OR frozen_change_ucr <> 0 OR debt_change_ucr <> 0);

-- tax_micro came with the grant's receipt; revoked_ucr are units for which money went back
ALTER TABLE book_grants ADD COLUMN receipt_id uuid;
ALTER TABLE book_grants ADD COLUMN generation bigint NOT NULL DEFAULT 1;
ALTER TABLE book_grants ADD COLUMN tax_micro bigint NOT NULL DEFAULT 0 CHECK (tax_micro >= 0);
ALTER TABLE book_grants ADD COLUMN revoked_ucr bigint NOT NULL DEFAULT 0
CHECK (revoked_ucr BETWEEN 0 AND granted_ucr);
CREATE INDEX book_grants_position ON book_grants (position);

-- tax_micro is what is still owed on the receipt's sale, taken_micro what its revoked credits brought to taken_in
ALTER TABLE book_receipts ADD COLUMN tax_micro bigint NOT NULL DEFAULT 0 CHECK (tax_micro >= 0);
ALTER TABLE book_receipts ADD COLUMN taken_micro bigint NOT NULL DEFAULT 0 CHECK (taken_micro >= 0);
ALTER TABLE book_receipts ADD COLUMN taken_in text NOT NULL DEFAULT '';
-- why its money went back; empty while it is here
ALTER TABLE book_receipts ADD COLUMN gone_for text NOT NULL DEFAULT '';

-- What an account was sold at last (list_micro for list_ucr units), and what it owes for overdraft.
CREATE TABLE book_tabs (
    account_id uuid PRIMARY KEY,
    currency text NOT NULL,
    list_micro bigint NOT NULL CHECK (list_micro >= 0),
    list_ucr bigint NOT NULL CHECK (list_ucr > 0),
    owed_ucr bigint NOT NULL CHECK (owed_ucr >= 0),
    owed_micro bigint NOT NULL CHECK (owed_micro >= 0)
) WITH (fillfactor = 80);

-- The books are folded again from the first event: what is new in them is known from the log alone.
DELETE FROM book_accounts;
DELETE FROM book_entries;
DELETE FROM book_legs;
DELETE FROM book_changes;
DELETE FROM book_grants;
DELETE FROM book_receipts;
UPDATE followers SET position = 0, parked_reason = NULL, moved_at = clock_timestamp()
WHERE name = 'books';
