"""Reads rows of which somebody may have made what cannot be read, such as a time at infinity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.proof.reading import Reading
from ledger.sansio import Run, Statement

ALIVE = Statement("verify-alive", "SELECT 1 AS alive")


def read(statement: Statement, params: Mapping[str, Any]) -> Reading[list[Any] | None]:
    """Rows of a statement; None where one of them cannot be read, while the database still answers."""
    try:
        rows: list[Any] = yield Run(statement, params)
    except Exception:  # noqa: BLE001  of any driver; one that means that nothing can be read comes again here
        yield Run(ALIVE, {})
        return None
    return rows
