"""SQL of one attempt. Every write names the token: a worker that lost its lease writes nothing."""

from __future__ import annotations

from ledger.sansio import Statement

INPUTS = Statement("attempt-inputs", "SELECT prompt, negative_prompt FROM job_inputs WHERE job_id = %(job_id)s")

BEAT = Statement(
    "attempts-beat",
    # for all attempts of a worker process at once
    """
    SELECT
        a.attempt_id, a.token,
        EXISTS (SELECT FROM cancel_requests AS c WHERE c.job_id = a.job_id) AS cancel_asked,
        EXISTS (SELECT FROM jobs AS j WHERE j.job_id = a.job_id AND j.ended_at IS NOT NULL) AS job_ended
    FROM attempts AS a
    WHERE a.attempt_id = any(%(attempt_ids)s) AND a.state <> 'ended'
    """,
)

RENEW = Statement(
    "attempts-renew",
    """
    UPDATE attempts AS a SET lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM unnest(%(attempt_ids)s::uuid[], %(tokens)s::uuid[]) AS held (attempt_id, token)
    WHERE a.attempt_id = held.attempt_id AND a.token = held.token AND a.state <> 'ended'
    """,
)

SUBMITTING = Statement(
    "attempt-submitting",
    # the last word before the POST: from here on, only the node knows whether it has the attempt
    """
    UPDATE attempts SET
        state = 'submitting', submitted_at = clock_timestamp(),
        lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state IN ('claimed', 'submitting')
    RETURNING attempt_id
    """,
)

SUBMITTED = Statement(
    "attempt-submitted",
    """
    UPDATE attempts SET state = CASE WHEN state = 'submitting' THEN 'submitted' ELSE state END
    WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state IN ('submitting', 'submitted', 'storing')
    RETURNING attempt_id
    """,
)

NODE_TIME = Statement(
    "attempt-node-time",
    """
    UPDATE attempts SET node_ended_at = coalesce(node_ended_at, clock_timestamp())
    WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state <> 'ended'
    RETURNING coalesce(extract(EPOCH FROM node_ended_at - submitted_at) * 1000, 0)::int AS gpu_ms
    """,
)

NODE_ENDED = Statement(
    "attempt-node-ended",
    # the slot is free while the pictures are fetched, checked and stored
    """
    WITH ended AS (
        UPDATE attempts SET state = 'storing', node_ended_at = coalesce(node_ended_at, clock_timestamp())
        WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state IN ('submitting', 'submitted', 'storing')
        RETURNING attempt_id, coalesce(extract(EPOCH FROM node_ended_at - submitted_at) * 1000, 0)::int AS gpu_ms
    ),
    freed AS (
        UPDATE nodes SET attempt_id = NULL FROM ended WHERE nodes.attempt_id = ended.attempt_id
    )
    SELECT gpu_ms FROM ended
    """,
)

SAVE_OUTPUT = Statement(
    "output-save",
    """
    INSERT INTO stored_outputs (
        output_id, organisation_id, job_id, attempt_id, ordinal, object_key, sha256, size_bytes, mime, width, height
    )
    VALUES (
        %(output_id)s, %(organisation_id)s, %(job_id)s, %(attempt_id)s, %(ordinal)s, %(object_key)s, %(sha256)s,
        %(size_bytes)s, %(mime)s, %(width)s, %(height)s
    )
    ON CONFLICT (output_id) DO UPDATE SET
        sha256 = excluded.sha256, size_bytes = excluded.size_bytes, mime = excluded.mime,
        width = excluded.width, height = excluded.height
    """,
)

STORED = Statement(
    "attempt-stored",
    """
    UPDATE attempts SET state = 'stored', outputs = %(outputs)s
    WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state IN ('storing', 'stored')
    RETURNING attempt_id
    """,
)

OUTPUT_KEYS = Statement(
    "attempt-output-keys",
    "SELECT object_key FROM stored_outputs WHERE attempt_id = %(attempt_id)s AND NOT given",
)

DELETE_OUTPUTS = Statement(
    "attempt-outputs-delete", "DELETE FROM stored_outputs WHERE attempt_id = %(attempt_id)s AND NOT given"
)

OTHERS = Statement(
    "attempt-other-nodes",
    "SELECT count(*) AS nodes FROM nodes WHERE %(needs)s = any(can) AND name <> %(node)s AND state <> 'quarantined'",
)

CLOSE = Statement(
    "attempt-close",
    # the attempt ends, its node goes on or stands aside, its job waits again or is gone: one statement
    """
    WITH ended AS (
        UPDATE attempts SET
            state = 'ended', verdict = %(verdict)s, detail = %(detail)s, duplicated = %(duplicated)s,
            ended_at = clock_timestamp(), node_ended_at = coalesce(node_ended_at, clock_timestamp())
        WHERE attempt_id = %(attempt_id)s AND token = %(token)s AND state <> 'ended'
        RETURNING attempt_id, job_id, node
    ),
    waiting AS (
        UPDATE job_queue AS q SET
            attempt_id = NULL, avoid = q.avoid || %(avoid)s::text[],
            gpu_class = coalesce(%(gpu_class)s, q.gpu_class),
            not_before = CASE
                WHEN %(wait_s)s::float8 IS NULL THEN q.deadline_at
                ELSE clock_timestamp() + make_interval(secs => %(wait_s)s::float8)
            END
        FROM ended WHERE q.attempt_id = ended.attempt_id
    ),
    node AS (
        UPDATE nodes AS n SET
            attempt_id = CASE WHEN n.attempt_id = ended.attempt_id THEN NULL ELSE n.attempt_id END,
            failures = CASE
                WHEN %(failed)s::boolean THEN n.failures + 1
                WHEN %(good)s::boolean THEN 0
                ELSE n.failures
            END,
            can = CASE WHEN %(cannot)s::text IS NULL THEN n.can ELSE array_remove(n.can, %(cannot)s) END,
            state = CASE
                WHEN n.state = 'quarantined' THEN n.state
                WHEN %(node_state)s::text IS NOT NULL THEN %(node_state)s
                WHEN %(failed)s::boolean AND n.failures + 1 >= %(failures_max)s THEN 'new'
                ELSE n.state
            END,
            reason = CASE WHEN %(node_state)s::text IS NULL THEN n.reason ELSE %(reason)s END,
            check_at = CASE
                WHEN %(node_state)s::text IS NULL AND NOT %(failed)s::boolean THEN n.check_at
                ELSE least(n.check_at, clock_timestamp() + make_interval(secs => %(recheck_s)s))
            END,
            changed_at = CASE WHEN %(node_state)s::text IS NULL THEN n.changed_at ELSE clock_timestamp() END
        FROM ended WHERE n.name = ended.node
    )
    SELECT attempt_id FROM ended
    """,
)
