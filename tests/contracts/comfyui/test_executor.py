"""One contract for every executor: the node in memory, the stand-in behind its protocol, a real ComfyUI if any."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from tallystick.clock import SystemClock
from tests.contracts.comfyui.attempts import PATIENT, settle
from tests.contracts.comfyui.conftest import REAL_URL
from tests.support import composed
from tests.support.nodes import StandIn, node, paint_graph, picture, resample_graph, scale_graph
from workers.nodes.capability import lacking
from workers.nodes.comfy import ComfyNode
from workers.nodes.faults import Fault
from workers.nodes.memory import MemoryNode
from workers.nodes.port import (
    Absent,
    CancelAsked,
    Cancelled,
    Capabilities,
    Completed,
    Done,
    Dropped,
    Ended,
    Executor,
    Fetched,
    FileMissing,
    Healthy,
    InProgress,
    JobState,
    OutputFile,
    Pending,
    Preview,
    Progress,
    Quiet,
    Refusal,
    Rejected,
    Submitted,
    TooLarge,
    Unknown,
    Unreachable,
    Uploaded,
)
from workers.nodes.verdicts import NodeAction, Patience, Retry, Verdict, VerdictKind

CLASSES = json.loads(files("workers.standin").joinpath("object_info.json").read_text("utf-8"))
SAVED = {"save": 1}


@dataclass
class Bench:
    """An executor, and what makes its node misbehave."""

    executor: Executor
    script: Callable[..., None]
    accepted: Callable[[], list[str]]
    kill: Callable[[], object]
    revive: Callable[[], object]
    scripted: bool = True

    def until(self, attempt_id: UUID, kind: type | tuple[type, ...]) -> JobState:
        ends_s = time.monotonic() + 60
        while not isinstance(state := self.executor.look_up(attempt_id), kind):
            assert time.monotonic() < ends_s, state
            time.sleep(0.01)
        return state


def in_memory() -> Bench:
    twin = MemoryNode("memory", clock=SystemClock(), wait=time.sleep, classes=CLASSES, step_s=0.005)

    def script(fault: Fault, *, prompt_id: UUID | None = None, seconds: float = 0) -> None:
        twin.script(fault, attempt_id=prompt_id, seconds=seconds)

    return Bench(twin, script, lambda: [str(attempt) for attempt in twin.accepted], twin.kill, twin.restart)


def as_process(data: Path) -> Generator[Bench]:
    nodes = [StandIn(data, "--step-ms", "5", port=composed.free_port())]  # to be had again after a kill
    comfy = ComfyNode(nodes[0].url, clock=SystemClock())

    def script(fault: Fault, **named: Any) -> None:
        nodes[-1].script(fault, **named)

    def revive() -> None:
        nodes.append(StandIn(data, "--step-ms", "5", port=nodes[0].port))

    def accepted() -> list[str]:
        return nodes[-1].accepted()

    def kill() -> None:
        nodes[-1].stop()

    yield Bench(comfy, script, accepted, kill, revive)
    comfy.close()
    for process in nodes:
        if process.process.poll() is None:
            process.stop()


def real() -> Bench:
    def never(*_: object, **__: object) -> None:
        pytest.skip("a real node does not misbehave on command")

    comfy = ComfyNode(str(REAL_URL), clock=SystemClock())
    return Bench(comfy, never, list, never, never, scripted=False)


@pytest.fixture(params=["memory", "standin", *(["comfyui"] if REAL_URL else [])])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Bench]:
    if request.param == "standin":
        yield from as_process(tmp_path / "node")
    else:
        yield in_memory() if request.param == "memory" else real()


@pytest.fixture
def attempt() -> UUID:
    return uuid4()


def graph_for(bench: Bench, attempt: UUID, **named: Any) -> dict[str, Any]:
    """A graph that the node can run, with files of the attempt's own: a real one here has no models."""
    if bench.scripted:
        return paint_graph(f"jobs/{attempt}/img", **named)
    uploaded = bench.executor.upload(f"{attempt}.png", picture())
    assert isinstance(uploaded, Uploaded)
    return resample_graph(uploaded.name, f"jobs/{attempt}/img")


# --- the port


