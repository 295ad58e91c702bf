"""What an error of the database is to blame on: the connection it came over, or what was asked."""

from __future__ import annotations

from typing import Any

import psycopg

_SESSION_ENDED = ("FATAL", "PANIC")
_STATE_OF_TRANSACTION = "25"
"""Class of SQLSTATE: it is over, or of a server that may not write (any more, or yet)."""
_PLAN_IS_STALE = "0A000"
"""A statement that was prepared before a table was altered; ours ask for nothing else that does not exist."""


def is_lost(error: BaseException, connection: psycopg.Connection[Any] | None = None) -> bool:
    """Whether the same may succeed on another connection; whether a commit took effect on this one is not known.

    By what the server says and not by psycopg's classes alone: a session that a time limit has ended is an
    ``InternalError`` there, as is a server that has become a standby, and a stale plan is a ``NotSupportedError``.
    """
    if not isinstance(error, psycopg.Error):
        return False
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return True
    state = error.sqlstate or ""
    if state.startswith(_STATE_OF_TRANSACTION) or state == _PLAN_IS_STALE:
        return True
    return error.diag.severity_nonlocalized in _SESSION_ENDED or (connection is not None and connection.closed)
