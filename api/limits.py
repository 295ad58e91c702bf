"""Every bound of the HTTP side in one place, asserted against the others."""

from __future__ import annotations

from customers.limits import REVOKED_WITHIN_S, VERIFIED_FOR_S
from ledger.limits import BATCH_COMMANDS_MAX, KEY_CHARS_MAX
from payments.limits import NOTIFICATION_BYTES_MAX
from payments.limits import PAGE_MAX as TOPUPS_PAGE_MAX
from workers.limits import PAGE_MAX as JOBS_PAGE_MAX

BODY_BYTES_MAX = 1024 * 1024
"""Largest body: a prompt far too long still gets an answer that says so."""

IDEMPOTENCY_KEY_CHARS_MAX = 255
REQUEST_ID_CHARS_MAX = 128

PAGE_DEFAULT = 50
PAGE_MAX = 200
HOLDS_MAX = 1_000
EXPIRING_SOON_S = 7 * 24 * 3600

WAIT_MAX_S = 60
"""Longest ``Prefer: wait``."""

RETRY_AFTER_JOB_S = 1
RETRY_AFTER_BUSY_S = 1

THREADS = 24
"""Calls that one process has open to what lies behind it."""

WAITING_MAX = 1_000
"""Calls waiting for one of them; beyond it a caller is refused at once."""

QUOTA = 600
QUOTA_PUBLIC = 300
WINDOW_S = 60
"""Requests of one organisation, and of one address without a key, in a window."""

QUOTA_LEDGER = 1_200_000
"""Operations of one organisation on the ledger in a window, batched or not."""

QUOTA_LEDGER_CHUNK = 1_000
"""So many of them a process takes from the common count at once: counting each would cost more than doing it."""

BATCH_OPERATIONS_MAX = 1_000
OWNERS_KEPT_MAX = 100_000
"""Accounts and holds of which a process remembers whose they are."""

PROPOSAL_LIFE_S = 7 * 24 * 3600
"""How long a proposed adjustment can be approved."""

LIMITER_TIMEOUT_S = 0.2
LIMITER_PAUSE_S = 1.0
LIMITER_COUNTERS_MAX = 10_000

PING_S = 10.0
"""Comments that keep a live stream open."""

PING_MAX_S = 15.0

STREAM_RETRY_MS = 2_000
STREAM_CHECK_S = 0.8
"""How often a live stream asks whether its key is still good."""

STREAM_SEND_S = 5.0
"""A client that takes longer than this to take in what it is sent is closed."""

STREAMS_MAX = 2_000
STREAMS_PER_ORGANISATION_MAX = 50
PROGRESS_KEPT_MAX = 16
"""Progress waiting for one client; older is dropped."""

TAIL_POLL_S = 0.25
TAIL_BATCH_MAX = 500
STOP_S = 5
"""Time that open requests get when the server stops."""

assert IDEMPOTENCY_KEY_CHARS_MAX <= KEY_CHARS_MAX
assert BATCH_OPERATIONS_MAX <= BATCH_COMMANDS_MAX
assert QUOTA_LEDGER_CHUNK * 100 <= QUOTA_LEDGER, "what a process keeps back is a hundredth at most"
assert BATCH_OPERATIONS_MAX <= QUOTA_LEDGER_CHUNK
assert BODY_BYTES_MAX > NOTIFICATION_BYTES_MAX
assert min(TOPUPS_PAGE_MAX, JOBS_PAGE_MAX) >= PAGE_MAX
assert PING_S <= PING_MAX_S
assert STREAM_CHECK_S + VERIFIED_FOR_S < REVOKED_WITHIN_S, "a revoked key's streams end in time"