def test_an_attempt_is_submitted_completed_and_its_file_is_fetched(bench: Bench, attempt: UUID) -> None:
    assert bench.executor.look_up(attempt) == Absent()
    assert bench.executor.submit(attempt, graph_for(bench, attempt)) == Submitted(attached=False)
    state = bench.until(attempt, Completed)
    assert isinstance(state, Completed)
    [file] = state.outputs
    assert (file.node_id, file.kind, file.subfolder, file.type) == ("save", "images", f"jobs/{attempt}", "output")
    answer = bench.executor.fetch(file, bytes_max=10**7)
    assert isinstance(answer, Fetched)
    assert (answer.content[:8], answer.mime) == (b"\x89PNG\r\n\x1a\n", "image/png")
    assert bench.executor.fetch(file, bytes_max=100) == TooLarge(bytes_max=100)


def test_a_second_submit_of_the_same_attempt_attaches_and_nothing_runs_twice(bench: Bench, attempt: UUID) -> None:
    graph = graph_for(bench, attempt)
    assert bench.executor.submit(attempt, graph) == Submitted(attached=False)
    assert bench.executor.submit(attempt, graph) == Submitted(attached=True)
    bench.until(attempt, Completed)
    assert bench.executor.submit(attempt, graph) == Submitted(attached=True)
    assert not bench.scripted or bench.accepted() == [str(attempt)]


def test_a_missing_class_is_a_lack_of_the_node_and_named(bench: Bench, attempt: UUID) -> None:
    graph = scale_graph("x") | {"2": node("UltimateSDUpscale", image=["1", 0])}
    rejected = bench.executor.submit(attempt, graph)
    assert isinstance(rejected, Rejected)
    assert (rejected.refusal, rejected.type, rejected.lacks) == (
        Refusal.CAPABILITY,
        "missing_node_type",
        ("UltimateSDUpscale",),
    )
    assert bench.executor.look_up(attempt) == Absent()


def test_a_missing_model_is_a_lack_of_the_node_and_named(bench: Bench, attempt: UUID) -> None:
    graph = paint_graph("x") | {"ckpt": node("CheckpointLoaderSimple", ckpt_name="absent.safetensors")}
    rejected = bench.executor.submit(attempt, graph)
    assert isinstance(rejected, Rejected)
    assert (rejected.refusal, rejected.lacks) == (Refusal.CAPABILITY, ("absent.safetensors",))
    assert [(error.node_id, error.input_name) for error in rejected.errors] == [("ckpt", "ckpt_name")]


def test_a_graph_that_is_wrong_and_needs_what_is_missing_is_wrong_everywhere(bench: Bench, attempt: UUID) -> None:
    graph = paint_graph("x", steps=0) | {"ckpt": node("CheckpointLoaderSimple", ckpt_name="absent.safetensors")}
    rejected = bench.executor.submit(attempt, graph)
    assert isinstance(rejected, Rejected)
    assert (rejected.refusal, rejected.lacks) == (Refusal.INVALID, ("absent.safetensors",))


def test_a_wrong_value_is_our_mistake_and_named(bench: Bench, attempt: UUID) -> None:
    rejected = bench.executor.submit(attempt, scale_graph("x", size=0))
    assert isinstance(rejected, Rejected)
    assert rejected.refusal is Refusal.INVALID
    assert {(error.type, error.input_name) for error in rejected.errors} == {
        ("value_smaller_than_min", "width"),
        ("value_smaller_than_min", "height"),
    }


def test_a_half_valid_graph_is_refused_whole_and_taken_back(bench: Bench, attempt: UUID) -> None:
    bad = {
        "8": node("EmptyImage", width=0, height=5, batch_size=1, color=0),
        "9": node("SaveImage", images=["8", 0], filename_prefix="bad"),
    }
    rejected = bench.executor.submit(attempt, scale_graph(f"jobs/{attempt}/img") | bad)
    assert isinstance(rejected, Rejected)
    assert (rejected.refusal, rejected.type) == (Refusal.INVALID, "partially_valid")


def test_capabilities_tell_what_a_graph_needs_and_the_node_lacks(bench: Bench) -> None:
    capabilities = bench.executor.capabilities()
    assert isinstance(capabilities, Capabilities)
    assert {"KSampler", "SaveImage", "LoadImage"} <= capabilities.classes
    assert lacking(capabilities, scale_graph("x")) == ()
    graph = paint_graph("x") | {"u": node("UltimateSDUpscale"), "m": node("VAELoader", vae_name="absent.pt")}
    assert {"UltimateSDUpscale", "absent.pt"} <= set(lacking(capabilities, graph))


