"""SQL of the nodes in service."""

from __future__ import annotations

from ledger.sansio import Statement

REGISTER = Statement(
    "node-register",
    # a node that moved to another address or class has everything to prove again
    """
    INSERT INTO nodes AS n (name, url, gpu_class, state) VALUES (%(name)s, %(url)s, %(gpu_class)s, 'new')
    ON CONFLICT (name) DO UPDATE SET
        url = excluded.url, gpu_class = excluded.gpu_class, state = 'new', can = '{}', reason = '',
        check_at = '-infinity', changed_at = clock_timestamp()
    WHERE n.url <> excluded.url OR n.gpu_class <> excluded.gpu_class
    """,
)

TAKE_DUE = Statement(
    "node-take-due",
    # whoever takes it has until check_at to say what it found
    """
    UPDATE nodes AS n SET check_at = clock_timestamp() + make_interval(secs => %(limit_s)s)
    WHERE n.name = (
        SELECT d.name FROM nodes AS d
        WHERE d.name = any(%(nodes)s) AND d.check_at <= clock_timestamp()
        ORDER BY d.check_at LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    RETURNING n.name, n.state, n.reason, n.attempt_id, n.misses, n.probe_id, n.can
    """,
)

FOUND = Statement(
    "node-found",
    # only where the node is still in the state it was judged in: an attempt's verdict meanwhile goes first
    """
    UPDATE nodes SET
        state = %(state)s, reason = %(reason)s, misses = %(misses)s,
        failures = CASE WHEN %(state)s = 'ready' AND state <> 'ready' THEN 0 ELSE failures END,
        memory_bytes = coalesce(%(memory_bytes)s, memory_bytes), can = coalesce(%(can)s, can),
        probe_id = coalesce(%(probe_id)s, probe_id),
        check_at = clock_timestamp() + make_interval(secs => %(next_s)s),
        changed_at = CASE WHEN state = %(state)s THEN changed_at ELSE clock_timestamp() END
    WHERE name = %(name)s AND state = %(was)s
    """,
)
