"""SQL of the append path. Lock order: the append lock, then rows by the writer alone; readers take no lock."""

from __future__ import annotations

from functools import cache
from typing import LiteralString

SESSION = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "lock_timeout": "5s",
        "statement_timeout": "5s",
        "transaction_timeout": "5s",
        "idle_in_transaction_session_timeout": "2s",
        "synchronous_commit": "on",
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
    }.items()
)
"""Options of the writer's connection: it looks up keys and nothing else, by plans that are made once.

A writer that stands still under the append lock gives it up after ``transaction_timeout``. The shorter limit for idle
transactions does not end one that was left by a pipeline, as the writer's are: psycopg sends a Flush behind the last
Sync, and the server stops that clock at whatever it is sent (seen in PostgreSQL 18).
"""

LOCK = "SELECT pg_advisory_xact_lock(7411)"
"""The append lock; the number is nothing but ours."""

HEAD = """
SELECT position, hash, recorded_at, clock_timestamp(),
       extract(EPOCH FROM clock_timestamp() - transaction_timestamp())::float8
FROM log_head
"""
"""The last figure is what the lock was waited for: the statement before this one did nothing else."""

STILL_THERE = """
SELECT extract(EPOCH FROM clock_timestamp() - transaction_timestamp())::float8
       / (hash = %b AND clock_timestamp() BETWEEN %b AND %b
          AND NOT EXISTS (SELECT FROM verdicts WHERE key_hash = ANY(%b))
          AND NOT EXISTS (SELECT FROM unnest(%b) AS k (hold_id) JOIN holds USING (hold_id)))::int AS waited_s,
       clock_timestamp() AS clock
FROM log_head
"""
"""What the lock was waited for; a division by zero, which undoes the whole pipeline, if a batch was overtaken."""

VERDICTS = "SELECT key_hash, digests, verdict FROM verdicts WHERE key_hash = ANY(%b)"

ACCOUNTS = """
SELECT a.account_id, a.version, a.hash, a.format,
       CASE WHEN a.version = k.version AND a.hash = k.hash THEN NULL ELSE a.state END
FROM unnest(%b, %b, %b) AS k (account_id, version, hash)
JOIN account_states AS a USING (account_id)
"""

HOLDS = """
SELECT hold_id, account_id, state, amount_ucr, committed_ucr, slices, lease_until, reference,
       opened_at, opened_position, resolved_at
FROM unnest(%b) AS k (hold_id)
JOIN holds USING (hold_id)
"""

STREAMS = """
SELECT s.stream_id, e.originator_version, e.hash, e.topic
FROM unnest(%b) AS s (stream_id)
CROSS JOIN LATERAL (
    SELECT originator_version, hash, topic FROM events
    WHERE originator_id = s.stream_id ORDER BY originator_version DESC LIMIT 1
) AS e
"""

ACCOUNT_STREAM = """
SELECT notification_id, originator_id, originator_version, topic, state, recorded_at, effective_at, key_hash, hash
FROM events WHERE originator_id = %s AND originator_version > %s ORDER BY originator_version LIMIT %s
"""

INSERT_EVENTS = """
INSERT INTO events (originator_id, originator_version, topic, state, notification_id, key_hash, hash,
                    recorded_at, effective_at)
SELECT e.originator_id, e.originator_version, e.topic, e.state, e.notification_id, e.key_hash, e.hash, at,
       coalesce(e.effective_at, at)
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b)
    AS e (originator_id, originator_version, topic, state, notification_id, key_hash, hash, effective_at),
    CAST(%b AS timestamptz) AS at
"""

INSERT_VERDICTS = """
INSERT INTO verdicts (key_hash, position, digests, verdict)
SELECT key_hash, position, digests, verdict FROM unnest(%b, %b, %b, %b) AS v (key_hash, position, digests, verdict)
"""

INSERT_ACCOUNTS = """
INSERT INTO account_states (account_id, organisation_id, version, format, hash, state, next_due_at)
SELECT account_id, organisation_id, version, format, hash, state, next_due_at
FROM unnest(%b, %b, %b, %b, %b, %b, %b)
    AS a (account_id, organisation_id, version, format, hash, state, next_due_at)
"""

UPDATE_ACCOUNTS = """
UPDATE account_states AS a
SET version = n.version, format = n.format, hash = n.hash, state = n.state, next_due_at = n.next_due_at
FROM unnest(%b, %b, %b, %b, %b, %b) AS n (account_id, version, format, hash, state, next_due_at)
WHERE a.account_id = n.account_id
"""

INSERT_HOLDS = """
INSERT INTO holds (hold_id, account_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, opened_at,
                   resolved_at, opened_position, reference, slices)
SELECT hold_id, account_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, opened_at,
       resolved_at, opened_position, reference, slices
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b, %b)
    AS h (hold_id, account_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, opened_at,
          resolved_at, opened_position, reference, slices)
"""

UPDATE_HOLDS = """
UPDATE holds AS h
SET state = n.state, amount_ucr = n.amount_ucr, committed_ucr = n.committed_ucr,
    remaining_ucr = n.remaining_ucr, lease_until = n.lease_until, resolved_at = n.resolved_at, slices = n.slices
FROM unnest(%b, %b, %b, %b, %b, %b, %b, %b)
    AS n (hold_id, state, amount_ucr, committed_ucr, remaining_ucr, lease_until, resolved_at, slices)
WHERE h.hold_id = n.hold_id
"""

INSERT_TRACES = """
INSERT INTO event_traces (position, traceparent)
SELECT position, traceparent FROM unnest(%b, %b) AS t (position, traceparent)
"""

MOVE_HEAD = """
WITH moved AS (UPDATE log_head SET position = %b, hash = %b, recorded_at = %b RETURNING position)
SELECT pg_notify('tallystick_log', position::text) FROM moved
"""
"""Followers are told with the commit."""

_MOVE_HEAD_IF_STILL_THERE = f"""
still AS ({STILL_THERE}),
moved AS (UPDATE log_head SET position = %b, hash = %b, recorded_at = %b RETURNING position)
SELECT waited_s, clock, pg_notify('tallystick_log', position::text) FROM still, moved
"""  # noqa: S608  our own text


@cache
def at_once(*inserts: LiteralString, ahead: bool) -> bytes:
    """A batch as one statement, of which no part reads what another writes: the fewer parts, the sooner."""
    parts = ", ".join(f"part_{number} AS ({insert})" for number, insert in enumerate(inserts))
    last = _MOVE_HEAD_IF_STILL_THERE if ahead else MOVE_HEAD.strip().removeprefix("WITH ")
    return f"WITH {parts}, {last}".encode()
