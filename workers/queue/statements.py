"""SQL of the queue: what the jobs follower writes, how a pair of job and node is claimed, what the sweeps look for."""

from __future__ import annotations

from ledger.sansio import Statement

INSERT_JOB = Statement(
    "job-insert",
    """
    INSERT INTO jobs (
        job_id, organisation_id, account_id, state, tool, tool_version, model, quality, width, height, images, seed,
        price_ucr, price_version, hold_id, accepted_at, deadline_at, accepted_position, position
    )
    VALUES (
        %(job_id)s, %(organisation_id)s, %(account_id)s, 'queued', %(tool)s, %(tool_version)s, %(model)s, %(quality)s,
        %(width)s, %(height)s, %(images)s, %(seed)s, %(price_ucr)s, %(price_version)s, %(hold_id)s, %(accepted_at)s,
        %(deadline_at)s, %(position)s, %(position)s
    )
    """,
)

ENQUEUE = Statement(
    "job-enqueue",
    # the organisation's next turn: after its own last one, and not before the turn that is being served
    """
    INSERT INTO job_queue (
        job_id, organisation_id, gpu_class, needs, priority, turn, position, expected_ms, accepted_at, deadline_at
    )
    SELECT
        %(job_id)s, %(organisation_id)s, %(gpu_class)s, %(needs)s, %(priority)s,
        1 + greatest(
            coalesce((SELECT max(a.turn) FROM attempts AS a WHERE a.gpu_class = %(gpu_class)s), 0),
            coalesce((
                SELECT max(q.turn) FROM job_queue AS q
                WHERE q.gpu_class = %(gpu_class)s AND q.organisation_id = %(organisation_id)s
            ), 0)
        ),
        %(position)s, %(expected_ms)s, %(accepted_at)s, %(deadline_at)s
    """,
)

NAME_INPUTS = Statement("job-inputs-named", "UPDATE job_inputs SET accepted = TRUE WHERE job_id = %(job_id)s")

JOB_HELD = Statement(
    "job-held", "UPDATE jobs SET hold_id = %(hold_id)s, position = %(position)s WHERE job_id = %(job_id)s"
)

JOB_STARTED = Statement(
    "job-started",
    """
    UPDATE jobs SET
        state = 'running', attempts = %(n)s, position = %(position)s, started_at = coalesce(started_at, %(at)s)
    WHERE job_id = %(job_id)s
    """,
)

JOB_REQUEUED = Statement(
    "job-requeued", "UPDATE jobs SET state = 'queued', position = %(position)s WHERE job_id = %(job_id)s"
)

JOB_ENDED = Statement(
    "job-ended",
    """
    UPDATE jobs SET
        state = %(state)s, ended_at = %(at)s, charged_ucr = %(charged_ucr)s, error_code = %(error_code)s,
        outputs = %(outputs)s, attempt_id = %(attempt_id)s, seed = coalesce(%(seed)s, seed), position = %(position)s
    WHERE job_id = %(job_id)s
    """,
)

FORGET_CANCELS = Statement(
    "cancels-forget",
    # wishes that came just after their job's end
    """
    DELETE FROM cancel_requests AS c
    WHERE c.requested_at < clock_timestamp() - make_interval(secs => %(age_s)s)
        AND NOT EXISTS (SELECT FROM job_queue AS q WHERE q.job_id = c.job_id)
    """,
)

DEQUEUE = Statement("job-dequeue", "DELETE FROM job_queue WHERE job_id = %(job_id)s")
FORGET_CANCEL = Statement("cancel-forget", "DELETE FROM cancel_requests WHERE job_id = %(job_id)s")

GIVE_OUTPUTS = Statement("outputs-give", "UPDATE stored_outputs SET given = TRUE WHERE output_id = any(%(output_ids)s)")

CLAIM = Statement(
    "attempt-claim",
    # One statement, one round trip: the best job with a free slot that can run it, both rows locked and skipped by
    # everybody else, both marked, so that who waited for neither sees them taken.
    """
    WITH pair AS (
        SELECT q.job_id, n.name
        FROM job_queue AS q
        INNER JOIN nodes AS n ON q.gpu_class = n.gpu_class AND q.needs = any(n.can)
        WHERE q.gpu_class = %(gpu_class)s AND q.attempt_id IS NULL AND q.not_before <= clock_timestamp()
            AND q.deadline_at > clock_timestamp() + make_interval(secs => %(least_s)s)
            AND n.state = 'ready' AND n.attempt_id IS NULL AND n.name = any(%(nodes)s)
            AND NOT EXISTS (SELECT FROM cancel_requests AS c WHERE c.job_id = q.job_id)
        ORDER BY
            q.priority DESC, q.turn, q.position, n.name = any(q.avoid), n.last_needs IS DISTINCT FROM q.needs, n.name
        LIMIT 1
        FOR UPDATE OF q, n SKIP LOCKED
    ),
    job AS (
        UPDATE job_queue AS q SET attempt_id = %(attempt_id)s
        FROM pair WHERE q.job_id = pair.job_id
        RETURNING q.job_id, q.organisation_id, q.gpu_class, q.turn, q.needs
    ),
    node AS (
        UPDATE nodes AS n SET attempt_id = %(attempt_id)s, last_needs = job.needs
        FROM pair, job WHERE n.name = pair.name
        RETURNING n.name
    )
    INSERT INTO attempts AS a (
        attempt_id, job_id, organisation_id, n, node, gpu_class, turn, state, token, lease_until
    )
    SELECT
        %(attempt_id)s, job.job_id, job.organisation_id,
        1 + coalesce((SELECT max(p.n) FROM attempts AS p WHERE p.job_id = job.job_id), 0),
        node.name, job.gpu_class, job.turn, 'claimed', %(token)s,
        clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM job, node
    RETURNING a.attempt_id, a.job_id, a.organisation_id, a.n, a.node, a.gpu_class, a.state, a.token, a.outputs
    """,
)

