"""The twin of a node in memory: the same words as a real one, the same misbehaviours, no process and no socket.

Nothing happens in it by itself: what would have happened by now is worked out when it is asked, from the clock it was
given. So it serves tests, and a simulation on one thread.
"""

import hashlib
import io
import json
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from typing import Any
from uuid import UUID

from PIL import Image

from ledger.ports import Clock
from workers.nodes.faults import Fault
from workers.nodes.graphs import NodeInfo, Problem, validate
from workers.nodes.limits import QUIET_MIN_S, TRANSFER_LIMIT_S, UPLOAD_BYTES_MAX
from workers.nodes.port import (
    Absent,
    CancelAsked,
    Cancelled,
    Capabilities,
    Completed,
    Done,
    Dropped,
    Ended,
    Failed,
    Fetch,
    Fetched,
    FileMissing,
    Graph,
    Healthy,
    InProgress,
    JobState,
    Live,
    NodeError,
    OutputFile,
    OutputText,
    Pending,
    Preview,
    Progress,
    Quiet,
    Submission,
    Submitted,
    TooLarge,
    Unknown,
    Unreachable,
    Upload,
    Uploaded,
)
from workers.nodes.wire import NodeClass, NodeProblems, capabilities, parse, rejection
from workers.nodes.wire import Problem as WireProblem

_DOWN = Unreachable(reason="ConnectError")
_ERRORS = {
    Fault.OOM: ("torch.OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB."),
    Fault.CUDA_ERROR: ("RuntimeError", "CUDA error: an illegal memory access was encountered"),
    Fault.EXCEPTION: ("RuntimeError", "scripted failure"),
    Fault.PARTIAL: ("RuntimeError", "scripted failure after the first output"),
}
_ENDLESS = frozenset({Fault.HANG, Fault.ZOMBIE})


class _Job:
    """One accepted attempt and what is known of its course."""

    def __init__(self, attempt_id: UUID, graph: Graph, fault: Fault | None, seconds: float) -> None:
        self.attempt_id, self.graph, self.fault, self.seconds = attempt_id, graph, fault, seconds
        self.started_s = self.stopped_s = inf
        self.end: Completed | Failed | Cancelled | None = None

    @property
    def steps(self) -> int:
        """Count the steps that the graph's sampler would take; 1 without one."""
        return max((int(node["inputs"].get("steps", 1)) for node in self.graph.values()), default=1)


