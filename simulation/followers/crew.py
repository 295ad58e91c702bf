"""Processes that run followers: every process any follower, one statement at a time, and death between any two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ledger.effective import EffectiveFollower
from ledger.follower import FoldError, Follower, follow_once, register
from ledger.proof.follower import ProofFollower
from ledger.proof.merkle import Frontier
from ledger.sansio import Commit, Copy, Core, Run
from ledger.store.memory import MemoryDatabase
from ledger.writer.requests import Append
from projections.books.follower import BooksFollower
from projections.statement import StatementFollower
from simulation.followers.tables import FollowerTables, Transaction
from simulation.found import Wrong, must, same
from simulation.model.answering import Model

T = TypeVar("T")
PROCESSES = 2
BATCH_AT_ONCE = 10_000


@dataclass(slots=True)
class Process:
    """One process: the batch it folds, what it is told next, its transaction."""

    transaction: Transaction
    core: Core[Any] | None = None
    told: Any = None


class Crew:
    """All processes, and the rows they write."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database
        self.followers: Sequence[Follower] = (
            StatementFollower(),
            BooksFollower("USD"),
            EffectiveFollower(),
            ProofFollower(),
        )
        self.shared = FollowerTables(database)
        self._processes = [Process(self.shared.begin()) for _ in range(PROCESSES)]
        for follower in self.followers:
            drive(self.shared, register(follower))

    def appended(self, append: Append) -> None:
        """Note where verdicts stand: the writer's twin does not keep it."""
        self.shared.answered.update({row.key_hash: row.position for row in append.verdicts})

    def step(self, process: int, follower: int, limit: int) -> None:
        """Let a process go on by one statement; one that is idle begins with a follower."""
        one = self._processes[process % PROCESSES]
        if one.core is None:
            one.core, one.told = follow_once(self.followers[follower % len(self.followers)], limit), None
        try:
            asked = one.core.send(one.told)
        except StopIteration:
            one.transaction.rollback()
            one.core = None
        except FoldError as error:
            raise Wrong("a follower parks", str(error)) from error
        else:
            one.told = _answer(one.transaction, asked)

    def crash(self, process: int) -> None:
        """A process ends; what it had not committed is gone."""
        one = self._processes[process % PROCESSES]
        if one.core is not None:
            one.core.close()
            one.core = None
        one.transaction.rollback()

    def finish(self, model: Model) -> None:
        """Let everybody catch up, and compare with what one fold from the first event makes."""
        for number in range(PROCESSES):
            self.crash(number)
        fresh = FollowerTables(self._database)
        fresh.answered = self.shared.answered
        for follower in self.followers:
            while drive(self.shared, follow_once(follower)):
                pass
            drive(fresh, register(follower))
            drive(fresh, follow_once(follower, BATCH_AT_ONCE))
        for name in sorted(fresh.tables.keys() | self.shared.tables.keys()):
            same(f"invariant_09 {name}", said=self.shared.tables.get(name, {}), expected=fresh.tables.get(name, {}))
        self._statement(model)
        self._books()
        self._proof()

    def _statement(self, model: Model) -> None:
        """Running sums are the model's accounts, as booked."""
        rows = self.shared.tables.get("statement_accounts", {})
        said = {one: (row["posted_ucr"], row["held_ucr"]) for one, row in rows.items()}
        same("statement", said=said, expected={one: (a.posted, a.held) for one, a in model.book.accounts.items()})

    def _books(self) -> None:
        """Invariant 2: every entry sums to zero per commodity."""
        commodities = {
            row["account_no"]: row["commodity"] for row in self.shared.tables.get("book_accounts", {}).values()
        }
        sums: dict[tuple[int, str], int] = {}
        for row in self.shared.tables.get("book_legs", {}).values():
            must("invariant_04 a leg", holds=row["debit"] >= 0 <= row["credit"] and row["debit"] != row["credit"])
            key = (row["position"], commodities[row["account_no"]])
            sums[key] = sums.get(key, 0) + row["debit"] - row["credit"]
        must("invariant_02 entries", holds=not any(sums.values()), detail=sums)

    def _proof(self) -> None:
        frontier = Frontier()
        for event in self._database.events:
            frontier.add(event.hash)
        state = self.shared.tables.get("proof_state", {}).get(True)
        if state is not None:
            same("proof state", said=state["size"], expected=frontier.size)


def drive(shared: FollowerTables, core: Core[T]) -> T:
    """Run a core to its end, in a transaction of its own."""
    transaction = shared.begin()
    told: Any = None
    try:
        while True:
            told = _answer(transaction, core.send(told))
    except StopIteration as end:
        return end.value
    finally:
        transaction.rollback()


def _answer(transaction: Transaction, asked: Any) -> Any:
    match asked:
        case Run(statement, params):
            return transaction.run(statement, params)
        case Copy(table, rows):
            return transaction.copy(table, rows)
        case Commit():
            return transaction.commit()
        case _:
            raise AssertionError(asked)
