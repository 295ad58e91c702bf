"""Every bound of the ledger in one place, asserted against the others."""

from __future__ import annotations

UCR_PER_CREDIT = 1_000_000
"""Micro-credits in one credit: a credit has six decimals."""

INT64_MAX = 2**63 - 1
AMOUNT_MAX_UCR = 10**15
"""Largest amount one command may name: a milliard of credits."""
VALUE_MAX_MICRO = 10**16
"""Most that one grant may cost, or be worth at list price: ten milliards of the book currency's major unit."""

EVENT_BYTES_MAX = 64 * 1024
"""Largest encoded event."""

COMPANION_EVENTS_MAX = 256
"""Most events of other streams that one request may carry."""

KEY_CHARS_MAX = 255
TEXT_CHARS_MAX = 512
"""Longest text in a command (reasons, codes); prompts never enter an event."""

BATCH_COMMANDS_MAX = 1_000
BATCH_BYTES_MAX = 4 * 1024 * 1024
QUEUE_COMMANDS_MAX = 20_000
"""Requests waiting for the writer; beyond it a caller is refused at once."""

SLICES_MAX = 500
"""Most grants one hold or debit may burn from."""

OPEN_HOLDS_MAX = 20_000
"""Most open holds of one account."""

GRANTS_MAX = 1_000
"""Most live grants of one account with which another may be added. Its row, its answers and what each command looks
through grow with them. What has ended does not count; what a reversal or a dispute brings back is never refused."""

POSTED_MAX_UCR = 10**17
"""Most that an account may come to have: a hundred of the largest grants."""

DEBT_MAX_UCR = 10**17
"""Most that revoking may make an account owe, with what is claimed of it and not spent yet."""

HOLD_LEASE_MAX_S = 7 * 24 * 3600
GRANT_LIFETIME_MAX_S = 20 * 366 * 24 * 3600
LATE_FINISH_MAX_S = 3600
"""How long after its expiry a hold without a job may still be finished."""

REVERSAL_GRACE_S = 30 * 24 * 3600
"""How long credits are usable that return to a grant which has ended, if nothing else is asked for."""

REFUNDS_REMEMBERED_MAX = 100
"""Most receipts of an account of which it is known that they were taken back whole; the oldest is forgotten first."""

LINKED_MAX = 32
"""Most commands that are done together or not at all."""

BUDGETS_MAX = 8
"""Most budgets that one hold or debit counts against."""

SNAPSHOT_EVERY = 256
"""Events of an account between two snapshots: a past balance replays fewer than this."""

REFUSALS_KEPT_PER_ACCOUNT_DAY = 10_000

SUBMIT_TIMEOUT_S = 10.0
CLOCK_SKEW_MAX_S = 30.0
HEAD_AHEAD_MAX_S = 5.0
AHEAD_AFTER = 8
"""Batches in a row under the lock in which nobody else has written, before the next is decided ahead."""
AHEAD_MAX_S = 1.0
"""Longest from the clock by which a batch is decided ahead to its lock; one that waits longer is decided again."""
APPENDS_LOST_MAX = 3
"""After so many connections that ended over its append, a batch is to blame, and not the database."""
ACCOUNTS_CACHED_MAX = 50_000
HOLDS_CACHED_MAX = 100_000
FOLLOWER_BATCH_MAX = 2_000
FOLLOWER_IDLE_MAX_S = 60
"""Longest that a follower may leave its transaction alone while it computes. The most costly batch that was made up, a
thousand holds of 500 slices and their releases, takes one second between two statements, on one of two busy cores."""

# Every sum of one account lies within twice of these. It owes DEBT_MAX_UCR at most, and beside it an overdraft of at
# most AMOUNT_MAX_UCR, since one is allowed only up to the policy's limit with all that is owed. What its grants have
# grows only while posted stays in its bound, and is posted + debt; free, held and frozen are parts of it, but for what
# is held of the overdraft. One event moves a part of that, or an AMOUNT_MAX_UCR. So a state, a verdict, a hold and a
# statement's running sums fit 64 bits. What is used of a budget is bounded by its limit, and without one by INT64_MAX.
# What goes over accounts or over time (totals of books, usage, what was backdated) is summed as ``numeric``.
assert 2 * (POSTED_MAX_UCR + DEBT_MAX_UCR + AMOUNT_MAX_UCR) < INT64_MAX, "no sum of an account overflows"
assert AMOUNT_MAX_UCR * BATCH_COMMANDS_MAX < INT64_MAX, "nor what one batch moves"
assert VALUE_MAX_MICRO * SLICES_MAX < INT64_MAX, "nor what the slices of a transfer cost together"
assert min(POSTED_MAX_UCR, DEBT_MAX_UCR) >= AMOUNT_MAX_UCR, "the largest grant fits, and can be taken back"
assert BATCH_COMMANDS_MAX <= QUEUE_COMMANDS_MAX
assert EVENT_BYTES_MAX <= BATCH_BYTES_MAX
assert SLICES_MAX * 60 < EVENT_BYTES_MAX, "the longest list of slices fits an event"
assert SLICES_MAX <= GRANTS_MAX, "the longest transfer fits an account"
assert LINKED_MAX <= BATCH_COMMANDS_MAX
assert LATE_FINISH_MAX_S < HOLD_LEASE_MAX_S
assert REVERSAL_GRACE_S < GRANT_LIFETIME_MAX_S