class MemoryNode:
    """One node. `classes` is what it offers, as in /object_info; `wait` lets time pass for who watches."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock,
        wait: Callable[[float], None],
        classes: Mapping[str, NodeInfo],
        step_s: float = 0.02,
    ) -> None:
        self.name = name
        self.accepted: list[UUID] = []
        self._clock, self._wait, self._classes, self._step_s = clock, wait, classes, step_s
        self._scripts: deque[tuple[UUID | None, Fault, float]] = deque()
        self._jobs: dict[UUID, _Job] = {}
        self._queue: deque[_Job] = deque()
        self._running: _Job | None = None
        self._files: dict[tuple[str, str], bytes] = {}
        self._uploads: set[str] = set()
        self._dead = self._zombie = self._poisoned = False
        self._lock = threading.RLock()

    # --- what only tests do

    def script(self, fault: Fault, *, attempt_id: UUID | None = None, seconds: float = 0) -> None:
        """Misbehave once: for this attempt, or for the next one accepted."""
        self._scripts.append((attempt_id, fault, seconds))

    def restart(self) -> None:
        """Do as a new process does: it answers, has its files, and knows no job."""
        self._dead = self._zombie = self._poisoned = False
        self._forget()

    def kill(self) -> None:
        """Stop answering."""
        self._dead = True

    # --- jobs

    def submit(self, attempt_id: UUID, graph: Graph) -> Submission:
        """Accept the graph under the attempt's id, unless it is known."""
        with self._lock:
            state = self.look_up(attempt_id)
            if isinstance(state, Unreachable):
                return Unknown(reason=state.reason, sent=False)
            return self._post(attempt_id, graph) if isinstance(state, Absent) else Submitted(attached=True)

    def _post(self, attempt_id: UUID, graph: Graph) -> Submission:
        copied = json.loads(json.dumps(graph))
        error, node_errors, _ = validate(copied, self._classes, self._uploads.__contains__)
        if error is not None or node_errors:
            problem = error or {"type": "partially_valid", "message": "some outputs would not run"}
            return rejection(_problem(problem), _node_problems(node_errors))
        return self._accept(attempt_id, copied)

    def _accept(self, attempt_id: UUID, graph: Graph) -> Submission:
        fault, seconds = self._take_script(attempt_id)
        if fault is not Fault.REFUSED_500:
            job = _Job(attempt_id, graph, fault, seconds)
            self.accepted.append(attempt_id)
            self._jobs[attempt_id] = job
            self._queue.append(job)
            self._advance()
        if fault in {Fault.REFUSED_500, Fault.QUEUED_500}:
            return Unknown(reason="HTTP 500", sent=True)
        if fault is Fault.LATE_ANSWER and seconds >= TRANSFER_LIMIT_S:
            return Unknown(reason="ReadTimeout", sent=True)
        return Submitted(attached=False)

    def _take_script(self, attempt_id: UUID) -> tuple[Fault | None, float]:
        for script in self._scripts:
            if script[0] in {None, attempt_id}:
                self._scripts.remove(script)
                return script[1:]
        return None, 0.0

    def look_up(self, attempt_id: UUID) -> JobState:
        """Say what the node would say now."""
        self._advance()
        job = self._jobs.get(attempt_id)
        if self._dead:
            return _DOWN
        if job is None:
            return Absent()
        return job.end or (InProgress() if job is self._running else Pending())

    def cancel(self, attempt_id: UUID) -> CancelAsked | Unreachable:
        """Dequeue or interrupt; acknowledged is no promise."""
        with self._lock:
            return self._cancel(attempt_id)

    def _cancel(self, attempt_id: UUID) -> CancelAsked | Unreachable:
        self._advance()
        job = self._jobs.get(attempt_id)
        if self._dead:
            return _DOWN
        if job is None or job.end is not None:
            return CancelAsked(acknowledged=False)
        if job in self._queue:
            self._queue.remove(job)
            del self._jobs[attempt_id]
        job.stopped_s = min(job.stopped_s, self._clock.monotonic_s())
        return CancelAsked(acknowledged=True)

    def interrupt(self, attempt_id: UUID) -> Done | Unreachable:
        """Interrupt the attempt if it is the one that runs."""
        self._advance()
        if self._running is not None and self._running.attempt_id == attempt_id:
            self.cancel(attempt_id)
        return _DOWN if self._dead else Done()

    def free(self) -> Done | Unreachable:
        """Answer."""
        self._advance()
        return _DOWN if self._dead else Done()

    # --- files and facts

    def fetch(self, file: OutputFile, *, bytes_max: int) -> Fetch:
        """Give a file's bytes."""
        if self._dead:
            return _DOWN
        content = self._files.get((file.subfolder, file.filename), b"")
        if not content:
            return FileMissing(reason="HTTP 404")
        return (
            Fetched(content=content, mime="image/png") if len(content) <= bytes_max else TooLarge(bytes_max=bytes_max)
        )

    def upload(self, name: str, content: bytes) -> Upload:
        """Keep a name; the pictures of this node do not look at their inputs."""
        if self._dead:
            return _DOWN
        if len(content) > UPLOAD_BYTES_MAX:
            return TooLarge(bytes_max=UPLOAD_BYTES_MAX)
        self._uploads.add(name)
        return Uploaded(name=name)

    def capabilities(self) -> Capabilities | Unreachable:
        """Say what the node has."""
        classes = parse(json.dumps(dict(self._classes)), dict[str, NodeClass])
        assert classes is not None
        return _DOWN if self._dead else capabilities(classes)

    def health(self) -> Healthy | Unreachable:
        """Say how the node is; memory is invented."""
        self._advance()
        remaining = len(self._queue) + (self._running is not None)
        healthy = Healthy(
            version="memory", device=self.name, vram_total_bytes=1, vram_free_bytes=1, queue_remaining=remaining
        )
        return _DOWN if self._dead else healthy

    @contextmanager
    def watch(self, attempt_id: UUID, *, quiet_s: float) -> Generator[Iterator[Live]]:
        """Open the attempt's stream; see `Executor.watch`."""
        yield self._events(attempt_id, max(quiet_s, QUIET_MIN_S))

    def _events(self, attempt_id: UUID, quiet_s: float) -> Iterator[Live]:
        told, heard_s = 0, self._clock.monotonic_s()
        while not self._dead:
            state = self.look_up(attempt_id)
            job = self._jobs.get(attempt_id)
            done = self._steps_done(job) if job else 0
            if done > told and job:
                told, heard_s = done, self._clock.monotonic_s()
                yield Progress(node_id="sampler", value=done, maximum=job.steps, nodes_done=0)
                yield Preview(mime="image/png", content=_paint(job.graph, done))
            elif isinstance(state, Completed | Failed | Cancelled):
                yield Ended()
                return
            else:
                self._wait(min(quiet_s, max(self._step_s, QUIET_MIN_S)))
                if self._clock.monotonic_s() - heard_s >= quiet_s:
                    heard_s = self._clock.monotonic_s()
                    yield Quiet()
        yield Dropped(reason="ConnectionClosedError")

    # --- what would have happened by now

    def _steps_done(self, job: _Job) -> int:
        if job.fault in {Fault.HANG, Fault.ZOMBIE, Fault.SILENT} or job.started_s is inf:
            return job.steps if isinstance(job.end, Completed) else 0
        step_s = job.seconds if job.fault is Fault.SLOW else self._step_s
        elapsed_s = min(self._clock.monotonic_s(), job.stopped_s) - job.started_s
        return max(0, min(job.steps, int(elapsed_s / step_s))) if step_s else job.steps

    def _ends_s(self, job: _Job) -> float:
        """Say when a running job ends, cancelled or not."""
        if job.fault in _ENDLESS or self._zombie:
            return inf
        work_s = job.steps * (job.seconds if job.fault is Fault.SLOW else self._step_s)
        if job.fault is Fault.SILENT:
            return job.started_s + job.seconds + (0 if self._stopped(job) else work_s)
        return min(job.started_s + work_s, job.stopped_s if self._stopped(job) else inf)

    def _stopped(self, job: _Job) -> bool:
        return job.stopped_s < inf and job.fault is not Fault.DEAF

    def _advance(self) -> None:
        with self._lock:
            self._catch_up()

    def _catch_up(self) -> None:
        now_s = self._clock.monotonic_s()
        free_s = now_s
        while not self._dead:
            if self._running is None and self._queue and not self._zombie:
                self._running = self._queue.popleft()
                self._running.started_s = free_s
            job = self._running
            if job is None or self._strike(job) or self._ends_s(job) > now_s:
                return
            free_s = self._ends_s(job)
            job.end = self._end(job)
            self._running = None

    def _strike(self, job: _Job) -> bool:
        """Let a job's fault take the whole node down; true: there is nothing more to work out."""
        if job.fault is Fault.KILLED:
            self._dead = True
        elif job.fault is Fault.FORGOTTEN:
            self._forget()
        elif job.fault is Fault.ZOMBIE:
            self._zombie = True
        return job.fault in {Fault.KILLED, Fault.FORGOTTEN}

    def _forget(self) -> None:
        self._jobs.clear()
        self._queue.clear()
        self._running = None

    def _end(self, job: _Job) -> Completed | Failed | Cancelled:
        if self._stopped(job):
            return Cancelled()
        self._poisoned = self._poisoned or job.fault is Fault.CUDA_ERROR
        fault = Fault.CUDA_ERROR if self._poisoned else job.fault
        if fault is not None and fault in _ERRORS:
            exception_type, message = _ERRORS[fault]
            error = NodeError(node_id="?", node_type="?", exception_type=exception_type, message=message)
            saved = self._save(job)[:1] if fault is Fault.PARTIAL else ()
            return Failed(error=error, outputs=saved)
        outputs = () if fault is Fault.BLOCKED else self._save(job)
        texts = () if fault is Fault.BLOCKED else tuple(_texts(job.graph))
        return Completed(outputs=outputs, texts=texts)

    def _save(self, job: _Job) -> tuple[OutputFile, ...]:
        batch = max((int(node["inputs"].get("batch_size", 1)) for node in job.graph.values()), default=1)
        batch -= job.fault is Fault.FEWER
        files: list[OutputFile] = []
        for node_id in (key for key, node in job.graph.items() if node["class_type"] == "SaveImage"):
            folder, _, stem = str(job.graph[node_id]["inputs"]["filename_prefix"]).rpartition("/")
            for index in range(batch):
                filename = f"{stem}_{index + 1:05}_.png"
                self._files[folder, filename] = _content(job, index)
                item = OutputFile(node_id=node_id, kind="images", filename=filename, subfolder=folder, type="output")
                files.append(item)
        return tuple(files)


