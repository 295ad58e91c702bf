"""SQL of proofs. Rows of the tree go in as one JSON array and are spread by the table's own column types."""

from __future__ import annotations

from ledger.sansio import Statement

SNAPSHOT = Statement("proof-snapshot", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

STATE = Statement("proof-state", "SELECT size, verdicts_hash FROM proof_state")
WRITE_STATE = Statement(
    "proof-write-state",
    """
    INSERT INTO proof_state (size, verdicts_hash) VALUES (%(size)s, %(verdicts_hash)s)
    ON CONFLICT (only_row) DO UPDATE SET size = EXCLUDED.size, verdicts_hash = EXCLUDED.verdicts_hash
    """,
)
NODES = Statement(
    "proof-nodes",
    """
    SELECT n.level, n.nth, n.hash
    FROM unnest(CAST(%(levels)s AS smallint[]), CAST(%(nths)s AS bigint[])) AS p (level, nth)
    INNER JOIN merkle_nodes AS n ON n.level = p.level AND n.nth = p.nth
    """,
)
INSERT_NODES = Statement(
    "proof-insert-nodes",
    """
    INSERT INTO merkle_nodes (level, nth, hash, verdicts_hash)
    SELECT level, nth, hash, verdicts_hash
    FROM unnest(CAST(%(levels)s AS smallint[]), CAST(%(nths)s AS bigint[]), CAST(%(hashes)s AS bytea[]),
                CAST(%(verdicts)s AS bytea[])) AS n (level, nth, hash, verdicts_hash)
    """,
)
LEAVES = Statement(
    "proof-leaves",
    "SELECT notification_id AS position, hash FROM events WHERE notification_id = ANY(%(positions)s)",
)
VERDICTS = Statement(
    "proof-verdicts",
    """
    SELECT position, uuid_send(key_hash) AS key_hash, digests, verdict FROM verdicts WHERE key_hash = ANY(%(keys)s)
    """,
)
EVENT = Statement(
    "proof-event",
    """
    SELECT e.notification_id AS position, e.originator_id AS stream_id, e.originator_version AS version,
           e.topic AS tag, e.state, e.recorded_at, e.effective_at, uuid_send(e.key_hash) AS key_hash, e.hash,
           before.hash AS stream_hash, last.hash AS log_hash
    FROM events AS e
    LEFT JOIN events AS before
        ON before.originator_id = e.originator_id AND before.originator_version = e.originator_version - 1
    LEFT JOIN events AS last ON last.notification_id = e.notification_id - 1
    WHERE e.notification_id = %(position)s
    """,
)
_HEAD = "SELECT size, root, log_hash, verdicts_hash, signed_at, key_id, signature FROM signed_heads"
LATEST_HEAD = Statement("proof-latest-head", f"{_HEAD} ORDER BY size DESC LIMIT 1")
KEEP_HEAD = Statement(
    "proof-keep-head",
    """
    INSERT INTO signed_heads (size, root, log_hash, verdicts_hash, signed_at, key_id, signature)
    VALUES (%(size)s, %(root)s, %(log_hash)s, %(verdicts_hash)s, %(signed_at)s, %(key_id)s, %(signature)s)
    ON CONFLICT (size) DO UPDATE
    SET root = EXCLUDED.root, log_hash = EXCLUDED.log_hash, verdicts_hash = EXCLUDED.verdicts_hash,
        signed_at = EXCLUDED.signed_at, key_id = EXCLUDED.key_id, signature = EXCLUDED.signature
    """,
)
LOG_SIZE = Statement("proof-log-size", "SELECT position FROM log_head")
