"""What followers write, as dictionaries, and transactions over them that answer the followers' named statements."""

from __future__ import annotations

import json
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any
from uuid import UUID

from ledger.domain.codec import RecordedEvent
from ledger.sansio import Row, Statement
from ledger.sansio import Table as Into
from ledger.store.memory import MemoryDatabase
from projections.books.deferred import Grant
from projections.lines import Sums
from simulation.found import must

Params = Mapping[str, Any]
Table = MutableMapping[Any, Row]
_IDS = frozenset({"account_id", "organisation_id", "grant_id", "receipt_id", "hold_id", "subject_id", "reference_id"})
_KEYS = {
    "statement_lines": ("position",),
    "statement_accounts": ("account_id",),
    "book_accounts": ("account_no",),
    "book_entries": ("position",),
    "book_legs": ("position", "leg_no"),
    "book_changes": ("position", "grant_id"),
    "book_grants": ("grant_id",),
}
"""Of tables that rows are copied into."""
_SUMS = ("account_version", "position", "posted_ucr", "held_ucr", "frozen_ucr", "debt_ucr")


class FollowerTables:
    """Committed rows. ``locks`` says which transaction has a follower's row; ``answered`` where verdicts stand."""

    def __init__(self, database: MemoryDatabase) -> None:
        self.log = database
        self.tables: dict[str, dict[Any, Row]] = {}
        self.answered: dict[bytes, int] = {}
        self.locks: dict[str, Transaction] = {}

    def begin(self) -> Transaction:
        """A transaction of its own."""
        return Transaction(self)


class Transaction:
    """Sees its own writes, and what was committed when a statement runs; writes nothing until it commits."""

    def __init__(self, tables: FollowerTables) -> None:
        self.shared = tables
        self._written: dict[str, dict[Any, Row]] = {}

    def table(self, name: str) -> Table:
        """Rows as this transaction sees them; what is put there is its own until the commit."""
        return ChainMap(self._written.setdefault(name, {}), self.shared.tables.setdefault(name, {}))

    def run(self, statement: Statement, params: Params) -> list[Any]:
        """Run one named statement."""
        must("a named statement of a follower", holds=statement.name in _ANSWERS, detail=statement.name)
        return _ANSWERS[statement.name](self, params)

    def copy(self, into: Into, rows: Iterable[Sequence[Any]]) -> None:
        """Append new rows to a table."""
        must("a table of a follower", holds=into.name in _KEYS, detail=into.name)
        _put(self.table(into.name), _KEYS[into.name], (dict(zip(into.columns, row, strict=True)) for row in rows))

    def commit(self) -> None:
        """Make it so."""
        for name, rows in self._written.items():
            self.shared.tables[name].update(rows)
        self.rollback()

    def rollback(self) -> None:
        """As if nothing had been said."""
        self._written = {}
        self.shared.locks = {name: owner for name, owner in self.shared.locks.items() if owner is not self}


Answer = Callable[[Transaction, Params], list[Any]]


def _register(one: Transaction, params: Params) -> list[Row]:
    one.table("followers").setdefault(params["name"], {"position": 0, "parked_reason": None})
    return []


def _claim(one: Transaction, params: Params) -> list[Row]:
    row = one.table("followers").get(params["name"])
    if row is None or row["parked_reason"] is not None or one.shared.locks.get(params["name"], one) is not one:
        return []
    one.shared.locks[params["name"]] = one
    return [row]


def _move(one: Transaction, params: Params) -> list[Row]:
    one.table("followers")[params["name"]] = {"position": params["position"], "parked_reason": None}
    return []


def _read(one: Transaction, params: Params) -> list[RecordedEvent]:
    return one.shared.log.events[params["after"] : params["after"] + params["limit"]]


def _rest(one: Transaction, params: Params) -> list[RecordedEvent]:
    found = one.shared.log.events[params["after"] : params["until"]]
    return [event for event in found if event.key_hash == params["key_hash"]]


def _leaves(one: Transaction, params: Params) -> list[Row]:
    events = one.shared.log.events
    return [{"position": at, "hash": events[int(at) - 1].hash} for at in params["positions"] if 0 < at <= len(events)]


