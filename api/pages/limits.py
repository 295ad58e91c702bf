"""Every bound of the pages in one place, asserted against the others."""

from __future__ import annotations

from api.limits import PAGE_MAX, STREAMS_PER_ORGANISATION_MAX

SESSION_S = 12 * 3600
"""Life of a session; its key's end ends it earlier."""

FORM_FIELDS_MAX = 40
FORM_BYTES_MAX = 64 * 1024
JOBS_SHOWN = 8
LINES_SHOWN = 12
TOPUPS_LOOKED_AT = 20
"""Newest top-ups that are searched for those still waiting."""

TOPUPS_SHOWN = 5
FOLLOWED_MAX = JOBS_SHOWN + TOPUPS_SHOWN
"""Jobs and top-ups that one live stream follows beside its account."""

EVENTS_READ_MAX = 200
"""Events of the account that one look takes in."""

PAUSE_S = 0.25
"""Shortest time between two looks at a busy account."""

STATEMENT_TURNS = 20
STATEMENT_TURN_S = 0.15
"""How often, and how long each time, a stream waits for the statement to reach an event."""

STATIC_MAX_AGE_S = 365 * 24 * 3600
REFRESH_S = 3
"""How often a page without JavaScript looks again while something is under way."""

assert 1 + FOLLOWED_MAX <= STREAMS_PER_ORGANISATION_MAX, "one page fits what an organisation may follow"
assert max(JOBS_SHOWN, LINES_SHOWN, TOPUPS_LOOKED_AT) <= PAGE_MAX
