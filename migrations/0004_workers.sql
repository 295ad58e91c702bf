-- Jobs: what customers see of them, the queue they wait in, attempts on nodes, and the pictures that came of them.
-- What decides is the log; these rows are its followers' (jobs, job_queue) or bookkeeping of work in hand.

-- Prompts, erasable. Stored before the job is accepted; swept after an hour if no event names the job.
CREATE TABLE job_inputs (
    job_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    prompt text NOT NULL,
    negative_prompt text NOT NULL,
    mac_key bytea NOT NULL,
    accepted boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX job_inputs_unnamed ON job_inputs (created_at) WHERE NOT accepted;
CREATE INDEX job_inputs_organisation ON job_inputs (organisation_id);

-- One row a job for ever, written by the jobs follower alone.
CREATE TABLE jobs (
    job_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    account_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    tool text NOT NULL,
    tool_version integer NOT NULL,
    model text NOT NULL,
    quality text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    images integer NOT NULL,
    seed numeric(20) NOT NULL,
    price_ucr bigint NOT NULL CHECK (price_ucr >= 0),
    price_version integer NOT NULL,
    hold_id uuid,
    charged_ucr bigint NOT NULL DEFAULT 0 CHECK (charged_ucr BETWEEN 0 AND price_ucr),
    error_code text,
    attempts integer NOT NULL DEFAULT 0,
    outputs jsonb NOT NULL DEFAULT '[]',
    attempt_id uuid,
    accepted_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    deadline_at timestamptz NOT NULL,
    accepted_position bigint NOT NULL,
    position bigint NOT NULL,
    CHECK ((ended_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled', 'expired')))
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX jobs_listed ON jobs (organisation_id, accepted_position DESC);
CREATE INDEX jobs_listed_by_state ON jobs (organisation_id, state, accepted_position DESC);

-- Jobs that have not ended. The follower adds and removes rows; claims and attempts write the rest.
-- turn is fair share: an organisation's jobs take every next turn, so that a burst of one waits behind others.
CREATE TABLE job_queue (
    job_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    gpu_class text NOT NULL,
    needs text NOT NULL,
    priority integer NOT NULL,
    turn bigint NOT NULL,
    position bigint NOT NULL,
    expected_ms integer NOT NULL,
    accepted_at timestamptz NOT NULL,
    deadline_at timestamptz NOT NULL,
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    attempt_id uuid,
    avoid text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX job_queue_waiting ON job_queue (gpu_class, priority DESC, turn, position) WHERE attempt_id IS NULL;
CREATE INDEX job_queue_turns ON job_queue (gpu_class, organisation_id, turn);
CREATE INDEX job_queue_deadline ON job_queue (deadline_at);

CREATE TABLE cancel_requests (
    job_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- One attempt of a job on a node; its id is the node's prompt id. Who holds the token and a live lease may act for it.
CREATE TABLE attempts (
    attempt_id uuid PRIMARY KEY,
    job_id uuid NOT NULL,
    organisation_id uuid NOT NULL,
    n integer NOT NULL,
    node text NOT NULL,
    gpu_class text NOT NULL,
    turn bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('claimed', 'submitting', 'submitted', 'storing', 'stored', 'ended')),
    token uuid NOT NULL,
    lease_until timestamptz NOT NULL,
    outputs jsonb,
    verdict text,
    -- a node's own words, for operators
    detail text NOT NULL DEFAULT '',
    duplicated boolean NOT NULL DEFAULT FALSE,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    submitted_at timestamptz,
    node_ended_at timestamptz,
    ended_at timestamptz,
    UNIQUE (job_id, n),
    CHECK ((state = 'ended') = (ended_at IS NOT NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- never two live attempts of one job
CREATE UNIQUE INDEX attempts_live ON attempts (job_id) WHERE state <> 'ended';
CREATE INDEX attempts_lease ON attempts (lease_until) WHERE state <> 'ended';
CREATE INDEX attempts_turn ON attempts (gpu_class, turn DESC);
CREATE INDEX attempts_recent ON attempts (gpu_class, ended_at DESC) WHERE state = 'ended';
CREATE INDEX attempts_organisation ON attempts (organisation_id);

-- Machines that run graphs. A node without attempt_id has a free slot; one attempt at a time holds it.
CREATE TABLE nodes (
    name text PRIMARY KEY,
    url text NOT NULL,
    gpu_class text NOT NULL,
    state text NOT NULL CHECK (state IN ('new', 'ready', 'out', 'quarantined')),
    reason text NOT NULL DEFAULT '',
    attempt_id uuid UNIQUE,
    can text[] NOT NULL DEFAULT '{}',
    last_needs text,
    failures integer NOT NULL DEFAULT 0,
    misses integer NOT NULL DEFAULT 0,
    memory_bytes bigint NOT NULL DEFAULT 0,
    check_at timestamptz NOT NULL DEFAULT '-infinity',
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    probe_id uuid
) WITH (fillfactor = 50);

-- Pictures in the object store. A row stands here before its object; given is set once the log names it.
CREATE TABLE stored_outputs (
    output_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL,
    job_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    ordinal integer NOT NULL,
    object_key text NOT NULL UNIQUE,
    sha256 text NOT NULL,
    size_bytes integer NOT NULL,
    mime text NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    given boolean NOT NULL DEFAULT FALSE,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX stored_outputs_job ON stored_outputs (organisation_id, job_id);
CREATE INDEX stored_outputs_attempt ON stored_outputs (attempt_id);
CREATE INDEX stored_outputs_unnamed ON stored_outputs (created_at) WHERE NOT given;
