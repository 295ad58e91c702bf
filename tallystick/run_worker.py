"""A worker on the program's parts: nodes from the settings, attempts that are seen."""

from __future__ import annotations

from tallystick.telemetry.attempts import AttemptObserver, traced_executor
from tallystick.wiring import Runtime
from workers.attempt.driver import Workshop
from workers.attempt.heart import Heart
from workers.nodes.comfy import ComfyNode
from workers.nodes.port import Executor
from workers.pool.config import NodeConfig, configured
from workers.process import WorkerParts, WorkerProcess
from workers.queue.turns import unobserved


def make_worker(runtime: Runtime, *, drain_s: float) -> WorkerProcess:
    """A worker for the configured nodes, not started. It outlives no Redis and no runtime: stop it first.

    :param drain_s: how long its stop waits for the attempts in hand.
    """
    workshop = Workshop(
        around=runtime.around,
        catalogue=runtime.catalogue,
        nodes=make_nodes(runtime),
        objects=runtime.objects,
        progress=runtime.progress,
        heart=Heart(runtime.pool, runtime.clock),
    )
    parts = WorkerParts(
        workshop=workshop,
        broker=runtime.broker,
        ids=runtime.ids,
        threads=runtime.settings.worker_threads,
        observe=AttemptObserver(runtime.telemetry, runtime.pool) if runtime.telemetry.on else unobserved,
        drain_s=drain_s,
    )
    worker = WorkerProcess(parts)
    runtime.hints.wakes.fallback = worker.take_without_redis
    return worker


def make_nodes(runtime: Runtime) -> dict[str, tuple[NodeConfig, Executor]]:
    """The nodes of ``COMFYUI_NODES`` by name, each with its executor."""
    return {
        config.name: (
            config,
            traced_executor(ComfyNode(config.url, clock=runtime.clock, name=config.name), runtime.telemetry),
        )
        for config in configured(runtime.settings.comfyui_nodes)
    }
