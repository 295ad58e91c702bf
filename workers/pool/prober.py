"""Asks nodes what the keeper wants to know: health, what they can run, and the canary graph, run for real."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from PIL import Image

from ledger.ports import Ids
from workers.catalogue import Catalogue
from workers.driving import CoreDriver, Surroundings
from workers.generation.bind import bind, prefix_of
from workers.generation.tools import Inputs, Tool
from workers.limits import CANARY_LIMIT_S, OUTPUT_BYTES_MAX, POLL_S
from workers.nodes.capability import lacking
from workers.nodes.collect import collect
from workers.nodes.port import (
    Capabilities,
    Completed,
    Executor,
    Failed,
    Graph,
    Rejected,
    Unreachable,
    Uploaded,
)
from workers.outputs import OutputRefused, OutputRules
from workers.pool.keeper import Ask, Health, Proof, Prove, Remembers

_EDGE_PX = 16


class Prober(CoreDriver):
    """Drives the keeper's core over executors by name."""

    def __init__(self, around: Surroundings, executors: dict[str, Executor], catalogue: Catalogue, ids: Ids) -> None:
        super().__init__(around)
        self._executors = executors
        self._catalogue = catalogue
        self._ids = ids

    def answer(self, effect: Any) -> Any:
        """Answer one effect; rows and time are the base's."""
        match effect:
            case Health(node):
                return self._executors[node].health()
            case Ask(node):
                return self._can(self._executors[node].capabilities())
            case Remembers(node, attempt_id):
                return self._executors[node].look_up(attempt_id)
            case Prove(node):
                return self._prove(self._executors[node])
            case _:
                return super().answer(effect)

    def _can(self, found: Capabilities | Unreachable) -> tuple[str, ...] | Unreachable:
        if isinstance(found, Unreachable):
            return found
        wanted = _wanted(self._catalogue)
        return tuple(needs for needs, graph in wanted if not lacking(found, graph))

    def _prove(self, executor: Executor) -> Proof:
        attempt_id = self._ids.new()
        reason = self._run_canary(executor, attempt_id)
        return Proof(attempt_id=attempt_id, passed=reason is None, reason=reason or "")

    def _run_canary(self, executor: Executor, attempt_id: UUID) -> str | None:
        """Why the canary did not come back; None where it did."""
        uploaded = executor.upload(f"canary-{attempt_id}.png", canary_picture())
        if not isinstance(uploaded, Uploaded):
            return "the picture could not be uploaded"
        canary = self._catalogue.canary
        prefix = prefix_of(attempt_id)
        graph = canary.graph(self._catalogue.canary_graph, image=uploaded.name, prefix=prefix)
        submission = executor.submit(attempt_id, graph)
        if isinstance(submission, Rejected):
            return f"refused: {submission.type}"
        ended = self._await(executor, attempt_id)
        if not isinstance(ended, Completed):
            executor.cancel(attempt_id)
            return ended
        rules = OutputRules(count=1, bytes_max=OUTPUT_BYTES_MAX, constant_allowed=True)
        pictures = collect(executor, ended, {canary.output: 1}, rules)
        if isinstance(pictures, OutputRefused | Unreachable):
            return "its picture did not come back"
        return None

    def _await(self, executor: Executor, attempt_id: UUID) -> Completed | str:
        clock = self._around.clock
        until_s = clock.monotonic_s() + CANARY_LIMIT_S
        while clock.monotonic_s() < until_s:
            state = executor.look_up(attempt_id)
            if isinstance(state, Completed):
                return state
            if isinstance(state, Failed):
                return f"it failed: {state.error.exception_type}"
            self._around.sleep(POLL_S)
        return "it did not end"


def canary_picture() -> bytes:
    """A small picture with something on it, as PNG."""
    pixels = bytes(value for y in range(_EDGE_PX) for x in range(_EDGE_PX) for value in (16 * x, 16 * y, 128))
    picture = Image.frombytes("RGB", (_EDGE_PX, _EDGE_PX), pixels)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _wanted(catalogue: Catalogue) -> Iterator[tuple[str, Graph]]:
    """What our tools need, each with a graph that needs it."""
    for tool in catalogue.tools():
        for model in tool.models:
            inputs = _sample(tool, model)
            graph = bind(tool, catalogue.graph(tool), inputs, seed=0, prefix="jobs/sample/image")
            yield tool.needs(model), graph


def _sample(tool: Tool, model: str) -> Inputs:
    width, height = tool.aspect_ratios[tool.default_aspect_ratio]
    return Inputs(
        prompt="sample",
        negative_prompt="",
        width=width,
        height=height,
        images=1,
        model=model,
        quality=tool.default_quality,
        seed=0,
    )
