-- Proof: complete subtrees of the Merkle tree over the log, how far they go, and the heads that were signed.

-- Subtrees below level 5 are made of the 32 events that they cover. verdicts_hash (level 5 only) is the hash over the
-- verdicts up to the last of those events.
CREATE TABLE merkle_nodes (
    level smallint NOT NULL CHECK (level BETWEEN 5 AND 62),
    nth bigint NOT NULL,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    verdicts_hash bytea,
    PRIMARY KEY (level, nth),
    CHECK ((level = 5) = (verdicts_hash IS NOT NULL))
) WITH (autovacuum_vacuum_insert_scale_factor = 0.2);

CREATE TABLE proof_state (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    size bigint NOT NULL,
    verdicts_hash bytea NOT NULL CHECK (length(verdicts_hash) = 32)
) WITH (fillfactor = 10);

-- One a size, the newest signature of it. What counts is the copy outside this database.
CREATE TABLE signed_heads (
    size bigint PRIMARY KEY,
    root bytea NOT NULL CHECK (length(root) = 32),
    log_hash bytea NOT NULL CHECK (length(log_hash) = 32),
    verdicts_hash bytea NOT NULL CHECK (length(verdicts_hash) = 32),
    signed_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL CHECK (length(signature) = 64)
);
