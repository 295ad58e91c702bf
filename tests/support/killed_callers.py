"""A process that asks the ledger's writers for things while they are killed, and writes down what it was told.

Run as ``python -m tests.support.killed_callers``; its plan is JSON on standard input, its lines are JSON on standard
output: every request with its last answer. What was unknown is asked again under the same key until it is known.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from ledger import errors
from ledger.domain.commands import AccountCommand, CommitHold, DebitCredits, GrantCredits, ReleaseHold
from ledger.domain.verdicts import Answer, Done
from ledger.ports import Request
from ledger.remote.client import WriterClient
from tallystick.clock import SystemClock

ANSWERS_WITHIN_S = 1.5
LASTS_AT_MOST_S = 150.0


class Plan(msgspec.Struct):
    """What to do: where the writers are, until which file is there, about which accounts and their holds."""

    sockets: list[str]
    secret: bytes
    stop: str
    seed: int
    name: str
    accounts: list[UUID]
    holds: dict[UUID, list[UUID]]


class Told(msgspec.Struct):
    """What one request came to: ``done``, a refusal's code, ``not-done`` or, at the end, ``unknown``."""

    key: str
    operation: str
    account_id: UUID
    amount_ucr: int
    hold_id: UUID | None
    outcome: str
    position: int
    asked: int


class Caller:
    """One process's calls."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._dice = random.Random(plan.seed)
        self._clients = [WriterClient(Path(path), plan.secret, SystemClock()) for path in plan.sockets]
        self._unknown: list[tuple[Request, int]] = []
        self._count = 0

    def run(self) -> None:
        """Ask until it is time to stop, then until nothing is unknown any more."""
        stop, until = Path(self._plan.stop), time.monotonic() + LASTS_AT_MOST_S
        while not stop.exists() and time.monotonic() < until:
            if self._unknown and self._dice.random() < 0.5:
                self._ask(*self._unknown.pop(0))
            else:
                self._ask(self._request(), 0)
        patience = time.monotonic() + 30.0
        while self._unknown and time.monotonic() < patience:
            self._ask(*self._unknown.pop(0))
        for request, asked in self._unknown:
            self._say(request, "unknown", 0, asked)
        for client in self._clients:
            client.close()

    def _request(self) -> Request:
        account_id = self._dice.choice(self._plan.accounts)
        self._count += 1
        command = self._command(account_id)
        return Request(
            key=f"{self._plan.name}-{self._count}",
            operation=str(type(command).__struct_config__.tag),
            command=command,
            origin="caller",
        )

    def _command(self, account_id: UUID) -> AccountCommand:
        amount_ucr = self._dice.randint(1, 50)
        chance = self._dice.random()
        if chance < 0.5:
            return DebitCredits(account_id=account_id, debit_id=uuid4(), amount_ucr=amount_ucr, reason="used")
        if chance < 0.7:
            return GrantCredits(account_id=account_id, grant_id=uuid4(), amount_ucr=amount_ucr, kind="paid")
        hold_id = self._dice.choice(self._plan.holds[account_id])
        if chance < 0.85:
            return CommitHold(account_id=account_id, hold_id=hold_id, amount_ucr=1)
        return ReleaseHold(account_id=account_id, hold_id=hold_id, reason="not wanted")

    def _ask(self, request: Request, asked: int) -> None:
        client = self._dice.choice(self._clients)
        try:
            answer = client.submit(request, timeout_s=ANSWERS_WITHIN_S)
        except errors.OutcomeUnknown:
            self._unknown.append((request, asked + 1))
        except errors.NotDone:
            # Nothing of this call was done; what an earlier one under the key did is as unknown as before.
            if asked:
                self._unknown.append((request, asked + 1))
            else:
                self._say(request, "not-done", 0, asked)
        else:
            self._answered(request, answer, asked)

    def _answered(self, request: Request, answer: Answer, asked: int) -> None:
        verdict = answer.verdict
        if isinstance(verdict, Done):
            self._say(request, "done", verdict.position, asked + 1)
        else:
            self._say(request, verdict.code, 0, asked + 1)

    def _say(self, request: Request, outcome: str, position: int, asked: int) -> None:
        command = request.command
        assert command is not None
        told = Told(
            key=request.key,
            operation=request.operation,
            account_id=getattr(command, "account_id"),  # noqa: B009  a budget has none, and is not asked for here
            amount_ucr=getattr(command, "amount_ucr", 0),
            hold_id=getattr(command, "hold_id", None),
            outcome=outcome,
            position=position,
            asked=asked,
        )
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    Caller(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)).run()
