"""The tables of payments in memory, and a driver that ends the process at any effect."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ledger.ports import Clock, Ledger
from ledger.sansio import Commit, Core, Run, RunMany, Sleep, Wake
from simulation.payments.reading import topups_of

T = TypeVar("T")
R = TypeVar("R")


class Crash(BaseException):
    """The process ends here."""


class MemoryTables:
    """The named statements of payments over dictionaries, with rollback of what was not committed."""

    def __init__(self, clock: Clock) -> None:
        self.ledger: Ledger
        self._clock = clock
        self._rows: dict[str, dict[Any, dict[str, Any]]] = {"inbox": {}, "cursors": {}, "slots": {}}
        self._before: dict[str, dict[Any, dict[str, Any]]] | None = None

    @property
    def inbox(self) -> list[dict[str, Any]]:
        """Rows of the inbox, in the order they came."""
        return list(self._rows["inbox"].values())

    def run(self, name: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Answer one statement by name."""
        if self._before is None:
            self._before = copy.deepcopy(self._rows)
        return getattr(self, "_" + name.removeprefix("payments-").replace("-", "_"))(params)

    def commit(self) -> None:
        """Keep what was done since the last commit."""
        self._before = None

    def rollback(self) -> None:
        """Undo it."""
        if self._before is not None:
            self._rows, self._before = self._before, None

    def _lock_slots(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return []

    def _find_slot(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        found = self._rows["slots"].get((params["account_id"], params["key_hash"]))
        return [found] if found else []

    def _count_slots(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        held = [r for r in self._rows["slots"].values() if r["held_until"] > now]
        return [{"taken": sum(r["account_id"] == params["account_id"] for r in held)}]

    def _take_slot(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._rows["slots"][params["account_id"], params["key_hash"]] = dict(params)
        return []

    def _store_notification(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        inbox = self._rows["inbox"]
        key = (params["rail"], params["external_id"])
        if key in inbox:
            return []
        never = datetime.min.replace(tzinfo=UTC)
        row = {"notification_id": len(inbox) + 1, "claimed_until": never, "attempts": 0, "outcome": None, "detail": ""}
        inbox[key] = dict(params) | row
        return [inbox[key]]

    _store_swept = _store_notification

    def _claim_notifications(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        due = [r for r in self._rows["inbox"].values() if r["outcome"] is None and r["claimed_until"] <= now]
        due.sort(key=lambda row: (row["claimed_until"], row["notification_id"]))
        for row in due[: params["limit"]]:
            row["claimed_until"] = now + timedelta(seconds=params["lease_s"])
            row["attempts"] += 1
        return [row | {"now": now} for row in due[: params["limit"]]]

    def _mark_handled(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._inbox_row(params)
        if row["outcome"] is None:
            row |= {"outcome": params["outcome"], "detail": params["detail"]}
        return []

    def _postpone(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._inbox_row(params)
        row["claimed_until"] = self._clock.now() + timedelta(seconds=params["pause_s"])
        row["detail"] = params["detail"]
        return []

    def _inbox_row(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return next(r for r in self._rows["inbox"].values() if r["notification_id"] == params["notification_id"])

    def _add_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._rows["cursors"].setdefault(params["rail"], {"token": ""})
        return []

    def _read_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        return [dict(self._rows["cursors"][params["rail"]])]

    def _move_cursor(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        row = self._rows["cursors"][params["rail"]]
        if row["token"] == params["before"]:
            row["token"] = params["token"]
        return []

    def _due_charges(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        return [
            {"rail": c.rail, "ref": c.ref, "window_closed": c.instruction.expires_at <= now}
            for topup in topups_of(self.ledger)
            for c in topup.charges
            if not topup.satisfied or topup.pending
        ]

    def _unopened_topups(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        now = self._clock.now()
        found = [t for t in topups_of(self.ledger) if not t.charges and t.quote.expires_at > now]
        return [{"topup_id": topup.topup_id} for topup in found]


class MemoryDriver:
    """Runs cores on one thread; ``crash_at`` effects later the process ends, before or after the effect took place."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self.crash_at: int | None = None
        self.crash_after = False
        self.effects = 0

    def drive(self, core: Core[T]) -> T:
        """See ``ledger.drivers.Driver``."""
        try:
            told = None
            while True:
                effect = core.send(told)
                told = self.counted(lambda effect=effect: self._answer(effect))
        except StopIteration as end:
            return end.value
        finally:
            self._tables.rollback()

    def counted(self, effect: Callable[[], R]) -> R:
        """Let an effect take place, unless the process ends before it."""
        self.effects += 1
        doomed = self.crash_at is not None and self.effects > self.crash_at
        if doomed and not self.crash_after:
            raise Crash
        told = effect()
        if doomed:
            raise Crash
        return told

    def _answer(self, effect: Any) -> Any:
        match effect:
            case Run(statement, params):
                return self._tables.run(statement.name, params)
            case RunMany(statement, rows):
                for row in rows:
                    self._tables.run(statement.name, row)
            case Commit():
                self._tables.commit()
            case Wake() | Sleep():
                pass
            case _:
                raise AssertionError(effect)
        return None
