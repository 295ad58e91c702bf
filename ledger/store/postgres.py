"""The ledger on PostgreSQL: the writer's thread and the readers' pool behind one port."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from psycopg_pool import ConnectionPool

from ledger import limits
from ledger.domain.verdicts import Answer
from ledger.ports import Clock, Request
from ledger.store.connection import WriterStore
from ledger.store.reads import PostgresReader
from ledger.writer_thread import Observer, WriterThread


class PostgresLedger(PostgresReader):
    """``ledger.ports.Ledger``. ``secret`` keys the digests of request fields and must never change."""

    def __init__(
        self,
        conninfo: str,
        pool: ConnectionPool[Any],
        *,
        clock: Clock,
        secret: bytes,
        sleep: Callable[[float], None],
        observer: Observer | None = None,
    ) -> None:
        super().__init__(pool)
        self._writer = WriterThread(WriterStore(conninfo, clock, sleep), secret, observer=observer)

    def submit(self, request: Request, *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> Answer:
        """See ``LedgerWriter``."""
        return self._writer.submit(request, timeout_s=timeout_s)

    def submit_many(self, requests: Sequence[Request], *, timeout_s: float = limits.SUBMIT_TIMEOUT_S) -> list[Answer]:
        """See ``LedgerWriter``."""
        return self._writer.submit_many(requests, timeout_s=timeout_s)

    async def submit_async(self, requests: Sequence[Request]) -> list[Answer]:
        """The same on an event loop."""
        return await self._writer.submit_async(requests)

    @property
    def queued(self) -> int:
        """How many requests wait for the writer."""
        return self._writer.queued

    def close(self) -> None:
        """Stop the writer; the pool is the caller's."""
        self._writer.close()