def _texts(graph: Graph) -> Iterator[OutputText]:
    for node_id, node in graph.items():
        if node["class_type"] == "SaveText":
            yield OutputText(node_id=node_id, text="STAND-IN: nothing was looked at")


def _content(job: _Job, index: int) -> bytes:
    if job.fault in {Fault.LOST_FILE, Fault.EMPTY_FILE}:
        return b""
    if job.fault in {Fault.BLACK, Fault.CONSTANT}:
        return _png(Image.new("RGB", (64, 64), "black" if job.fault is Fault.BLACK else "teal"))
    content = _paint(job.graph, index)
    return content[: len(content) // 2] if job.fault is Fault.CORRUPT else content


def _paint(graph: Graph, index: int) -> bytes:
    """Make a picture that the graph and the place in the batch alone decide."""
    dice = hashlib.sha256(json.dumps([graph, index], sort_keys=True).encode()).digest()
    return _png(Image.frombytes("L", (8, 4), dice).resize((64, 64)).convert("RGB"))  # pyright: ignore[reportUnknownMemberType] # numpy's union


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _problem(problem: Problem) -> WireProblem:
    extra: dict[str, Any] = problem.get("extra_info", {})
    return WireProblem(problem["type"], problem["message"], problem.get("details", ""), extra)


def _node_problems(node_errors: Mapping[str, Any]) -> dict[str, NodeProblems]:
    return {
        node_id: NodeProblems(tuple(_problem(error) for error in entry["errors"]), entry["class_type"])
        for node_id, entry in node_errors.items()
    }
