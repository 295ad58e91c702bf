"""Every bound of customers in one place, asserted against the others."""

from __future__ import annotations

NAME_CHARS_MAX = 100
"""Longest name of an organisation or key."""

EMAIL_CHARS_MAX = 254
SIGNUP_KEY_CHARS_MAX = 255

KEYS_MAX = 100
"""Most keys of one organisation that are neither revoked nor expired."""

KEYS_LISTED_MAX = 1_000
"""Longest list of keys: those that can be used, then the most recent of the others."""

KEY_LIFETIME_MIN_S = 60
KEY_LIFETIME_MAX_S = 10 * 366 * 24 * 3600

OVERLAP_DEFAULT_S = 24 * 3600
OVERLAP_MAX_S = 7 * 24 * 3600
"""Longest that a rotated key stays good beside its successor."""

VERIFIED_FOR_S = 1.0
"""How long one process believes a key that it has looked up."""

REVOKED_WITHIN_S = 2.0
"""After this, nobody uses a revoked key any more, streams included."""

VERIFIED_MAX = 10_000
"""Most keys that one process remembers."""

LAST_USED_EVERY_S = 60
"""How exact ``last_used_at`` is."""

UNFINISHED_AFTER_S = 60
"""A sign-up older than this without an account was cut short, and is finished by whoever finds it."""

UNFINISHED_BATCH_MAX = 100

assert VERIFIED_FOR_S <= REVOKED_WITHIN_S / 2, "a stream that asks once a second closes in time"
assert OVERLAP_DEFAULT_S <= OVERLAP_MAX_S <= KEY_LIFETIME_MAX_S
assert KEYS_MAX <= KEYS_LISTED_MAX
