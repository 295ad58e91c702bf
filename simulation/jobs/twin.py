"""The jobs side's tables in memory: answers the named statements of queue and attempts, with transactions."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ledger.ports import Clock
from ledger.sansio import Row, Statement

Params = Mapping[str, Any]
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class Tables:
    """What is committed."""

    inputs: dict[UUID, Row] = field(default_factory=dict[UUID, Row])
    queue: dict[UUID, Row] = field(default_factory=dict[UUID, Row])
    attempts: dict[UUID, Row] = field(default_factory=dict[UUID, Row])
    nodes: dict[str, Row] = field(default_factory=dict[str, Row])
    outputs: dict[UUID, Row] = field(default_factory=dict[UUID, Row])
    cancels: set[UUID] = field(default_factory=set[UUID])
    ended: set[UUID] = field(default_factory=set[UUID])
    position: int = 0


class TwinDatabase:
    """Committed tables, and what each transaction would make of them. Whoever drives it opens one at a time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.tables = Tables()

    def begin(self) -> Transaction:
        """A transaction of its own."""
        return Transaction(self)


class Transaction:
    """Runs statements on a copy; ``commit`` makes it the truth."""

    def __init__(self, database: TwinDatabase) -> None:
        self._database = database
        self._tables: Tables | None = None

    def run(self, statement: Statement, params: Params) -> list[Row]:
        """Run one named statement."""
        if self._tables is None:
            self._tables = copy.deepcopy(self._database.tables)
        answer = _ANSWERS[statement.name](self._tables, params, self._database.clock.now())
        return copy.deepcopy(answer or [])

    @property
    def open(self) -> bool:
        """Whether statements wait for their commit."""
        return self._tables is not None

    def commit(self) -> None:
        """Make it so."""
        if self._tables is not None:
            self._database.tables = self._tables
        self._tables = None

    def rollback(self) -> None:
        """As if nothing had been said."""
        self._tables = None


Answer = Callable[[Tables, Params, datetime], list[Row] | None]
_ANSWERS: dict[str, Answer] = {}


def answers(*names: str) -> Callable[[Answer], Answer]:
    """Register what a statement does."""

    def register(answer: Answer) -> Answer:
        _ANSWERS.update(dict.fromkeys(names, answer))
        return answer

    return register


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _mine(tables: Tables, params: Params, *states: str) -> Row | None:
    row = tables.attempts.get(params["attempt_id"])
    held = row is not None and row["token"] == params["token"] and row["state"] in states
    return row if held else None


def _gpu_ms(row: Row) -> int:
    if row["submitted_at"] is None:
        return 0
    return round((row["node_ended_at"] - row["submitted_at"]).total_seconds() * 1000)


# --- the follower


@answers("job-ended")
def _ended(tables: Tables, params: Params, _now: datetime) -> None:
    tables.ended.add(params["job_id"])


@answers("job-insert", "job-held", "job-started", "job-requeued")
def _read_models(_tables: Tables, _params: Params, _now: datetime) -> None:
    return None


@answers("job-enqueue")
def _enqueue(tables: Tables, params: Params, _now: datetime) -> None:
    turns = [row["turn"] for row in tables.attempts.values()]
    turns += [row["turn"] for row in tables.queue.values() if row["organisation_id"] == params["organisation_id"]]
    names = ("job_id", "organisation_id", "gpu_class", "needs", "priority", "position", "accepted_at", "deadline_at")
    row = {name: params[name] for name in names}
    row |= {"turn": 1 + max(turns, default=0), "attempt_id": None, "not_before": LONG_AGO, "avoid": []}
    assert params["job_id"] not in tables.queue
    tables.queue[params["job_id"]] = row


@answers("job-inputs-named")
def _name_inputs(tables: Tables, params: Params, _now: datetime) -> None:
    if params["job_id"] in tables.inputs:
        tables.inputs[params["job_id"]]["accepted"] = True


@answers("job-dequeue")
def _dequeue(tables: Tables, params: Params, _now: datetime) -> None:
    tables.queue.pop(params["job_id"], None)


@answers("cancel-forget")
def _forget_cancel(tables: Tables, params: Params, _now: datetime) -> None:
    tables.cancels.discard(params["job_id"])


