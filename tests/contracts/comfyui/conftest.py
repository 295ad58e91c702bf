"""Nodes for these tests: the stand-in as a process, a real ComfyUI where COMFYUI_URL names one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support import composed
from tests.support.nodes import StandIn, blur_graph, paint_graph
from workers.nodes.faults import Fault

REAL_URL = os.environ.get("COMFYUI_URL")
PATIENCE_S = 60


@dataclass
class Node:
    """A node of either kind, spoken to as a browser would."""

    url: str
    standin: StandIn | None
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/ws"

    def post(self, graph: dict[str, Any], **extra: Any) -> str:
        """Post a graph that must be taken, and give its prompt id."""
        answer = self.http.post("/prompt", json={"prompt": graph, **extra})
        assert answer.status_code == 200, answer.text
        assert answer.json()["node_errors"] == {}
        return answer.json()["prompt_id"]

    def job(self, prompt_id: str) -> dict[str, Any]:
        return self.http.get(f"/api/jobs/{prompt_id}").json()

    def ended(self, prompt_id: str) -> dict[str, Any]:
        """Wait for a job's end."""
        return self.until(lambda: self.job(prompt_id), lambda job: "execution_end_time" in job)

    @staticmethod
    def until(ask: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
        ends_s = time.monotonic() + PATIENCE_S
        while not done(value := ask()):
            assert time.monotonic() < ends_s, value
            time.sleep(0.01)
        return value

    def run(self, graph: dict[str, Any], **extra: Any) -> dict[str, Any]:
        """Post a graph and wait for its end."""
        return self.ended(self.post(graph, **extra))

    def hold(self, prefix: str, **extra: Any) -> str:
        """Post a job that runs for as long as any test needs and can be interrupted, and wait until it runs."""
        if self.standin is not None:
            self.standin.script(Fault.SLOW, seconds=0.05)
        graph = blur_graph(prefix) if self.standin is None else paint_graph(prefix, steps=600)
        prompt_id = self.post(graph, **extra)
        self.until(lambda: self.job(prompt_id), lambda job: job["status"] == "in_progress")
        return prompt_id


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Generator[StandIn]:
    """A stand-in that a module's tests share; who breaks one starts one of their own."""
    node = StandIn(tmp_path_factory.mktemp("standin"), "--step-ms", "5")
    yield node
    node.stop()


@pytest.fixture
def own_standin(tmp_path: Path) -> Generator[Callable[..., StandIn]]:
    """Start stand-ins that a test may break; ends them all."""
    started: list[StandIn] = []

    def start(*options: str, **named: Any) -> StandIn:
        port = named.pop("port", None) or composed.free_port()  # to be had again after a kill
        started.append(StandIn(tmp_path / "node", "--step-ms", "5", *options, port=port, **named))
        return started[-1]

    yield start
    for node in started:
        if node.process.poll() is None:
            node.stop()


@pytest.fixture(params=["standin", *(["comfyui"] if REAL_URL else [])])
def node(request: pytest.FixtureRequest) -> Node:
    """Every node there is, one after another."""
    if request.param == "comfyui":
        return Node(str(REAL_URL).rstrip("/"), None)
    standin: StandIn = request.getfixturevalue("standin")
    return Node(standin.url, standin)


@pytest.fixture
def prefix() -> str:
    """A file prefix of the test's own."""
    return f"jobs/{uuid4()}/img"