TAKE_OVER = Statement(
    "attempt-take-over",
    """
    UPDATE attempts AS a SET
        token = %(token)s, lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    WHERE a.attempt_id = (
        SELECT d.attempt_id FROM attempts AS d
        WHERE d.state <> 'ended' AND d.lease_until < clock_timestamp() AND d.gpu_class = %(gpu_class)s
            AND d.node = any(%(nodes)s)
        ORDER BY d.lease_until LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING a.attempt_id, a.job_id, a.organisation_id, a.n, a.node, a.gpu_class, a.state, a.token, a.outputs
    """,
)

WORK = Statement(
    "queue-work",
    # what there is to wake somebody for, by class: jobs that a free slot could take, and attempts nobody holds
    """
    SELECT gpu_class, sum(waiting)::int AS waiting, sum(free)::int AS free, sum(dead)::int AS dead
    FROM (
        SELECT gpu_class, count(*) AS waiting, 0 AS free, 0 AS dead FROM (
            SELECT gpu_class FROM job_queue
            WHERE attempt_id IS NULL AND not_before <= clock_timestamp()
            LIMIT 1000
        ) AS w GROUP BY gpu_class
        UNION ALL
        SELECT gpu_class, 0, count(*), 0 FROM nodes WHERE state = 'ready' AND attempt_id IS NULL GROUP BY gpu_class
        UNION ALL
        SELECT gpu_class, 0, 0, count(*) FROM attempts
        WHERE state <> 'ended' AND lease_until < clock_timestamp() GROUP BY gpu_class
    ) AS parts
    GROUP BY gpu_class ORDER BY gpu_class
    """,
)

DUE_JOBS = Statement(
    "jobs-due",
    "SELECT job_id FROM job_queue WHERE deadline_at <= clock_timestamp() ORDER BY deadline_at LIMIT %(limit)s",
)

CANCELLED_WAITING = Statement(
    "jobs-cancelled-waiting",
    """
    SELECT c.job_id FROM cancel_requests AS c
    INNER JOIN job_queue AS q ON c.job_id = q.job_id
    WHERE q.attempt_id IS NULL LIMIT %(limit)s
    """,
)

ORPHAN_INPUTS = Statement(
    "orphan-inputs",
    """
    SELECT job_id FROM job_inputs
    WHERE NOT accepted AND created_at < clock_timestamp() - make_interval(secs => %(age_s)s) LIMIT %(limit)s
    """,
)

DELETE_INPUTS = Statement("inputs-delete", "DELETE FROM job_inputs WHERE job_id = %(job_id)s")

ORPHAN_OUTPUTS = Statement(
    "orphan-outputs",
    """
    SELECT o.output_id, o.job_id, o.object_key FROM stored_outputs AS o
    WHERE NOT o.given AND o.created_at < clock_timestamp() - make_interval(secs => %(age_s)s)
        AND NOT EXISTS (SELECT FROM attempts AS a WHERE a.attempt_id = o.attempt_id AND a.state <> 'ended')
    LIMIT %(limit)s
    """,
)

DELETE_OUTPUT = Statement("output-delete", "DELETE FROM stored_outputs WHERE output_id = %(output_id)s")

BACKLOG = Statement(
    "queue-backlog",
    """
    SELECT
        gpu_class,
        sum(expected_ms) / 1000.0 AS backlog_gpu_seconds,
        count(*) FILTER (WHERE attempt_id IS NULL) AS waiting,
        count(*) FILTER (WHERE attempt_id IS NOT NULL) AS running,
        coalesce(
            extract(EPOCH FROM clock_timestamp() - min(accepted_at) FILTER (WHERE attempt_id IS NULL)), 0
        ) AS oldest_wait_s
    FROM job_queue GROUP BY gpu_class ORDER BY gpu_class
    """,
)
