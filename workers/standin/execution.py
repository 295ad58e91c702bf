"""The worker thread: runs one graph after another, tells who listens, keeps what it computed of the last graph."""

import hashlib
import io
import itertools
import json
import os
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from PIL import Image

from workers.nodes.faults import Fault
from workers.nodes.graphs import Graph, links
from workers.standin.catalogue import Catalogue
from workers.standin.folders import Folders, encode_png
from workers.standin.hub import Hub
from workers.standin.jobs import Item, PromptQueue
from workers.standin.painting import NODES

_WORKING = frozenset({"KSampler", "TextGenerate", "ImageUpscaleWithModel"})
_COLOURS = {Fault.BLACK: "black", Fault.CONSTANT: "teal"}
_CUDA_ERROR = "CUDA error: an illegal memory access was encountered (stand-in)"
_OOM = "CUDA out of memory. Tried to allocate 20.00 GiB. (stand-in)\nYou ran out of memory on your GPU."
_BLOCKED = object()
_FOR_EVER_S = 10**6


class Interrupted(Exception):
    """The running job was interrupted, or the node restarted under it."""


class OutOfMemoryError(RuntimeError):
    """What a GPU without memory raises."""


OutOfMemoryError.__module__ = "torch"


class Worker:
    """Runs the queue on a thread of its own, for ever, unless something kills the thread."""

    def __init__(self, catalogue: Catalogue, folders: Folders, hub: Hub, *, step_s: float) -> None:
        self.catalogue, self.folders, self.hub, self.step_s = catalogue, folders, hub, step_s
        self.queue = PromptQueue(self.tell_status)
        self.faults: dict[str, tuple[Fault, float]] = {}
        self.cache: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.interrupted = self.poisoned = self.must_free = False
        self.client_id: str | None = None
        self.node_id: str | None = None

    def tell_status(self) -> None:
        """Tell everybody how long the queue is."""
        self.hub.tell("status", {"status": self.queue.exec_info()}, None)

    def interrupt(self, prompt_id: str | None) -> bool:
        """Raise the flag that is read between nodes and at steps; with an id, only if that job runs."""
        with self.queue.lock:
            hit = prompt_id is None or any(item[1] == prompt_id for item in self.queue.running)
            self.interrupted = self.interrupted or hit
        return hit

    def work(self) -> None:
        """Run what is queued, for ever; what escapes a node's own guard ends this."""
        while True:
            item = self.queue.take()
            if self.must_free:
                self.must_free = False
                self.cache.clear()
            run = Run(self, item)
            run.run()
            self.queue.finish(item, run.result())
            if self.client_id is not None:
                self.hub.tell("executing", {"node": None, "prompt_id": item[1]}, self.client_id)
            self.node_id = None


