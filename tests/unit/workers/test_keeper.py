"""What becomes of a node by its health, its canary and its verdicts, step by step and without a node."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from ledger.sansio import Commit, Run, Wake
from workers.limits import CANARY_RETRY_S, HEALTH_S, MISSES_MAX, RECHECK_S
from workers.nodes.port import Absent, Completed, Healthy, Unreachable
from workers.pool import statements
from workers.pool.config import configured
from workers.pool.keeper import Ask, Health, Proof, Prove, Remembers, keep_one

HEALTHY = Healthy(version="1", device="gpu", vram_total_bytes=24, vram_free_bytes=20, queue_remaining=0)
DOWN = Unreachable(reason="ConnectError")
PROBE, NEWER = UUID(int=1), UUID(int=2)


class World:
    """Answers the keeper about one node, and keeps what it writes."""

    def __init__(self, state: str, **row: Any) -> None:
        self.row: dict[str, Any] | None = {
            "name": "a",
            "state": state,
            "reason": "",
            "attempt_id": None,
            "misses": 0,
            "probe_id": None,
            "can": [],
            **row,
        }
        self.health: Any = HEALTHY
        self.can: Any = ("tool/v1/model",)
        self.proof = Proof(attempt_id=NEWER, passed=True)
        self.remembers: Any = Completed(outputs=())
        self.asked: list[str] = []
        self.found: dict[str, Any] = {}
        self.woken = False

    def keep(self) -> bool:
        core = keep_one(["a"], {"a": "standard"})
        answer: Any = None
        try:
            while True:
                answer = self.answer(core.send(answer))
        except StopIteration as end:
            return end.value

    def answer(self, effect: Any) -> Any:
        self.asked.append(type(effect).__name__)
        match effect:
            case Run(statement, params):
                if statement is statements.TAKE_DUE:
                    return [self.row] if self.row else []
                assert statement is statements.FOUND
                assert self.row is not None and params["was"] == self.row["state"]
                self.found = dict(params)
                return []
            case Health():
                return self.health
            case Ask():
                return self.can
            case Prove():
                return self.proof
            case Remembers(_, attempt_id):
                assert attempt_id == PROBE
                return self.remembers
            case Wake():
                self.woken = True
            case Commit():
                return None
        return None


def test_feature_M5_02_a_new_node_serves_once_it_has_run_the_canary() -> None:
    world = World("new")
    assert world.keep()
    assert (world.found["state"], world.found["can"], world.found["probe_id"]) == ("ready", ["tool/v1/model"], NEWER)
    assert world.found["next_s"] == HEALTH_S and world.woken


def test_a_node_that_fails_its_canary_stays_new_and_is_tried_again_later() -> None:
    world = World("new")
    world.proof = Proof(attempt_id=NEWER, passed=False, reason="it did not end")
    world.keep()
    assert (world.found["state"], world.found["next_s"]) == ("new", CANARY_RETRY_S)
    assert not world.woken and "it did not end" in world.found["reason"]


def test_a_node_with_an_attempt_is_not_given_the_canary() -> None:
    world = World("new", attempt_id=PROBE)
    world.keep()
    assert "Prove" not in world.asked and world.found["state"] == "new"


@pytest.mark.parametrize(("misses", "state"), [(0, "ready"), (1, "ready"), (MISSES_MAX - 1, "out")])
def test_a_node_is_out_after_three_misses_and_not_before(misses: int, state: str) -> None:
    world = World("ready", misses=misses)
    world.health = DOWN
    world.keep()
    assert (world.found["state"], world.found["misses"], world.found["next_s"]) == (state, misses + 1, RECHECK_S)


def test_a_node_that_is_back_must_prove_itself_again() -> None:
    world = World("out", misses=7)
    world.keep()
    assert world.found["state"] == "ready" and world.found["misses"] == 0 and "Prove" in world.asked


def test_a_healthy_node_tells_anew_what_it_can_run_without_a_canary() -> None:
    world = World("ready", can=["old"])
    world.keep()
    assert world.found["can"] == ["tool/v1/model"] and "Prove" not in world.asked


def test_what_a_node_can_run_stays_where_it_does_not_say() -> None:
    world = World("ready")
    world.can = DOWN
    world.keep()
    assert (world.found["state"], world.found["can"]) == ("ready", None)


def test_a_poisoned_node_comes_back_only_after_its_restart() -> None:
    world = World("quarantined", reason="restart", probe_id=PROBE)
    world.keep()
    assert world.found["state"] == "quarantined" and "Prove" not in world.asked
    world.remembers = Absent()
    world.keep()
    assert world.found["state"] == "ready"


def test_a_stuck_node_comes_back_when_it_runs_the_canary_again() -> None:
    world = World("quarantined", reason="stuck", probe_id=PROBE)
    world.proof = Proof(attempt_id=NEWER, passed=False)
    world.keep()
    assert (world.found["state"], world.found["reason"]) == ("quarantined", "stuck")
    world.proof = Proof(attempt_id=NEWER, passed=True)
    world.keep()
    assert world.found["state"] == "ready"


def test_a_quarantined_node_that_does_not_answer_stays_what_it_is() -> None:
    world = World("quarantined", reason="restart")
    world.health = DOWN
    world.keep()
    assert (world.found["state"], world.found["reason"]) == ("quarantined", "restart")


def test_nothing_is_asked_where_no_node_is_due() -> None:
    world = World("ready")
    world.row = None
    assert not world.keep()
    assert "Health" not in world.asked


def test_nodes_are_configured_by_their_addresses() -> None:
    first, second = configured(("http://gpu1:8188/", "https://gpu2.example/node#large", "http://gpu1:8188/"))
    assert (first.name, first.url, first.gpu_class) == ("gpu1:8188", "http://gpu1:8188", "standard")
    assert (second.name, second.url, second.gpu_class) == ("gpu2.example/node", "https://gpu2.example/node", "large")