@answers("outputs-give")
def _give_outputs(tables: Tables, params: Params, _now: datetime) -> None:
    for output_id in params["output_ids"]:
        tables.outputs[output_id]["given"] = True


@answers("follower-move")
def _move(tables: Tables, params: Params, _now: datetime) -> None:
    tables.position = params["position"]


# --- claims


@answers("attempt-take-over")
def _take_over(tables: Tables, params: Params, now: datetime) -> list[Row]:
    dead = [row for row in tables.attempts.values() if row["state"] != "ended" and row["lease_until"] < now]
    for row in sorted(dead, key=lambda row: row["lease_until"]):
        if row["gpu_class"] == params["gpu_class"] and row["node"] in params["nodes"]:
            row.update(token=params["token"], lease_until=now + _seconds(params["lease_s"]))
            return [_claim(row)]
    return []


@answers("attempt-claim")
def _claim_pair(tables: Tables, params: Params, now: datetime) -> list[Row]:
    free = [row for row in tables.nodes.values() if row["state"] == "ready" and row["attempt_id"] is None]
    waiting = [row for row in tables.queue.values() if _claimable(tables, row, params, now)]
    for job in sorted(waiting, key=lambda row: (-row["priority"], row["turn"], row["position"])):
        able = [node for node in free if job["needs"] in node["can"]]
        if able:
            node = min(able, key=lambda node: (node["name"] in job["avoid"], node["name"]))
            return [_take(tables, params, (job, node), now)]
    return []


def _claimable(tables: Tables, row: Row, params: Params, now: datetime) -> bool:
    late = row["deadline_at"] <= now + _seconds(params["least_s"])
    open_ = row["attempt_id"] is None and row["not_before"] <= now
    return open_ and not late and row["job_id"] not in tables.cancels and row["gpu_class"] == params["gpu_class"]


def _take(tables: Tables, params: Params, pair: tuple[Row, Row], now: datetime) -> Row:
    job, node = pair
    attempt_id = params["attempt_id"]
    earlier = [row for row in tables.attempts.values() if row["job_id"] == job["job_id"]]
    assert all(row["state"] == "ended" for row in earlier), "two live attempts of one job"
    job["attempt_id"] = node["attempt_id"] = attempt_id
    row = {
        "attempt_id": attempt_id,
        "job_id": job["job_id"],
        "organisation_id": job["organisation_id"],
        "n": 1 + max((row["n"] for row in earlier), default=0),
        "node": node["name"],
        "gpu_class": job["gpu_class"],
        "turn": job["turn"],
        "state": "claimed",
        "token": params["token"],
        "lease_until": now + _seconds(params["lease_s"]),
        "outputs": None,
        "verdict": None,
        "submitted_at": None,
        "node_ended_at": None,
    }
    tables.attempts[attempt_id] = row
    return _claim(row)


def _claim(row: Row) -> Row:
    names = ("attempt_id", "job_id", "organisation_id", "n", "node", "gpu_class", "state", "token", "outputs")
    return {name: row[name] for name in names}


# --- one attempt


@answers("attempt-inputs")
def _inputs(tables: Tables, params: Params, _now: datetime) -> list[Row]:
    row = tables.inputs.get(params["job_id"])
    return [row] if row else []


@answers("attempt-submitting")
def _submitting(tables: Tables, params: Params, now: datetime) -> list[Row]:
    row = _mine(tables, params, "claimed", "submitting")
    if row is None:
        return []
    row.update(state="submitting", submitted_at=now, lease_until=now + _seconds(params["lease_s"]))
    return [{"attempt_id": row["attempt_id"]}]


@answers("attempt-submitted")
def _submitted(tables: Tables, params: Params, _now: datetime) -> list[Row]:
    row = _mine(tables, params, "submitting", "submitted", "storing")
    if row is None:
        return []
    row["state"] = "submitted" if row["state"] == "submitting" else row["state"]
    return [{"attempt_id": row["attempt_id"]}]


@answers("attempt-node-time")
def _node_time(tables: Tables, params: Params, now: datetime) -> list[Row]:
    row = _mine(tables, params, "claimed", "submitting", "submitted", "storing", "stored")
    if row is None:
        return []
    row["node_ended_at"] = row["node_ended_at"] or now
    return [{"gpu_ms": _gpu_ms(row)}]


