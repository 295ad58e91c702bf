"""The ledger for callers on event loops as well as on threads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ledger.domain.verdicts import Answer
from ledger.ports import Ledger, Request


class ServingLedger(Ledger, Protocol):
    """``Ledger`` that an event loop can wait for without a thread."""

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """``submit_many``; whoever stops waiting does not know what became of it. Raises as it."""
        ...
