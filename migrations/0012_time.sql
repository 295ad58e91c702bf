-- Questions about the past: the snapshot before a position, and what backdated events move between two times.

CREATE INDEX account_snapshots_position ON account_snapshots (account_id, position);

-- What was recorded later than it is effective counts from the one time on and no more from the other: its change
-- stands at effective_at, and with the other sign at recorded_at. Summed by instant and by calendar span (UTC), so
-- that the sum before any time is made of few rows.
CREATE TABLE effective_changes (
    account_id uuid NOT NULL,
    span text NOT NULL CHECK (span IN ('instant', 'second', 'minute', 'hour', 'day', 'month', 'year')),
    starts_at timestamptz NOT NULL,
    change_ucr bigint NOT NULL,
    PRIMARY KEY (account_id, span, starts_at)
);
