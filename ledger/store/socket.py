"""The ledger as most processes have it: the writer in a process of its own behind a socket, questions to PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg_pool import ConnectionPool

from ledger import limits
from ledger.domain.verdicts import Answer
from ledger.ports import Clock, Request
from ledger.remote.client import WriterClient
from ledger.store.reads import PostgresReader


class SocketLedger(PostgresReader):
    """``ledger.ports.Ledger``. ``secret`` keys the digests of request fields; the writer must have the same."""

    def __init__(self, path: Path, pool: ConnectionPool[Any], *, clock: Clock, secret: bytes) -> None:
        super().__init__(pool)
        self._writer = WriterClient(path, secret, clock)

    def submit(self, request: Request, *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self._writer.submit(request, timeout_s=timeout_s)

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``LedgerWriter``."""
        return self._writer.submit_many(requests, timeout_s=timeout_s)

    async def submit_async(
        self, requests: Sequence[Request], *, timeout_s: float = limits.SUBMIT_TIMEOUT_S
    ) -> list[Answer]:
        """The same on an event loop."""
        return await self._writer.submit_async(requests, timeout_s=timeout_s)

    @property
    def queued(self) -> int:
        """How many requests of this process wait for an answer."""
        return self._writer.queued

    def close(self) -> None:
        """Hang up; writer and pool are others'."""
        self._writer.close()
