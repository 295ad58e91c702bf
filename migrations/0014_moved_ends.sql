-- outside a transaction
-- when a grant that had ended is used again in the past, its end then is what the last of these events said
CREATE INDEX CONCURRENTLY IF NOT EXISTS events_moved_ends ON events (originator_id, originator_version)
WHERE topic IN ('ledger.grant-extended.v1', 'ledger.credits-reversed.v1');
