-- Rows beside accounts: grants that have ended, budgets, states of the past, and how many refusals were kept.

ALTER TABLE holds DROP CONSTRAINT holds_state_check;
-- a debit without a hold stands among the holds, so that it can be told and reversed
ALTER TABLE holds ADD CONSTRAINT holds_state_check
CHECK (state IN ('open', 'committed', 'released', 'expired', 'debited'));

-- A grant of which nothing is left; while it is among an account's live grants, its row here is of no meaning.
CREATE TABLE grants (
    account_id uuid NOT NULL,
    grant_id uuid NOT NULL,
    format smallint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (account_id, grant_id)
);

-- An account's state at every 256th version: a question about the past replays fewer events than that.
CREATE TABLE account_snapshots (
    account_id uuid NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    format smallint NOT NULL,
    state bytea NOT NULL,
    PRIMARY KEY (account_id, version)
);

CREATE TABLE budgets (
    budget_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    version bigint NOT NULL,
    hash bytea NOT NULL,
    subject text NOT NULL CHECK (subject IN ('organisation', 'member', 'key', 'project')),
    window_kind text NOT NULL CHECK (window_kind IN ('once', 'day', 'week', 'month')),
    limit_ucr bigint CHECK (limit_ucr >= 0)
);

CREATE INDEX budgets_organisation ON budgets (organisation_id);

CREATE TABLE budget_usage (
    budget_id uuid NOT NULL,
    window_start timestamptz NOT NULL,
    used_ucr bigint NOT NULL CHECK (used_ucr >= 0),
    PRIMARY KEY (budget_id, window_start)
);

CREATE TABLE refusals_kept (
    account_id uuid NOT NULL,
    day date NOT NULL,
    kept bigint NOT NULL,
    PRIMARY KEY (account_id, day)
);
