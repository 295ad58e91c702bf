"""Gives an attempt's core its node, its store, its heartbeat and its live stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.attempt import effects
from workers.attempt.core import run_attempt
from workers.attempt.heart import Beat, Heart
from workers.attempt.listening import Listener, teller
from workers.attempt.report import Report
from workers.attempt.work import Claim, Work
from workers.catalogue import Catalogue
from workers.driving import CoreDriver, Surroundings
from workers.limits import OUTPUT_BYTES_MAX
from workers.nodes.collect import collect
from workers.nodes.port import Executor
from workers.objects.port import ObjectStore
from workers.outputs import OutputRules
from workers.pool.config import NodeConfig
from workers.progress import Progress, ProgressMessage

_LISTEN_WAIT_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What a worker process has: rows and ledger, nodes by name, pictures' store, progress, its heart."""

    around: Surroundings
    catalogue: Catalogue
    nodes: Mapping[str, tuple[NodeConfig, Executor]]
    objects: ObjectStore
    progress: Progress
    heart: Heart


def run(workshop: Workshop, claim: Claim) -> Report:
    """Run one claimed attempt to its end, on the calling thread."""
    beat = workshop.heart.add(claim.attempt_id, claim.token)
    driver = AttemptDriver(workshop, claim, beat)
    config, _executor = workshop.nodes[claim.node]
    try:
        return driver.drive(run_attempt(Work(claim, workshop.catalogue, rate_micro_hour=config.rate_micro_hour)))
    finally:
        driver.close()
        workshop.heart.remove(beat)


class AttemptDriver(CoreDriver):
    """Answers the core of one attempt."""

    def __init__(self, workshop: Workshop, claim: Claim, beat: Beat) -> None:
        super().__init__(workshop.around)
        self._workshop = workshop
        self._claim = claim
        self._beat = beat
        self._executor = workshop.nodes[claim.node][1]
        self._clock = workshop.around.clock
        self._tell = teller(workshop.progress, claim.job_id)
        self._listener: Listener | None = None

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.stop()

    def answer(self, effect: Any) -> Any:
        """Answer one effect; rows, ledger and time are the base's."""
        match effect:
            case effects.Pulse():
                return self._vitals()
            case effects.Rest(seconds):
                return self._rest(seconds)
            case effects.Listen():
                return self._listen()
            case effects.Tell(word):
                assert word == "cancelling"
                return self._tell(ProgressMessage(kind=word))
            case effects.Put(key, content, mime):
                return self._workshop.objects.put(key, content, mime=mime)
            case effects.Erase(key):
                return self._workshop.objects.delete(key)
            case _:
                return self._ask_node(effect)

    def _ask_node(self, effect: Any) -> Any:
        attempt_id = self._claim.attempt_id
        match effect:
            case effects.LookUp():
                return self._executor.look_up(attempt_id)
            case effects.Post(graph):
                return self._executor.submit(attempt_id, graph)
            case effects.CancelNode():
                return self._executor.cancel(attempt_id)
            case effects.FreeMemory():
                return self._executor.free()
            case effects.Gather(completed, tool, images):
                declared = dict.fromkeys(tool.outputs, images)
                rules = OutputRules(count=images, bytes_max=OUTPUT_BYTES_MAX, constant_allowed=tool.constant_allowed)
                return collect(self._executor, completed, declared, rules)
            case _:
                return super().answer(effect)

    def _vitals(self) -> effects.Vitals:
        beat, listener = self._beat, self._listener
        return effects.Vitals(
            now_s=self._clock.monotonic_s(),
            lost=beat.lost,
            cancel_asked=beat.cancel_asked,
            job_ended=beat.job_ended,
            heard_s=listener.heard_s if listener else None,
            preview_s=listener.preview_s if listener else None,
        )

    def _rest(self, seconds: float) -> None:
        """Wait for the poll's time, or for news from the node."""
        if self._listener is None:
            self._around.sleep(seconds)
        elif self._listener.news.wait(seconds):
            self._listener.news.clear()

    def _listen(self) -> None:
        self._listener = Listener(self._executor, self._claim.attempt_id, self._clock, tell=self._tell)
        self._listener.start(wait_s=_LISTEN_WAIT_S)
