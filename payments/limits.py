"""Every bound of payments in one place, asserted against the others and the ledger's."""

from __future__ import annotations

from ledger.limits import AMOUNT_MAX_UCR, EVENT_BYTES_MAX, INT64_MAX, SUBMIT_TIMEOUT_S, UCR_PER_CREDIT

MICRO_PER_MAJOR = 1_000_000
"""Book amounts are ints of 10⁻⁶ of a currency's major unit."""

PPM = 1_000_000
"""Rates of tax and tolerance are ints of millionths."""

GROSS_MINOR_MAX = 10**9
"""Largest price of one top-up, in the minor unit of its currency."""

RECEIVED_MINOR_MAX = 10**14
"""Largest amount one observation may carry, in the minor unit of its asset."""

OPEN_QUOTES_MAX = 5
"""Open top-ups of one account."""

QUOTE_LIFETIME_S = 15 * 60
"""Seconds a quote is held."""

QUOTE_LIFETIME_MAX_S = 24 * 3600

CHARGES_MAX = 16
"""Most charges of one top-up (rails and attempts)."""

RECEIPTS_MAX = 64
"""Most receipts that one top-up takes in; what arrives beyond goes to Unapplied."""

NOTIFICATION_BYTES_MAX = 256 * 1024
NOTIFICATION_HEADERS_MAX = 64
TEXT_CHARS_MAX = 512
"""Longest reference, external id or reason a rail may hand over."""

INSTRUCTION_CHARS_MAX = 4_096

INBOX_BATCH_MAX = 50
INBOX_LEASE_S = 60
"""Seconds for which a claimer owns a notification; who dies with it is followed by another."""

INBOX_RETRY_MAX_S = 300
SWEEP_BATCH_MAX = 200
SWEEP_INTERVAL_S = 2.0
CHANGES_MAX = 500
"""Most movements a rail hands over in one answer; the cursor then says where to go on."""

SETTLE_ATTEMPTS_MAX = 8
"""Times a settlement decides again because somebody else moved the same top-up."""

RAIL_TIMEOUT_S = 10.0
PAGE_MAX = 200

assert INBOX_LEASE_S > RAIL_TIMEOUT_S + SUBMIT_TIMEOUT_S, "a lease outlasts one look-up and one append"
assert INSTRUCTION_CHARS_MAX * 4 + 8 * TEXT_CHARS_MAX < EVENT_BYTES_MAX
assert GROSS_MINOR_MAX * MICRO_PER_MAJOR * AMOUNT_MAX_UCR > INT64_MAX, "products are Python ints, never columns"
assert AMOUNT_MAX_UCR // UCR_PER_CREDIT >= GROSS_MINOR_MAX, "the largest sale at a cent a credit fits one grant"
assert QUOTE_LIFETIME_S <= QUOTE_LIFETIME_MAX_S