class Run:
    """One job's execution, and what its nodes may do."""

    def __init__(self, worker: Worker, item: Item) -> None:
        self.worker, self.prompt_id, self.graph, self.extra, self.outputs = worker, item[1], item[2], item[3], item[4]
        self.fault, self.seconds = worker.faults.pop(item[1], (None, 0.0))
        self.node_id = ""
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.reports: dict[str, dict[str, Any]] = {}
        self.values: dict[str, tuple[Any, ...]] = {}
        self.progress: dict[str, dict[str, Any]] = {}
        self.executed: list[str] = []
        self.ok = False

    def result(self) -> dict[str, Any]:
        """Give what the history keeps besides the job itself."""
        status = {"status_str": "success" if self.ok else "error", "completed": self.ok, "messages": self.messages}
        meta = {node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
                for node in self.reports}  # fmt: skip
        return {"outputs": self.reports, "status": status, "meta": meta}

    def run(self) -> None:
        """Run the outputs and what they need, in the order in which a ComfyUI does."""
        worker = self.worker
        worker.interrupted, worker.client_id = False, self.extra.get("client_id")
        self._note("execution_start", {"prompt_id": self.prompt_id})
        target = self._target(Plan(self.graph, self.outputs, []).pending) if self.fault or worker.poisoned else None
        signatures = _signatures(self.graph, worker.folders, target)
        worker.cache = {key: worker.cache[key] for key in signatures.values() if key in worker.cache}
        cached = [node_id for node_id in self.graph if signatures[node_id] in worker.cache]
        self.values = {node_id: worker.cache[signatures[node_id]][0] for node_id in cached}
        self._note("execution_cached", {"nodes": cached, "prompt_id": self.prompt_id})
        plan = Plan(self.graph, self.outputs, cached)
        try:
            for self.node_id in plan:
                self._run_node(signatures[self.node_id], strike=self.node_id == target)
            self._strike(late=True)
        except Interrupted:
            self._note("execution_interrupted", self._where(), everybody=True)
        except Exception as error:  # noqa: BLE001 - a node may raise anything; it ends the job, not the thread
            self._note("execution_error", self._where() | self._error(error))
        else:
            self.ok = True
            self._note("execution_success", {"prompt_id": self.prompt_id})

    def _target(self, pending: Iterable[str]) -> str | None:
        """Choose the node that misbehaves: the one that works hardest, else the last before an output."""
        infos = self.worker.catalogue.classes
        kinds = {node_id: self.graph[node_id]["class_type"] for node_id in pending}
        hard = [node_id for node_id, kind in kinds.items() if kind in _WORKING]
        return next(iter(hard or [node_id for node_id, kind in kinds.items() if not infos[kind]["output_node"]]), None)

    def _run_node(self, signature: str, *, strike: bool) -> None:
        cache, node_id = self.worker.cache, self.node_id
        if signature in cache:
            self.values[node_id], report = cache[signature]
            self._report(report)
            self._progress(1, 1, "finished")
            return
        self._progress(0.0, 1.0, "running")
        self.worker.node_id = node_id
        self._tell("executing", {"node": node_id, "display_node": node_id, "prompt_id": self.prompt_id})
        self._check()
        values = self._compute(strike=strike)
        report: dict[str, Any] = dict(*(value for value in values if isinstance(value, dict)))
        self.values[node_id] = values
        self.executed.append(node_id)
        cache[signature] = (values, report)
        self._report(report)
        self._progress(self.progress[node_id]["max"], self.progress[node_id]["max"], "finished")

    def _compute(self, *, strike: bool) -> tuple[Any, ...]:
        node = self.graph[self.node_id]
        taken = {name: self.values[source][slot] for name, (source, slot) in links(node).items()}
        if strike:
            self._strike()
        if _BLOCKED in taken.values():
            reason = {"exception_message": "Execution Blocked: stand-in", "exception_type": "ExecutionBlocked"}
            nothing: dict[str, Any] = {"traceback": [], "current_inputs": [], "current_outputs": []}
            self._tell("execution_error", self._where() | reason | nothing)
        elif not (strike and self.fault is Fault.BLOCKED):
            return NODES[node["class_type"]](self, node["inputs"] | taken)
        return (_BLOCKED,) * 4

    def _strike(self, *, late: bool = False) -> None:
        """Misbehave as scripted; late: everything has run."""
        match self.fault:
            case Fault.PARTIAL if self.reports:
                raise RuntimeError("scripted failure after an output")
            case _ if late:
                return
            case Fault.EXCEPTION | Fault.OOM:
                raise OutOfMemoryError(_OOM) if self.fault is Fault.OOM else RuntimeError("scripted failure")
            case Fault.SILENT | Fault.HANG:
                time.sleep(self.seconds if self.fault is Fault.SILENT else _FOR_EVER_S)
            case Fault.ZOMBIE:
                raise SystemExit
            case Fault.KILLED:
                os._exit(137)
            case Fault.FORGOTTEN:
                self.worker.queue.forget()
                raise Interrupted
            case _:
                self.worker.poisoned = self.worker.poisoned or self.fault is Fault.CUDA_ERROR
        if self.worker.poisoned:
            raise RuntimeError(_CUDA_ERROR)

    def step(self, value: int, maximum: int, picture: Image.Image | None = None, kind: str = "JPEG") -> None:
        """Take a step's time, report it with a preview, and stop here if interrupted."""
        time.sleep(self.seconds if self.fault is Fault.SLOW else self.worker.step_s)
        self._check()
        self._progress(value, maximum, "running")
        data = {"value": value, "max": maximum, "prompt_id": self.prompt_id, "node": self.node_id}
        shows = [lambda: self._preview(picture, kind)] if picture else []
        tells = [lambda: self.worker.hub.tell("progress", data, self.worker.client_id)]
        early = self.worker.client_id in self.worker.hub.metadata
        for act in shows + tells if early else tells + shows:
            act()

    def load(self, name: str) -> Image.Image:
        """Open an input picture."""
        with Image.open(str(self.worker.folders.find_input(name))) as image:
            return image.copy()

    def save(self, kind: str, prefix: str, items: Any) -> dict[str, Any]:
        """Keep outputs, as truthfully as the script allows. There is no video coder: WebP moves."""
        store, saved = self.worker.folders.save, list[dict[str, str]]()
        texts = {"prompt": self.graph, **self.extra.get("extra_pnginfo", {})}
        if kind == "animated":
            buffer = io.BytesIO()
            items[0].save(buffer, "WEBP", save_all=True, append_images=items[1:])
            return {"images": [store(prefix, ".webp", buffer.getvalue())[1]], "animated": [True]}
        if kind == "files":
            return {"text": [items], "files": [store(prefix, ".txt", str(items).encode())[1]]}
        for item in items[: -1 if self.fault is Fault.FEWER else None]:
            flat = _COLOURS.get(self.fault) if self.fault else None
            content = encode_png(Image.new("RGB", item.size, flat) if flat else item, texts)
            path, entry = store(prefix, "_.png", content)
            if self.fault in {Fault.EMPTY_FILE, Fault.CORRUPT}:
                path.write_bytes(content[: len(content) // 2] if self.fault is Fault.CORRUPT else b"")
            if self.fault is Fault.LOST_FILE:
                path.unlink()
            saved.append(entry)
        return {kind: saved}

    def _check(self) -> None:
        if self.worker.interrupted and self.fault is not Fault.DEAF:
            raise Interrupted

    def _where(self) -> dict[str, Any]:
        place = {"prompt_id": self.prompt_id, "node_id": self.node_id, "executed": list(self.executed)}
        return {**place, "node_type": self.graph[self.node_id]["class_type"]}

    def _error(self, error: Exception) -> dict[str, Any]:
        kind, trace = type(error), traceback.format_tb(error.__traceback__)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
        inputs = {key: [str(value)] for key, value in self.graph[self.node_id]["inputs"].items()}
        text = {"exception_message": f"{error}\n", "exception_type": name, "traceback": trace}
        return {**text, "current_inputs": inputs, "current_outputs": list(self.values)}

    def _note(self, event: str, data: dict[str, Any], *, everybody: bool = False) -> None:
        data = {**data, "timestamp": int(time.time() * 1000)}
        self.messages.append((event, data))
        self._tell(event, data, everybody=everybody)

    def _tell(self, event: str, data: dict[str, Any], *, everybody: bool = False) -> None:
        if self.worker.client_id is not None or everybody:
            self.worker.hub.tell(event, data, self.worker.client_id)

    def _report(self, report: dict[str, Any]) -> None:
        if report:
            self.reports[self.node_id] = report
            data = {"node": self.node_id, "display_node": self.node_id, "output": report, "prompt_id": self.prompt_id}
            self._tell("executed", data)

    def _names(self) -> dict[str, Any]:
        ids = {"node_id": self.node_id, "display_node_id": self.node_id, "real_node_id": self.node_id}
        return {**ids, "prompt_id": self.prompt_id, "parent_node_id": None}

    def _progress(self, value: float, maximum: float, state: str) -> None:
        self.progress[self.node_id] = {"value": value, "max": maximum, "state": state, **self._names()}
        data = {"prompt_id": self.prompt_id, "nodes": dict(self.progress)}
        self.worker.hub.tell("progress_state", data, self.worker.client_id)

    def _preview(self, picture: Image.Image, kind: str) -> None:
        buffer = io.BytesIO()
        picture.save(buffer, kind)
        metadata = {**self._names(), "image_type": f"image/{kind.lower()}"}
        self.worker.hub.show(buffer.getvalue(), metadata, self.worker.client_id)


class Plan:
    """What is to run, and what of it may run now."""

    def __init__(self, graph: Graph, outputs: list[str], cached: list[str]) -> None:
        self.pending: dict[str, set[str]] = {}
        self._outputs = set(outputs)
        stack = outputs[::-1]
        while stack:
            node = stack.pop()
            if node not in self.pending:
                sources = [] if node in cached else [source for source, _ in links(graph[node]).values()]
                needs = [source for source in sources if source not in cached]
                self.pending[node] = set(needs)
                stack += needs

    def __iter__(self) -> Iterator[str]:
        """Give what runs next: an output, else what an output waits for, else what that waits for, else the first."""
        while self.pending:
            ready = [node for node, needs in self.pending.items() if not needs]
            near = [self._outputs]
            for _ in range(2):
                near.append(set(itertools.chain.from_iterable(self.pending.get(node, ()) for node in near[-1])))
            chosen = next((node for layer in near for node in ready if node in layer), ready[0])
            yield chosen
            del self.pending[chosen]
            for needs in self.pending.values():
                needs.discard(chosen)


def _signatures(graph: Graph, folders: Folders, target: str | None) -> Mapping[str, str]:
    """Name what each node computes: class, values, names of what it takes, bytes that it loads; a target is unique."""
    known: dict[str, str] = {}

    def sign(node_id: str) -> str:
        if node_id not in known:
            kind, inputs = graph[node_id]["class_type"], graph[node_id]["inputs"]
            sources = {name: (sign(source), slot) for name, (source, slot) in links(graph[node_id]).items()}
            path = folders.find_input(inputs["image"]) if kind in {"LoadImage", "LoadImageMask"} else None
            once = time.monotonic_ns() if kind == "SaveImageWebsocket" or node_id == target else None
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path else None
            parts = json.dumps([kind, inputs | sources, content, once], sort_keys=True)
            known[node_id] = hashlib.sha256(parts.encode()).hexdigest()
        return known[node_id]

    return {node_id: sign(node_id) for node_id in graph}