def test_a_node_says_how_it_is_and_takes_orders(bench: Bench, attempt: UUID) -> None:
    healthy = bench.executor.health()
    assert isinstance(healthy, Healthy)
    assert healthy.version
    assert healthy.queue_remaining == 0
    assert bench.executor.free() == Done()
    assert bench.executor.interrupt(attempt) == Done()
    assert bench.executor.cancel(attempt) == CancelAsked(acknowledged=False)


def test_an_upload_keeps_or_gets_a_name_and_can_be_loaded(bench: Bench, attempt: UUID) -> None:
    uploaded = bench.executor.upload(f"{attempt}.png", picture())
    assert isinstance(uploaded, Uploaded)
    verdict, pictures = settle(
        bench.executor, attempt, resample_graph(uploaded.name, f"jobs/{attempt}/x"), declared=SAVED
    )
    assert verdict.kind is VerdictKind.SUCCESS
    assert len(pictures) == 1


def test_a_file_that_is_not_there_is_missing_and_nothing_else(bench: Bench) -> None:
    for filename in ("nope.png", "../../../etc/passwd"):
        file = OutputFile(node_id="x", kind="images", filename=filename, subfolder="", type="output")
        assert isinstance(bench.executor.fetch(file, bytes_max=100), FileMissing)


def test_progress_previews_and_the_end_are_heard_of_this_attempt_alone(bench: Bench, attempt: UUID) -> None:
    with bench.executor.watch(attempt, quiet_s=5) as events:
        bench.executor.submit(attempt, graph_for(bench, attempt, steps=4))
        heard = list(events)
    assert heard[-1] == Ended()
    steps = [event for event in heard if isinstance(event, Progress) and event.maximum == 4]
    previews = [event for event in heard if isinstance(event, Preview)]
    assert not bench.scripted or [step.value for step in steps][-1] == 4
    assert not bench.scripted or previews
    assert all(preview.mime.startswith("image/") and preview.content for preview in previews)
    assert bench.scripted or any(isinstance(event, Progress) for event in heard)


def test_a_stream_without_news_says_that_it_is_quiet_and_goes_on(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.SILENT, seconds=4)
    with bench.executor.watch(attempt, quiet_s=0.1) as events:
        bench.executor.submit(attempt, graph_for(bench, attempt))
        heard = list(events)
    assert Quiet() in heard
    assert heard[-1] == Ended()


def test_a_job_waits_behind_another_and_a_cancel_takes_it_off_without_a_trace(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.SLOW, seconds=0.05)
    first = uuid4()
    bench.executor.submit(first, graph_for(bench, first, steps=1000))
    bench.until(first, InProgress)
    bench.executor.submit(attempt, graph_for(bench, attempt))
    assert bench.executor.look_up(attempt) == Pending()
    assert bench.executor.cancel(attempt) == CancelAsked(acknowledged=True)
    assert bench.executor.look_up(attempt) == Absent()
    assert bench.executor.cancel(first) == CancelAsked(acknowledged=True)
    assert bench.until(first, Cancelled) == Cancelled()
    assert bench.executor.cancel(first) == CancelAsked(acknowledged=False)


def test_an_acknowledged_cancel_is_no_promise(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.DEAF)
    bench.executor.submit(attempt, graph_for(bench, attempt, steps=400))
    assert bench.executor.cancel(attempt) == CancelAsked(acknowledged=True)
    assert isinstance(bench.until(attempt, (Completed, Cancelled)), Completed)


def test_a_500_to_the_post_is_unknown_and_the_look_up_decides(bench: Bench, attempt: UUID) -> None:
    for fault, found in ((Fault.QUEUED_500, True), (Fault.REFUSED_500, False)):
        attempt_id = uuid4()
        bench.script(fault)
        unknown = bench.executor.submit(attempt_id, graph_for(bench, attempt_id))
        assert isinstance(unknown, Unknown)
        assert unknown.sent
        assert isinstance(bench.executor.look_up(attempt_id), Absent) is not found


def test_a_node_that_is_down_is_unreachable_to_every_question(bench: Bench, attempt: UUID) -> None:
    graph = graph_for(bench, attempt)
    bench.kill()
    node_down = bench.executor
    file = OutputFile(node_id="x", kind="images", filename="x.png", subfolder="", type="output")
    submission = node_down.submit(attempt, graph)
    assert isinstance(submission, Unknown)
    assert not submission.sent
    for answer in (
        node_down.look_up(attempt),
        node_down.cancel(attempt),
        node_down.interrupt(attempt),
        node_down.free(),
        node_down.fetch(file, bytes_max=100),
        node_down.upload("a.png", picture()),
        node_down.capabilities(),
        node_down.health(),
    ):
        assert isinstance(answer, Unreachable), answer
    with node_down.watch(attempt, quiet_s=0.1) as events:
        assert [type(event) for event in events] == [Dropped]


