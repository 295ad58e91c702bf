"""Shorthand for talking to a ledger in tests."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg

from ledger.domain import commands
from ledger.domain.verdicts import Done, Refused
from ledger.ports import Ledger, Request

CREDIT = 1_000_000
_numbers = itertools.count()


class ManualClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Wall clock, UTC."""
        return self.at

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return (self.at - datetime(2026, 1, 1, tzinfo=UTC)).total_seconds()

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.at += timedelta(seconds=seconds)


def request(command: commands.Command, key: str | None = None, **more: object) -> Request:
    """A request with a key of its own."""
    return Request(key=key or f"key-{next(_numbers)}", operation=type(command).__name__, command=command, **more)  # type: ignore[arg-type]


def open_account(ledger: Ledger, *, credit: int = 0, **more: object) -> UUID:
    """A new account, with credits if asked."""
    account_id = uuid4()
    done(ledger, commands.OpenAccount(account_id=account_id, organisation_id=uuid4(), **more))  # type: ignore[arg-type]
    if credit:
        grant(ledger, account_id, credit * CREDIT)
    return account_id


def grant(ledger: Ledger, account_id: UUID, amount_ucr: int, **more: object) -> UUID:
    """A grant; its id."""
    grant_id = uuid4()
    command = commands.GrantCredits(
        **{"account_id": account_id, "grant_id": grant_id, "amount_ucr": amount_ucr, "kind": "paid"} | more  # type: ignore[arg-type]
    )
    done(ledger, command)
    return grant_id


def hold(ledger: Ledger, account_id: UUID, amount_ucr: int, *, lease_s: int = 60, **more: object) -> UUID:
    """A hold; its id."""
    hold_id = uuid4()
    done(
        ledger,
        commands.HoldCredits(account_id=account_id, hold_id=hold_id, amount_ucr=amount_ucr, lease_s=lease_s, **more),  # type: ignore[arg-type]
    )
    return hold_id


def done(ledger: Ledger, command: commands.Command, key: str | None = None, **more: object) -> Done:
    """Submit what must be accepted."""
    verdict = ledger.submit(request(command, key, **more)).verdict
    assert isinstance(verdict, Done), verdict
    return verdict


def refused(ledger: Ledger, command: commands.Command, key: str | None = None, **more: object) -> Refused:
    """Submit what must be refused."""
    verdict = ledger.submit(request(command, key, **more)).verdict
    assert isinstance(verdict, Refused), verdict
    return verdict


def until_a_writer_waits(blocking: psycopg.Connection[Any]) -> None:
    """Wait until somebody waits for the writers' lock, which this connection has."""
    while not blocking.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
        time.sleep(0.02)
