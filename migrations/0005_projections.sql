-- Read models: statements per account, and double-entry books. Dropping and rebuilding them gives the same rows.

CREATE TABLE statement_accounts (
    account_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    account_version bigint NOT NULL,
    position bigint NOT NULL,
    posted_ucr bigint NOT NULL,
    held_ucr bigint NOT NULL CHECK (held_ucr >= 0)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX statement_accounts_organisation ON statement_accounts (organisation_id, account_id);

-- One line per event that moves something: posted moves by amount_ucr, held by held_change_ucr; both running sums follow.
CREATE TABLE statement_lines (
    position bigint PRIMARY KEY,
    organisation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    account_version bigint NOT NULL,
    kind text NOT NULL,
    amount_ucr bigint NOT NULL,
    held_change_ucr bigint NOT NULL,
    posted_ucr bigint NOT NULL,
    held_ucr bigint NOT NULL,
    subject_id uuid NOT NULL,
    reference_id uuid,
    detail text NOT NULL,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    CHECK (amount_ucr <> 0 OR held_change_ucr <> 0)
);

CREATE INDEX statement_lines_account ON statement_lines (organisation_id, account_id, position);

-- The chart as it is used: one number per account and commodity, in the order of first use, so that no leg can cross
-- commodities.
CREATE TABLE book_accounts (
    account_no smallint PRIMARY KEY,
    name text NOT NULL,
    commodity text NOT NULL,
    UNIQUE (name, commodity)
);

-- One entry per event: its position in the log is its identity.
CREATE TABLE book_entries (
    position bigint PRIMARY KEY,
    kind text NOT NULL,
    booked_on date NOT NULL,
    effective_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    account_id uuid,
    hold_id uuid,
    grant_id uuid,
    receipt_id uuid,
    reference_id uuid
);

CREATE INDEX book_entries_booked ON book_entries (booked_on, position);

-- Amounts in the commodity's smallest unit (10⁻⁶ for fiat and credits); a leg has one side above zero.
CREATE TABLE book_legs (
    position bigint NOT NULL,
    leg_no smallint NOT NULL,
    account_no smallint NOT NULL,
    debit bigint NOT NULL,
    credit bigint NOT NULL,
    PRIMARY KEY (position, leg_no),
    CHECK (least(debit, credit) = 0 AND greatest(debit, credit) > 0)
);

-- What an entry does to a grant: units that left it and what that took out of Deferred.
CREATE TABLE book_changes (
    position bigint NOT NULL,
    grant_id uuid NOT NULL,
    gone_ucr bigint NOT NULL,
    deferred_micro bigint NOT NULL,
    PRIMARY KEY (position, grant_id)
);

-- Terms of the deferred formula: total - floor(total * gone / granted), total being the cost where a kind has one.
CREATE TABLE book_grants (
    grant_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    kind text NOT NULL,
    granted_ucr bigint NOT NULL CHECK (granted_ucr > 0),
    cost_micro bigint NOT NULL CHECK (cost_micro >= 0),
    list_value_micro bigint NOT NULL CHECK (list_value_micro >= 0),
    currency text NOT NULL,
    position bigint NOT NULL,
    money_position bigint NOT NULL,
    gone_ucr bigint NOT NULL CHECK (gone_ucr BETWEEN 0 AND granted_ucr)
) WITH (fillfactor = 80);

-- What a receipt brought and what of it still waits.
CREATE TABLE book_receipts (
    receipt_id uuid PRIMARY KEY,
    generation bigint NOT NULL,
    rail text NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    value_micro bigint NOT NULL,
    unapplied_micro bigint NOT NULL CHECK (unapplied_micro >= 0),
    suspense_micro bigint NOT NULL CHECK (suspense_micro >= 0)
);