def test_the_stream_of_a_node_that_dies_is_dropped(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.KILLED)
    with bench.executor.watch(attempt, quiet_s=5) as events:
        bench.executor.submit(attempt, graph_for(bench, attempt))
        assert isinstance(list(events)[-1], Dropped)


# --- every row of the table, end to end


IMPATIENT: dict[Fault | None, Patience] = {
    Fault.HANG: replace(PATIENT, stall_s=0.6, obey_s=0.5),
    Fault.SILENT: replace(PATIENT, stall_s=0.6),
    Fault.ZOMBIE: replace(PATIENT, stall_s=0.6, pending_s=0.6, obey_s=0.5),
    Fault.KILLED: replace(PATIENT, unreachable_s=0.5),
    Fault.REFUSED_500: replace(PATIENT, unseen_s=0.4),
}
"""Where the verdict is that a wait was in vain: no longer than needed, and only for what never comes."""
STEPS: dict[Fault | None, int] = {Fault.SILENT: 2000}
"""It has 10 s of work left after its silence: it is there to obey however late it is asked."""
Row = tuple[str, Fault | None, float, VerdictKind, Retry, NodeAction]
ROWS: list[Row] = [
    ("ok", None, 0, VerdictKind.SUCCESS, Retry.NONE, NodeAction.KEEP),
    ("no output", Fault.BLOCKED, 0, VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    ("fewer outputs", Fault.FEWER, 0, VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    ("the file is gone", Fault.LOST_FILE, 0, VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    ("0 bytes", Fault.EMPTY_FILE, 0, VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    ("does not decode", Fault.CORRUPT, 0, VerdictKind.OUTPUTS_MISSING, Retry.ONCE, NodeAction.KEEP),
    ("black", Fault.BLACK, 0, VerdictKind.SUSPECT_BLACK, Retry.ELSEWHERE, NodeAction.COUNT),
    ("one colour", Fault.CONSTANT, 0, VerdictKind.SUSPECT_BLACK, Retry.ELSEWHERE, NodeAction.COUNT),
    ("raised", Fault.EXCEPTION, 0, VerdictKind.FAILED, Retry.ONCE, NodeAction.COUNT),
    ("raised after an output", Fault.PARTIAL, 0, VerdictKind.FAILED, Retry.ONCE, NodeAction.COUNT),
    ("out of memory", Fault.OOM, 0, VerdictKind.OOM, Retry.LARGER, NodeAction.FREE),
    ("CUDA error", Fault.CUDA_ERROR, 0, VerdictKind.POISONED, Retry.ELSEWHERE, NodeAction.RESTART),
    ("hangs", Fault.HANG, 0, VerdictKind.STUCK, Retry.ELSEWHERE, NodeAction.QUARANTINE),
    ("silent, then obeys", Fault.SILENT, 0.9, VerdictKind.STUCK, Retry.ELSEWHERE, NodeAction.CANARY),
    ("worker thread dead", Fault.ZOMBIE, 0, VerdictKind.STUCK, Retry.ELSEWHERE, NodeAction.QUARANTINE),
    ("process dies", Fault.KILLED, 0, VerdictKind.LOST, Retry.ELSEWHERE, NodeAction.PROBATION),
    ("restarts", Fault.FORGOTTEN, 0, VerdictKind.LOST, Retry.ELSEWHERE, NodeAction.PROBATION),
    ("5xx, queued", Fault.QUEUED_500, 0, VerdictKind.SUCCESS, Retry.NONE, NodeAction.KEEP),
    ("5xx, not queued", Fault.REFUSED_500, 0, VerdictKind.LOST, Retry.ELSEWHERE, NodeAction.PROBATION),
    ("answers late", Fault.LATE_ANSWER, 0.3, VerdictKind.SUCCESS, Retry.NONE, NodeAction.KEEP),
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_misbehaviour_has_the_verdict_of_the_table(bench: Bench, attempt: UUID, row: Row) -> None:
    _, fault, seconds, *expected = row
    if fault is not None:
        bench.script(fault, prompt_id=attempt, seconds=seconds)
    graph, patience = graph_for(bench, attempt, steps=STEPS.get(fault, 4)), IMPATIENT.get(fault, PATIENT)
    verdict, pictures = settle(bench.executor, attempt, graph, declared=SAVED, patience=patience)
    assert [verdict.kind, verdict.retry, verdict.action] == expected, verdict
    assert len(pictures) == (verdict.kind is VerdictKind.SUCCESS)


def test_a_cancelled_attempt_is_cancelled_and_one_that_completed_meanwhile_counts(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.SLOW, seconds=0.05)
    graph = graph_for(bench, attempt, steps=1000)
    verdict, _ = settle(bench.executor, attempt, graph, declared=SAVED, cancel_after_s=0.2)
    assert verdict.kind is VerdictKind.CANCELLED
    other = uuid4()
    bench.script(Fault.DEAF)
    verdict, pictures = settle(
        bench.executor, other, graph_for(bench, other, steps=20), declared=SAVED, cancel_after_s=0.01
    )
    assert (verdict.kind, len(pictures)) == (VerdictKind.SUCCESS, 1)


def test_an_attempt_past_its_deadline_is_overdue_and_the_node_is_not_blamed(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.SLOW, seconds=0.02)
    patience = replace(PATIENT, deadline_s=0.3)
    graph = graph_for(bench, attempt, steps=3000)
    verdict, _ = settle(bench.executor, attempt, graph, declared=SAVED, patience=patience)
    assert (verdict.kind, verdict.action) == (VerdictKind.OVERDUE, NodeAction.KEEP)


def test_the_next_attempt_on_a_zombie_never_starts_and_is_stuck_too(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.ZOMBIE)
    first = uuid4()
    bench.executor.submit(first, graph_for(bench, first))
    bench.until(first, InProgress)
    patience = IMPATIENT[Fault.ZOMBIE]
    verdict, _ = settle(bench.executor, attempt, graph_for(bench, attempt), declared=SAVED, patience=patience)
    assert verdict.kind is VerdictKind.STUCK


def test_a_poisoned_node_fails_everything_until_its_process_is_new(bench: Bench) -> None:
    bench.script(Fault.CUDA_ERROR)
    kinds: list[VerdictKind] = []
    for round_ in range(3):
        if round_ == 2:
            bench.kill()
            bench.revive()
        attempt_id = uuid4()
        verdict, _ = settle(bench.executor, attempt_id, graph_for(bench, attempt_id, seed=round_), declared=SAVED)
        kinds.append(verdict.kind)
    assert kinds == [VerdictKind.POISONED, VerdictKind.POISONED, VerdictKind.SUCCESS]


def test_a_restarted_node_forgot_the_attempt_and_works_again(bench: Bench, attempt: UUID) -> None:
    bench.script(Fault.SLOW, seconds=0.1)
    bench.executor.submit(attempt, graph_for(bench, attempt, steps=1000))
    bench.until(attempt, InProgress)
    bench.kill()
    assert isinstance(bench.executor.look_up(attempt), Unreachable)
    bench.revive()
    assert bench.executor.look_up(attempt) == Absent()
    other = uuid4()
    verdict, _ = settle(bench.executor, other, graph_for(bench, other), declared=SAVED)
    assert verdict.kind is VerdictKind.SUCCESS


@pytest.mark.parametrize(
    ("graph", "kind"),
    [
        (scale_graph("x", size=0), VerdictKind.INVALID),
        (scale_graph("x") | {"2": node("Nope", image=["1", 0])}, VerdictKind.CAPABILITY),
        (paint_graph("x") | {"ckpt": node("CheckpointLoaderSimple", ckpt_name="absent.pt")}, VerdictKind.CAPABILITY),
    ],
)
def test_a_refused_graph_has_the_verdict_of_the_table(
    bench: Bench, attempt: UUID, graph: dict[str, Any], kind: VerdictKind
) -> None:
    verdict, _ = settle(bench.executor, attempt, graph, declared=SAVED)
    assert isinstance(verdict, Verdict)
    assert verdict.kind is kind


def test_the_same_attempt_delivered_twice_gives_the_same_picture_once(bench: Bench, attempt: UUID) -> None:
    graph = graph_for(bench, attempt)
    first = settle(bench.executor, attempt, graph, declared=SAVED)
    again = settle(bench.executor, attempt, graph, declared=SAVED)
    assert first == again
    assert not bench.scripted or bench.accepted() == [str(attempt)]