@answers("attempt-node-ended")
def _node_ended(tables: Tables, params: Params, now: datetime) -> list[Row]:
    row = _mine(tables, params, "submitting", "submitted", "storing")
    if row is None:
        return []
    row.update(state="storing", node_ended_at=row["node_ended_at"] or now)
    _free(tables, row)
    return [{"gpu_ms": _gpu_ms(row)}]


@answers("output-save")
def _save_output(tables: Tables, params: Params, now: datetime) -> None:
    known = tables.outputs.get(params["output_id"])
    tables.outputs[params["output_id"]] = {**params, "given": False, "created_at": now} if known is None else known


@answers("attempt-stored")
def _stored(tables: Tables, params: Params, _now: datetime) -> list[Row]:
    row = _mine(tables, params, "storing", "stored")
    if row is None:
        return []
    row.update(state="stored", outputs=json.loads(params["outputs"]))
    return [{"attempt_id": row["attempt_id"]}]


@answers("attempt-output-keys")
def _output_keys(tables: Tables, params: Params, _now: datetime) -> list[Row]:
    rows = tables.outputs.values()
    return [
        {"object_key": row["object_key"]}
        for row in rows
        if row["attempt_id"] == params["attempt_id"] and not row["given"]
    ]


@answers("attempt-outputs-delete")
def _delete_outputs(tables: Tables, params: Params, _now: datetime) -> None:
    for output_id, row in list(tables.outputs.items()):
        if row["attempt_id"] == params["attempt_id"] and not row["given"]:
            del tables.outputs[output_id]


@answers("attempt-other-nodes")
def _others(tables: Tables, params: Params, _now: datetime) -> list[Row]:
    others = [row for name, row in tables.nodes.items() if name != params["node"] and row["state"] != "quarantined"]
    return [{"nodes": sum(params["needs"] in row["can"] for row in others)}]


@answers("attempt-close")
def _close(tables: Tables, params: Params, now: datetime) -> None:
    row = _mine(tables, params, "claimed", "submitting", "submitted", "storing", "stored")
    if row is None:
        return
    row.update(state="ended", verdict=params["verdict"], node_ended_at=row["node_ended_at"] or now)
    job = tables.queue.get(row["job_id"])
    if job is not None and job["attempt_id"] == row["attempt_id"]:
        wait_s = params["wait_s"]
        job["attempt_id"] = None
        job["avoid"] = [*job["avoid"], *params["avoid"]]
        job["not_before"] = job["deadline_at"] if wait_s is None else now + _seconds(wait_s)
        job["gpu_class"] = params["gpu_class"] or job["gpu_class"]
    _free(tables, row)
    node = tables.nodes[row["node"]]
    if node["state"] != "quarantined" and params["node_state"] is not None:
        node["state"] = params["node_state"]


def _free(tables: Tables, row: Row) -> None:
    node = tables.nodes[row["node"]]
    if node["attempt_id"] == row["attempt_id"]:
        node["attempt_id"] = None


# --- sweeps


@answers("jobs-due")
def _due(tables: Tables, _params: Params, now: datetime) -> list[Row]:
    return [{"job_id": row["job_id"]} for row in tables.queue.values() if row["deadline_at"] <= now]


@answers("jobs-cancelled-waiting")
def _cancelled_waiting(tables: Tables, _params: Params, _now: datetime) -> list[Row]:
    waiting = [tables.queue[job_id] for job_id in sorted(tables.cancels) if job_id in tables.queue]
    return [{"job_id": row["job_id"]} for row in waiting if row["attempt_id"] is None]


@answers("orphan-outputs")
def _orphan_outputs(tables: Tables, params: Params, now: datetime) -> list[Row]:
    names = ("output_id", "job_id", "object_key")
    return [
        {name: row[name] for name in names}
        for row in tables.outputs.values()
        if not row["given"]
        and row["created_at"] < now - _seconds(params["age_s"])
        and tables.attempts[row["attempt_id"]]["state"] == "ended"
    ]


@answers("output-delete")
def _delete_output(tables: Tables, params: Params, _now: datetime) -> None:
    tables.outputs.pop(params["output_id"], None)
