"""What cannot be appended ends alone, and never takes the database from everybody else for long."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from ledger import errors, limits
from ledger.domain import commands
from ledger.domain.account import STATE_FORMAT
from ledger.domain.verdicts import Done, Refused
from ledger.drivers import Driver
from ledger.ports import Request
from ledger.store.connection import WriterStore
from ledger.store.postgres import PostgresLedger
from ledger.verify import verify
from ledger.writer.requests import Append, ReadUnderLock, SnapshotRow, WriterRequest
from ledger.writer_thread import WriterThread
from tallystick.clock import SystemClock
from tests.support.ledger import CREDIT, open_account, request
from tests.support.servers import Database

SECRET = b"a secret for tests"
Cut = Callable[[Append], str | None]


class CutStore(WriterStore):
    """A store whose connection ends before or after an append, as ``cut`` says."""

    def __init__(self, url: str, cut: Cut) -> None:
        super().__init__(url, SystemClock(), time.sleep)
        self._cut = cut

    def answer(self, request: WriterRequest) -> Any:
        moment = self._cut(request) if isinstance(request, Append) else None
        if moment == "before":
            self.close()
            raise errors.ConnectionLost("cut before")
        answer = super().answer(request)
        if moment == "after":
            self.close()
            raise errors.ConnectionLost("cut after")
        return answer


def debit(account_id: UUID) -> Request:
    return request(commands.DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=CREDIT, reason="x"))


def test_rows_larger_than_a_socket_takes_at_once_are_appended_under_the_lock(database: Database) -> None:
    store = WriterStore(database.writer_url, SystemClock(), time.sleep)
    read = store.answer(ReadUnderLock(keys=[], accounts={}, holds={}, streams=[], head_hash=b""))
    batch = Append(read.head, read.head.position)
    batch.snapshots = [SnapshotRow(uuid4(), 1, 1, read.clock, STATE_FORMAT, bytes(1_500_000)) for _ in range(3)]
    store.answer(batch)
    store.close()
    with psycopg.connect(database.serving_url) as connection:
        query = "SELECT count(*), min(length(state)) FROM account_snapshots"
        assert connection.execute(query).fetchone() == (3, 1_500_000)


def test_a_request_whose_append_always_ends_the_connection_fails_alone(
    database: Database, pool: ConnectionPool, postgres_ledger: PostgresLedger
) -> None:
    accounts = [open_account(postgres_ledger, credit=100) for _ in range(3)]
    wanted = [debit(accounts[number % 3]) for number in range(30)]
    culprit = debit(accounts[0])
    named = culprit.command.debit_id.bytes  # type: ignore[union-attr]  # a debit
    writer = WriterThread(
        CutStore(
            database.writer_url, lambda batch: "before" if any(named in row.state for row in batch.events) else None
        ),
        SECRET,
    )
    answers = writer.submit_many([*wanted[:15], culprit, *wanted[15:]], timeout_s=60)
    writer.close()
    verdict = answers.pop(15).verdict
    assert isinstance(verdict, Refused) and verdict.code == "internal-error"
    assert all(isinstance(answer.verdict, Done) and not answer.replayed for answer in answers)
    assert isinstance(postgres_ledger.submit(culprit).verdict, Done), "nothing was kept: it may be asked again"
    balance = postgres_ledger.balance(accounts[0])
    assert balance is not None and balance.posted_ucr == 89 * CREDIT
    assert Driver(pool).drive(verify()).findings == ()


@pytest.mark.parametrize("last", ["before", "after"])
def test_invariant_14_a_request_that_is_given_up_is_looked_up_first(
    database: Database, postgres_ledger: PostgresLedger, last: str
) -> None:
    account_id = open_account(postgres_ledger, credit=10)
    moments = iter(["before"] * (limits.APPENDS_LOST_MAX - 1) + [last])
    writer = WriterThread(CutStore(database.writer_url, lambda _: next(moments, None)), SECRET)
    answer = writer.submit(debit(account_id), timeout_s=60)
    writer.close()
    assert next(moments, None) is None
    assert isinstance(answer.verdict, Done) == answer.replayed == (last == "after")
    balance = postgres_ledger.balance(account_id)
    assert balance is not None and balance.posted_ucr == (9 if last == "after" else 10) * CREDIT
