"""SQL behind the job routes. The organisation's id is part of every question about its jobs."""

from __future__ import annotations

from ledger.sansio import Statement

INSERT_INPUTS = Statement(
    "inputs-insert",
    """
    INSERT INTO job_inputs (job_id, organisation_id, prompt, negative_prompt, mac_key)
    VALUES (%(job_id)s, %(organisation_id)s, %(prompt)s, %(negative_prompt)s, %(mac_key)s)
    """,
)

DROP_INPUTS = Statement(
    "inputs-drop",
    "DELETE FROM job_inputs WHERE job_id = %(job_id)s AND organisation_id = %(organisation_id)s AND NOT accepted",
)

INPUTS = Statement(
    "inputs-read",
    """
    SELECT prompt, negative_prompt FROM job_inputs
    WHERE job_id = %(job_id)s AND organisation_id = %(organisation_id)s
    """,
)

STANDING = Statement(
    "job-standing",
    # what the log does not say of a job that has not ended
    """
    SELECT
        q.attempt_id,
        q.job_id IS NOT NULL AS queued,
        EXISTS (SELECT FROM cancel_requests AS c WHERE c.job_id = %(job_id)s) AS cancel_asked
    FROM (SELECT) AS one
    LEFT JOIN job_queue AS q ON q.job_id = %(job_id)s AND q.organisation_id = %(organisation_id)s
    """,
)

PLACE = Statement(
    "job-place",
    # jobs that are claimed before it, and what the last hundred of its class took
    """
    SELECT
        (
            SELECT count(*) FROM job_queue AS a
            WHERE a.gpu_class = q.gpu_class AND a.attempt_id IS NULL
                AND (-a.priority, a.turn, a.position) < (-q.priority, q.turn, q.position)
        ) AS ahead,
        (SELECT count(*) FROM nodes AS n WHERE n.state = 'ready' AND q.needs = any(n.can)) AS nodes,
        EXISTS (
            SELECT FROM nodes AS n WHERE n.state IN ('ready', 'new') AND q.needs = any(n.can)
        ) AS possible,
        recent.p50_s, recent.p90_s
    FROM job_queue AS q
    CROSS JOIN LATERAL (
        SELECT
            percentile_cont(0.5) WITHIN GROUP (ORDER BY r.seconds) AS p50_s,
            percentile_cont(0.9) WITHIN GROUP (ORDER BY r.seconds) AS p90_s
        FROM (
            SELECT extract(EPOCH FROM t.node_ended_at - t.claimed_at)::float8 AS seconds
            FROM attempts AS t
            WHERE t.gpu_class = q.gpu_class AND t.state = 'ended' AND t.verdict = 'success'
            ORDER BY t.ended_at DESC LIMIT 100
        ) AS r
    ) AS recent
    WHERE q.job_id = %(job_id)s AND q.organisation_id = %(organisation_id)s AND q.attempt_id IS NULL
    """,
)

LIST = Statement(
    "jobs-list",
    """
    SELECT
        j.job_id, j.organisation_id, j.account_id, j.state, j.tool, j.tool_version, j.model, j.quality, j.width,
        j.height, j.images, j.seed::text AS seed, j.price_ucr, j.price_version, j.hold_id, j.charged_ucr, j.error_code,
        j.attempts, j.outputs, j.accepted_at, j.started_at, j.ended_at, j.deadline_at, j.accepted_position, j.position,
        j.attempt_id,
        i.prompt, i.negative_prompt,
        c.job_id IS NOT NULL AS cancel_asked
    FROM jobs AS j
    LEFT JOIN job_inputs AS i ON j.job_id = i.job_id
    LEFT JOIN cancel_requests AS c ON j.job_id = c.job_id
    WHERE j.organisation_id = %(organisation_id)s
        AND (%(after)s::bigint IS NULL OR j.accepted_position < %(after)s)
        AND (%(state)s::text IS NULL OR j.state = %(state)s)
    ORDER BY j.accepted_position DESC LIMIT %(limit)s
    """,
)

ASK_CANCEL = Statement(
    "cancel-ask",
    """
    INSERT INTO cancel_requests (job_id, organisation_id) VALUES (%(job_id)s, %(organisation_id)s)
    ON CONFLICT (job_id) DO NOTHING
    """,
)

FORGET_CANCEL = Statement(
    "cancel-forget-own",
    "DELETE FROM cancel_requests WHERE job_id = %(job_id)s AND organisation_id = %(organisation_id)s",
)
