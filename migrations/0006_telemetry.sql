-- Which trace an event belongs to: written in the event's append, beside it, so that no hash depends on being watched.
-- Bounded: the oldest rows are deleted.

CREATE TABLE event_traces (
    position bigint PRIMARY KEY,
    traceparent text NOT NULL CHECK (length(traceparent) = 55)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.2);
