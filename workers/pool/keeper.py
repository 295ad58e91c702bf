"""Keeps the nodes in service: health, capabilities, proof by the canary graph, and what brings a node back.

A core without I/O, one node a call. A node is ``new`` until it ran the canary, ``ready`` for jobs, ``out`` while it
does not answer, ``quarantined`` where a verdict says that its process must be restarted or is stuck.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from msgspec import Struct

from ledger.sansio import Commit, Effect, Row, Run, Wake
from workers.limits import CANARY_LIMIT_S, CANARY_RETRY_S, HEALTH_S, MISSES_MAX, RECHECK_S
from workers.nodes.port import Absent, Healthy, JobState, Unreachable
from workers.pool import statements
from workers.topics import SLOTS_TOPIC


@dataclass(frozen=True, slots=True)
class Health:
    """Ask for a node's health; answered by ``Healthy | Unreachable``."""

    node: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask what a node can run, as ``needs`` of our tools; answered by a tuple of text, or ``Unreachable``."""

    node: str


@dataclass(frozen=True, slots=True)
class Remembers:
    """Ask a node for an attempt that it ran; answered by ``JobState``."""

    node: str
    attempt_id: UUID


@dataclass(frozen=True, slots=True)
class Prove:
    """Run the canary graph on a node; answered by ``Proof``."""

    node: str


class Proof(Struct, frozen=True, kw_only=True):
    """Whether the canary came back whole, and the attempt it was."""

    attempt_id: UUID
    passed: bool
    reason: str = ""


T = TypeVar("T")
Keeping: TypeAlias = Generator[Effect | Health | Ask | Remembers | Prove, Any, T]


class Found(Struct, frozen=True, kw_only=True):
    """What a check found: the node's state from now on, and when it is looked at again."""

    state: str
    next_s: float
    reason: str = ""
    misses: int = 0
    memory_bytes: int | None = None
    can: list[str] | None = None
    probe_id: UUID | None = None


def keep_one(nodes: list[str], gpu_class_of: dict[str, str]) -> Keeping[bool]:
    """Look after the node that has waited longest; False where none is due."""
    due: list[Row] = yield Run(statements.TAKE_DUE, {"nodes": nodes, "limit_s": CANARY_LIMIT_S + HEALTH_S})
    yield Commit()
    if not due:
        return False
    node = due[0]
    found = yield from _look(node)
    facts = {name: getattr(found, name) for name in found.__struct_fields__}
    yield Run(statements.FOUND, {**facts, "name": node["name"], "was": node["state"]})
    yield Commit()
    if found.state == "ready":
        yield Wake(SLOTS_TOPIC, gpu_class_of[node["name"]])
    return True


def _look(node: Row) -> Keeping[Found]:
    health: Healthy | Unreachable = yield Health(node["name"])
    if isinstance(health, Unreachable):
        return _missed(node, health)
    match node["state"]:
        case "ready":
            return (yield from _still_able(node, health))
        case "quarantined":
            return (yield from _quarantined(node, health))
        case _:
            return (yield from _prove(node, health))


def _missed(node: Row, health: Unreachable) -> Found:
    """One check without an answer; three in a row, and the node is out. A quarantined one stays what it is."""
    misses = node["misses"] + 1
    if node["state"] == "ready" and misses < MISSES_MAX:
        return Found(state="ready", next_s=RECHECK_S, misses=misses)
    state = "quarantined" if node["state"] == "quarantined" else "out"
    reason = node["reason"] if state == "quarantined" else health.reason
    return Found(state=state, next_s=RECHECK_S, reason=reason, misses=misses)


def _still_able(node: Row, health: Healthy) -> Keeping[Found]:
    """A node in service: what it can run is read again, less what a job has just found missing."""
    can: tuple[str, ...] | Unreachable = yield Ask(node["name"])
    kept = None if isinstance(can, Unreachable) else list(can)
    return Found(state="ready", next_s=HEALTH_S, memory_bytes=health.vram_total_bytes, can=kept)


def _prove(node: Row, health: Healthy) -> Keeping[Found]:
    """A new node, or one that was out: what it can run, then the canary."""
    if node["attempt_id"] is not None:
        return Found(state=node["state"], next_s=RECHECK_S, reason=node["reason"])
    can: tuple[str, ...] | Unreachable = yield Ask(node["name"])
    if isinstance(can, Unreachable):
        return Found(state="out", next_s=RECHECK_S, reason=can.reason)
    proof: Proof = yield Prove(node["name"])
    if not proof.passed:
        return Found(state="new", next_s=CANARY_RETRY_S, reason=f"canary: {proof.reason}")
    memory_bytes = health.vram_total_bytes
    return Found(state="ready", next_s=HEALTH_S, memory_bytes=memory_bytes, can=list(can), probe_id=proof.attempt_id)


def _quarantined(node: Row, health: Healthy) -> Keeping[Found]:
    """Back once it has restarted (it forgot the canary that it ran), or, if it was only stuck, ran it again."""
    stays = Found(state="quarantined", next_s=CANARY_RETRY_S, reason=node["reason"])
    if node["probe_id"] is not None:
        state: JobState = yield Remembers(node["name"], node["probe_id"])
        if isinstance(state, Absent):
            return (yield from _prove({**node, "state": "new"}, health))
    if node["reason"] == "restart":
        return stays
    found = yield from _prove(node, health)
    return found if found.state == "ready" else stays
