-- Organisations, their members and their API keys. Names and addresses are personal data: erasable, never in events.

CREATE TABLE organisations (
    organisation_id uuid PRIMARY KEY,
    account_id uuid NOT NULL UNIQUE,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the sign-up's idempotency key, kept for ever
    signup_key bytea NOT NULL UNIQUE CHECK (octet_length(signup_key) = 32),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    account_opened_at timestamptz
);

CREATE INDEX organisations_unfinished ON organisations (created_at) WHERE account_opened_at IS NULL;

CREATE TABLE members (
    organisation_id uuid NOT NULL REFERENCES organisations,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    role text NOT NULL CHECK (role IN ('owner', 'member')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (organisation_id, email)
);

-- Never the secret: only its HMAC-SHA256 under a pepper that the database does not hold.
CREATE TABLE api_keys (
    key_id uuid PRIMARY KEY,
    organisation_id uuid NOT NULL REFERENCES organisations,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    mode text NOT NULL CHECK (mode IN ('live', 'test')),
    mac bytea NOT NULL UNIQUE CHECK (octet_length(mac) = 32),
    last_four text NOT NULL CHECK (length(last_four) = 4),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz,
    replaced_by uuid UNIQUE REFERENCES api_keys
) WITH (fillfactor = 80);

CREATE INDEX api_keys_organisation ON api_keys (organisation_id, created_at);
