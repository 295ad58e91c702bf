"""What only time does: grants at their end, and leases that end on holds that nobody owns.

Sans I/O. A hold with a reference belongs to whoever owns the reference (a job expires its own hold together with
itself); the rest is the ledger's. Run it from anywhere, as often as one likes: each request has a key of its own. What
was asked for before its time, by a clock that was set back then, is asked for again a minute later: that nothing was
due is for ever the answer to its key.
"""

from __future__ import annotations

from ledger.domain.commands import ExpireGrants, ExpireHold
from ledger.domain.verdicts import Answer, Done
from ledger.errors import NotDone, OutcomeUnknown
from ledger.ports import Request
from ledger.sansio import Commit, Core, Row, Run, Statement, Submit

SWEEP_MAX = 200
"""Most holds, and most accounts, that one sweep takes."""

DUE_HOLDS = Statement(
    "due-holds",
    """
    SELECT hold_id, account_id FROM holds
    WHERE state = 'open' AND reference IS NULL AND lease_until <= clock_timestamp()
    ORDER BY lease_until, opened_position LIMIT %(limit)s
    """,
)
DUE_ACCOUNTS = Statement(
    "due-accounts",
    """
    SELECT account_id, version, extract(EPOCH FROM clock_timestamp())::bigint / 60 AS minute FROM account_states
    WHERE next_due_at <= clock_timestamp() ORDER BY next_due_at LIMIT %(limit)s
    """,
)


def sweep(limit: int = SWEEP_MAX) -> Core[int]:
    """Expire what is due; how many requests had an effect."""
    holds: list[Row] = yield Run(DUE_HOLDS, {"limit": limit})
    accounts: list[Row] = yield Run(DUE_ACCOUNTS, {"limit": limit})
    yield Commit()
    done = 0
    for row in holds:
        done += yield from _expire(
            Request(
                key=f"expire-hold:{row['hold_id']}",
                operation="sweep",
                command=ExpireHold(account_id=row["account_id"], hold_id=row["hold_id"]),
            )
        )
    for row in accounts:
        done += yield from _expire(
            Request(
                key=f"expire-grants:{row['account_id']}:{row['version']}:{row['minute']}",
                operation="sweep",
                command=ExpireGrants(account_id=row["account_id"]),
            )
        )
    return done


def _expire(request: Request) -> Core[bool]:
    try:
        answer: Answer = yield Submit(request)
    except (NotDone, OutcomeUnknown):
        return False
    return isinstance(answer.verdict, Done) and not answer.replayed
