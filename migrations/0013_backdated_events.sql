-- outside a transaction
-- few events are backdated; those that the follower has not seen yet are found here
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_backdated ON events (originator_id, notification_id)
WHERE effective_at <> recorded_at;