def _verdicts(one: Transaction, params: Params) -> list[Row]:
    shared = one.shared
    return [
        {"position": shared.answered[key.bytes], "key_hash": key.bytes, "digests": row.digests, "verdict": row.verdict}
        for key in params["keys"]
        if (row := shared.log.verdicts.get(key.bytes)) is not None
    ]


def _proof_state(one: Transaction, _params: Params) -> list[Row]:
    return list(one.table("proof_state").values())


def _write_proof_state(one: Transaction, params: Params) -> list[Row]:
    one.table("proof_state")[True] = dict(params)
    return []


def _nodes(one: Transaction, params: Params) -> list[Row]:
    nodes = one.table("merkle_nodes")
    return [nodes[place] for place in zip(params["levels"], params["nths"], strict=True) if place in nodes]


def _insert_nodes(one: Transaction, params: Params) -> list[Row]:
    columns = [params[name] for name in ("levels", "nths", "hashes", "verdicts")]
    rows: list[Row] = [
        {"level": level, "nth": nth, "hash": digest, "verdicts_hash": verdicts_hash}
        for level, nth, digest, verdicts_hash in zip(*columns, strict=True)
    ]
    _put(one.table("merkle_nodes"), ("level", "nth"), rows)
    return []


def _add_effective(one: Transaction, params: Params) -> list[Row]:
    table = one.table("effective_changes")
    for row in _rows(params):
        key = (row["account_id"], row["span"], row["starts_at"])
        before = table[key]["change_ucr"] if key in table else 0
        table[key] = row | {"change_ucr": before + row["change_ucr"]}
    return []


def _put(table: Table, key: tuple[str, ...], rows: Iterable[Row]) -> None:
    for row in rows:
        name = row[key[0]] if len(key) == 1 else tuple(row[column] for column in key)
        must("a follower's row is new", holds=name not in table, detail=row)
        table[name] = row


def _rows(params: Params) -> list[Row]:
    found: list[Row] = json.loads(params["rows"])
    return [{name: _value(name, value) for name, value in row.items()} for row in found]


def _value(name: str, value: Any) -> Any:
    return UUID(value) if name in _IDS and value is not None else value


def _upsert(name: str, key: str) -> Answer:
    def answer(one: Transaction, params: Params) -> list[Row]:
        one.table(name).update((row[key], row) for row in _rows(params))
        return []

    return answer


def _update(name: str, key: str, *changing: str) -> Answer:
    """Change some columns of rows that are there."""

    def answer(one: Transaction, params: Params) -> list[Row]:
        table = one.table(name)
        for row in _rows(params):
            if row[key] in table:
                table[row[key]] = table[row[key]] | {column: row[column] for column in changing}
        return []

    return answer


def _by_ids(name: str, make: Callable[..., Any] = dict) -> Answer:
    def answer(one: Transaction, params: Params) -> list[Any]:
        table = one.table(name)
        return [make(**table[key]) for key in params["ids"] if key in table]

    return answer


def _all(name: str) -> Answer:
    return lambda one, _params: list(one.table(name).values())


_ANSWERS: dict[str, Answer] = {
    "follower-register": _register,
    "follower-claim": _claim,
    "follower-read": _read,
    "follower-move": _move,
    "rest-of-append": _rest,
    "statement-read-sums": _by_ids("statement_accounts", Sums),
    "statement-update-sums": _update("statement_accounts", "account_id", *_SUMS),
    "effective-upsert": _add_effective,
    "proof-state": _proof_state,
    "proof-write-state": _write_proof_state,
    "proof-nodes": _nodes,
    "proof-insert-nodes": _insert_nodes,
    "proof-leaves": _leaves,
    "proof-verdicts": _verdicts,
    "books-read-accounts": _all("book_accounts"),
    "books-read-grants": _by_ids("book_grants", Grant),
    "books-read-receipts": _by_ids("book_receipts"),
    "books-read-tabs": _by_ids("book_tabs"),
    "books-update-grants": _update("book_grants", "grant_id", "gone_ucr", "revoked_ucr"),
    "books-upsert-receipts": _upsert("book_receipts", "receipt_id"),
    "books-upsert-tabs": _upsert("book_tabs", "account_id"),
}
