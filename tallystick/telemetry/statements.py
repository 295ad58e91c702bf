"""SQL of telemetry: traces beside the log, and the gauges that only the database can tell."""

from __future__ import annotations

from ledger.sansio import Statement

TRACES_OF_EVENTS = Statement(
    "traces-of-events",
    "SELECT traceparent FROM event_traces WHERE position BETWEEN %(first)s AND %(last)s ORDER BY position",
)

TRACE_OF_STREAM = Statement(
    "trace-of-stream",
    # that of the request which began the stream
    """
    SELECT t.traceparent FROM events AS e
    JOIN event_traces AS t ON t.position = e.notification_id
    WHERE e.originator_id = %(stream_id)s AND e.originator_version = 1
    """,
)

FORGET_TRACES = Statement(
    "forget-traces",
    "DELETE FROM event_traces WHERE position <= (SELECT position FROM log_head) - %(kept)s",
)

FOLLOWERS = Statement(
    "gauge-followers",
    """
    SELECT f.name, h.position - f.position AS lag, f.parked_reason IS NOT NULL AS parked
    FROM followers AS f CROSS JOIN log_head AS h
    """,
)

QUEUES = Statement(
    "gauge-queues",
    """
    SELECT gpu_class, count(*) AS depth,
           coalesce(extract(EPOCH FROM clock_timestamp() - min(accepted_at)), 0)::float8 AS oldest_wait_s
    FROM job_queue WHERE attempt_id IS NULL GROUP BY gpu_class
    """,
)

NODES = Statement(
    "gauge-nodes",
    "SELECT gpu_class, state, count(*) AS nodes FROM nodes GROUP BY gpu_class, state",
)
