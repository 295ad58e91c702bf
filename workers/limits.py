"""Every bound of the jobs' side in one place, asserted against the others."""

from __future__ import annotations

from ledger.limits import HOLD_LEASE_MAX_S

ATTEMPTS_MAX = 3
"""Most attempts of one job, whatever they end with."""

LEASE_S = 15.0
"""Life of an attempt's lease; a worker that is silent for longer is taken for dead."""

RENEW_S = 5.0
"""How often a live worker renews it."""

HEARTBEAT_S = 0.5
"""How often a worker reads whether somebody asked for a cancel."""

POLL_S = 0.25
"""How often a node is asked for the state of an attempt."""

SWEEP_S = 1.0
HEALTH_S = 30.0
"""How often a node in service is asked for its health."""

RECHECK_S = 2.0
"""How often a node out of service is asked."""

MISSES_MAX = 3
"""Health checks in a row that a node may fail before it is out."""

FAILURES_MAX = 3
"""Attempts in a row that may fail on a node before it must run the canary graph."""

CANARY_LIMIT_S = 60.0
CANARY_RETRY_S = 30.0
ORPHAN_AGE_S = 3600
"""Age at which inputs and outputs that no event names are swept."""

SETTLE_MARGIN_S = 10.0
"""Time between an attempt's last moment and the end of its job's hold, for fetching, storing and committing."""

RUN_LEAST_S = 2.0
"""An attempt with less time than this is not begun."""

SETTLE_TRIES_MAX = 50
SETTLE_PAUSE_S = 0.1
STORE_PATIENCE_S = 30.0
"""How long an object store may be away before its pictures count as lost."""

QUEUE_LIMIT_MAX_S = 24 * 3600
RUN_LIMIT_MAX_S = 3600
PROMPT_CHARS_MAX = 4_000
DETAIL_CHARS_MAX = 500
IMAGES_MAX = 8
EDGE_MAX_PX = 2_048
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
SEED_MAX = 2**64 - 1
LINK_S = 3600
PREVIEW_BYTES_MAX = 512 * 1024
PAGE_MAX = 200
THREADS_MAX = 256
MESSAGE_AGE_MAX_MS = 60_000

assert QUEUE_LIMIT_MAX_S + RUN_LIMIT_MAX_S < HOLD_LEASE_MAX_S, "a hold lasts to its job's deadline"
assert 2 * RENEW_S < LEASE_S, "one renewal may be missed"
assert HEARTBEAT_S <= 1.0 and HEARTBEAT_S < RENEW_S, "a cancel is read within a second"
assert RUN_LEAST_S < SETTLE_MARGIN_S < LEASE_S
