-- Money in: the raw inbox, what the log says about top-ups and receipts, and the sandbox's own books.

-- Notifications as they came, before 200 is answered, and hints of the sweep. Work is claimed by lease.
CREATE TABLE rail_inbox (
    notification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rail text NOT NULL,
    external_id text NOT NULL,
    ref text NOT NULL,
    source text NOT NULL CHECK (source IN ('notification', 'sweep')),
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    attempts integer NOT NULL DEFAULT 0,
    handled_at timestamptz,
    outcome text CHECK (outcome IN ('appended', 'nothing-to-do', 'needs-human')),
    detail text NOT NULL DEFAULT '',
    UNIQUE (rail, external_id),
    CHECK ((handled_at IS NULL) = (outcome IS NULL))
);

CREATE INDEX rail_inbox_due ON rail_inbox (claimed_until, notification_id) WHERE handled_at IS NULL;

-- How far each rail's list of movements was read.
CREATE TABLE rail_cursors (
    rail text PRIMARY KEY,
    token text NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One row per top-up asked for, written before its first event: at most so many quotes are open at once.
CREATE TABLE topup_slots (
    account_id uuid NOT NULL,
    key_hash bytea NOT NULL,
    topup_id uuid NOT NULL UNIQUE,
    held_until timestamptz NOT NULL,
    PRIMARY KEY (account_id, key_hash)
);

CREATE INDEX topup_slots_held ON topup_slots (account_id, held_until);

-- Followed from the log.
CREATE TABLE topups (
    topup_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    rail text NOT NULL,
    state text NOT NULL CHECK (state IN ('credited', 'confirming', 'seen', 'awaiting', 'expired', 'failed')),
    flags text[] NOT NULL,
    credited_ucr bigint NOT NULL CHECK (credited_ucr >= 0),
    currency text NOT NULL,
    gross_minor bigint NOT NULL CHECK (gross_minor > 0),
    charges integer NOT NULL,
    opened_at timestamptz NOT NULL,
    quote_expires_at timestamptz NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    state_format smallint NOT NULL,
    folded bytea NOT NULL
);

CREATE INDEX topups_organisation ON topups (organisation_id, position);
CREATE INDEX topups_unopened ON topups (opened_at) WHERE charges = 0;

CREATE TABLE charges (
    rail text NOT NULL,
    ref text NOT NULL,
    topup_id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    attempt integer NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'seen', 'confirming', 'final', 'expired', 'failed')),
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    expires_at timestamptz NOT NULL,
    watched boolean NOT NULL,
    opened_at timestamptz NOT NULL,
    next_look_at timestamptz NOT NULL,
    PRIMARY KEY (rail, ref)
);

CREATE INDEX charges_due ON charges (next_look_at) WHERE watched;

CREATE TABLE receipts (
    receipt_id uuid PRIMARY KEY,
    rail text NOT NULL,
    external_id text NOT NULL,
    ref text NOT NULL,
    state text NOT NULL CHECK (state IN ('listed', 'final', 'reversed')),
    generation integer NOT NULL,
    policy_case text NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    value_micro bigint NOT NULL,
    unapplied_micro bigint NOT NULL CHECK (unapplied_micro >= 0),
    suspense_micro bigint NOT NULL CHECK (suspense_micro >= 0),
    reason text NOT NULL DEFAULT '',
    topup_id uuid,
    -- none for money that nobody explains yet
    organisation_id uuid,
    first_seen timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (rail, external_id)
);

CREATE INDEX receipts_waiting ON receipts (first_seen) WHERE unapplied_micro > 0 OR suspense_micro > 0;

-- The sandbox plays a provider outside: these are its books, not ours.
CREATE TABLE sandbox_charges (
    ref text PRIMARY KEY,
    open_key text NOT NULL UNIQUE,
    topup_id uuid NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    description text NOT NULL,
    expires_at timestamptz NOT NULL
);

CREATE TABLE sandbox_movements (
    external_id text PRIMARY KEY,
    -- rises with every change of any movement, in commit order: the rail's cursor
    changed bigint NOT NULL UNIQUE,
    ref text NOT NULL,
    asset text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    state text NOT NULL CHECK (state IN ('seen', 'confirming', 'final', 'reversed', 'failed')),
    confirmations integer NOT NULL,
    first_seen timestamptz NOT NULL,
    at timestamptz NOT NULL,
    refund_id uuid UNIQUE,
    refund_of text,
    reason text NOT NULL DEFAULT ''
);

CREATE INDEX sandbox_movements_ref ON sandbox_movements (ref, changed);
CREATE INDEX sandbox_movements_refund ON sandbox_movements (refund_of) WHERE refund_of IS NOT NULL;
