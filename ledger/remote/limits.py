"""Bounds of the conversation between callers' processes and the writer's, asserted against the ledger's."""

from __future__ import annotations

from ledger import limits

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""Largest frame either side reads; beyond it the connection ends."""

GREETING_BYTES_MAX = 4 * 1024
"""Largest frame of a peer that has not been welcomed."""

GREETING_LIMIT_S = 2.0
"""How long a greeting may take."""

FRAME_SIZE = 1024 * 1024
"""Rough size at which a client begins another frame, so that the writer begins with the first."""

WAITING_MAX = limits.QUEUE_COMMANDS_MAX // 2
"""Requests of one process that wait; beyond it a caller is refused at once, and one process alone fills no queue."""

UNREAD_BYTES_MAX = 16 * 1024 * 1024
"""Answers kept for a client that does not read; beyond it the connection ends, and the client asks again."""

CONNECTIONS_MAX = 512
"""Processes of one host that may be connected at once."""

WITHDRAWAL_S = 0.25
"""How long a withdrawal at the deadline may take before the outcome counts as unknown."""

PAUSES_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2)
"""Between two tries to reach a writer; the last one repeats."""

DRAIN_S = 2.0
"""How long answers may take to reach their readers when the writer stops."""

assert WAITING_MAX < limits.QUEUE_COMMANDS_MAX
assert limits.COMPANION_EVENTS_MAX * limits.EVENT_BYTES_MAX < FRAME_BYTES_MAX, "the largest companion fits a frame"
assert limits.BATCH_BYTES_MAX < FRAME_BYTES_MAX
assert GREETING_BYTES_MAX < FRAME_BYTES_MAX
assert max(PAUSES_S) + WITHDRAWAL_S < limits.SUBMIT_TIMEOUT_S
