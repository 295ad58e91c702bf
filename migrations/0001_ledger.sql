-- The log, its head, and what is derived from it in the same append: keys, account states, holds, followers.

CREATE TABLE events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    -- no default: an insert that does not number under the append lock fails loudly
    notification_id bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    effective_at timestamptz NOT NULL,
    key_hash uuid,
    hash bytea NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.1
);

CREATE UNIQUE INDEX events_notification_id ON events (notification_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER events_never_change
BEFORE UPDATE OR DELETE OR TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE log_head (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    position bigint NOT NULL,
    hash bytea NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10);

INSERT INTO log_head (position, hash, recorded_at)
VALUES (0, decode(repeat('00', 32), 'hex'), 'epoch');

-- One row per idempotency key, for ever. key_hash is 128 bits of SHA-256, kept as uuid for its fixed size.
CREATE TABLE verdicts (
    key_hash uuid PRIMARY KEY,
    position bigint NOT NULL,
    digests bytea NOT NULL,
    verdict bytea NOT NULL
);

CREATE TABLE account_states (
    account_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    version bigint NOT NULL,
    format smallint NOT NULL,
    hash bytea NOT NULL,
    state bytea NOT NULL,
    -- when the next grant of which something is free ends
    next_due_at timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX account_states_organisation ON account_states (organisation_id);
CREATE INDEX account_states_due ON account_states (next_due_at) WHERE next_due_at IS NOT NULL;

-- Holds are rows for ever: a repeat, a late commit and an unknown id are told apart.
CREATE TABLE holds (
    hold_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'committed', 'released', 'expired')),
    amount_ucr bigint NOT NULL CHECK (amount_ucr > 0),
    committed_ucr bigint NOT NULL CHECK (committed_ucr BETWEEN 0 AND amount_ucr),
    remaining_ucr bigint NOT NULL CHECK (remaining_ucr BETWEEN 0 AND amount_ucr),
    lease_until timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    resolved_at timestamptz,
    opened_position bigint NOT NULL,
    reference uuid,
    slices bytea NOT NULL,
    CHECK ((state = 'open') = (resolved_at IS NULL)),
    CHECK (state = 'open' OR remaining_ucr = 0)
) WITH (fillfactor = 85);

CREATE INDEX holds_open ON holds (account_id, opened_position) WHERE state = 'open';
-- due holds that nobody owns; a job's hold ends with its job
CREATE INDEX holds_lease ON holds (lease_until, opened_position) WHERE state = 'open' AND reference IS NULL;

CREATE TABLE followers (
    name text PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    parked_reason text,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);
