"""ComfyUI's answers as data, and their translation into the port's words. Pure.

Observed on ComfyUI 0.33.0. Fields that we do not use are ignored, so that a later version may add some; a field that we
need and that is missing makes the answer unusable, which is an unknown, not an outcome.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

import msgspec

from workers.nodes.capability import is_model_input
from workers.nodes.limits import REASON_CHARS_MAX
from workers.nodes.port import (
    Cancelled,
    Capabilities,
    Completed,
    Failed,
    InProgress,
    InputError,
    JobState,
    NodeError,
    OutputFile,
    OutputText,
    Pending,
    Refusal,
    Rejected,
    Unreachable,
)

T = TypeVar("T")
"""What an answer is read as."""
_UNLISTED = "value_not_in_list"
_CLASS_MISSING = "missing_node_type"


class Problem(msgspec.Struct, frozen=True):
    """One error of a refused graph."""

    type: str
    message: str
    details: str = ""
    extra_info: dict[str, Any] = {}


class NodeProblems(msgspec.Struct, frozen=True):
    """What is wrong with one node of a graph."""

    errors: tuple[Problem, ...]
    class_type: str | None = None


class Accepted(msgspec.Struct, frozen=True):
    """The 200 to a POST; outputs named in `node_errors` will silently not run."""

    prompt_id: str
    node_errors: dict[str, NodeProblems]


class Refused(msgspec.Struct, frozen=True):
    """The 400 to a POST."""

    error: Problem
    node_errors: dict[str, NodeProblems] = {}


class ExecutionError(msgspec.Struct, frozen=True):
    """What a node of the graph raised."""

    node_id: str
    node_type: str
    exception_type: str
    exception_message: str


class Job(msgspec.Struct, frozen=True):
    """GET /api/jobs/{id}."""

    status: str
    outputs: dict[str, dict[str, Any]] = {}
    execution_error: ExecutionError | None = None


class JobUnknown(msgspec.Struct, frozen=True):
    """The 404 to GET /api/jobs/{id}."""

    error: str


class CancelReply(msgspec.Struct, frozen=True):
    """POST /api/jobs/{id}/cancel."""

    cancelled: bool


class UploadReply(msgspec.Struct, frozen=True):
    """POST /upload/image."""

    name: str
    subfolder: str = ""


class System(msgspec.Struct, frozen=True):
    """Part of GET /system_stats."""

    comfyui_version: str


class Device(msgspec.Struct, frozen=True):
    """Part of GET /system_stats; bytes."""

    name: str
    vram_total: int
    vram_free: int


class SystemStats(msgspec.Struct, frozen=True):
    """GET /system_stats."""

    system: System
    devices: tuple[Device, ...]


class ExecInfo(msgspec.Struct, frozen=True):
    """Part of GET /prompt."""

    queue_remaining: int


class QueueLength(msgspec.Struct, frozen=True):
    """GET /prompt."""

    exec_info: ExecInfo


class NodeClass(msgspec.Struct, frozen=True):
    """One class in GET /object_info: section -> input -> [type or list, options]."""

    input: dict[str, Any]


def parse(body: bytes | str, into: type[T]) -> T | None:
    """Read JSON as a server of Python's writes it (NaN included); None if it is not what was expected."""
    try:
        return msgspec.convert(json.loads(body), into)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def clip(text: str) -> str:
    """Bound a text that is not ours."""
    return text if len(text) <= REASON_CHARS_MAX else text[:REASON_CHARS_MAX] + "…"


def job_state(job: Job) -> JobState:
    """Say what a node's own words for a job's state mean."""
    match job.status:
        case "pending":
            return Pending()
        case "in_progress":
            return InProgress()
        case "completed":
            return Completed(outputs=tuple(_files(job.outputs)), texts=tuple(_texts(job.outputs)))
        case "cancelled":
            return Cancelled()
        case "failed":
            return Failed(error=_node_error(job.execution_error), outputs=tuple(_files(job.outputs)))
        case _:
            return Unreachable(reason=clip(f"unknown job state {job.status}"))


def _node_error(error: ExecutionError | None) -> NodeError:
    if error is None:
        return NodeError(node_id="", node_type="", exception_type="", message="failed without an error")
    return NodeError(
        node_id=error.node_id,
        node_type=error.node_type,
        exception_type=clip(error.exception_type),
        message=clip(error.exception_message),
    )


def _files(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[OutputFile]:
    """Find files in every list of every output node, whatever the list is called: images, audio, files, 3d."""
    for node_id, kind, item in _items(outputs):
        match item:
            case {"filename": str(filename)}:
                named = cast("dict[str, Any]", item)
                yield OutputFile(
                    node_id=node_id,
                    kind=kind,
                    filename=filename,
                    subfolder=str(named.get("subfolder", "")),
                    type=str(named.get("type", "output")),
                )
            case _:
                continue


def _texts(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[OutputText]:
    for node_id, kind, item in _items(outputs):
        if kind == "text" and isinstance(item, str):
            yield OutputText(node_id=node_id, text=item)


def _items(outputs: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, object]]:
    for node_id, kinds in outputs.items():
        for kind, items in kinds.items():
            if isinstance(items, list):
                yield from ((node_id, kind, item) for item in cast("list[object]", items))


def rejection(problem: Problem, node_errors: Mapping[str, NodeProblems]) -> Rejected:
    """Tell a graph that is wrong from a node that lacks what the graph needs."""
    errors = tuple(_input_errors(node_errors))
    lacks = tuple(_lacks(problem, node_errors))
    only_lacks = bool(lacks) and all(error.type == _UNLISTED and is_model_input(error.input_name) for error in errors)
    return Rejected(
        refusal=Refusal.CAPABILITY if only_lacks else Refusal.INVALID,
        type=problem.type,
        message=clip(problem.message),
        lacks=lacks,
        errors=errors,
    )


def _input_errors(node_errors: Mapping[str, NodeProblems]) -> Iterator[InputError]:
    for node_id, problems in node_errors.items():
        for problem in problems.errors:
            yield InputError(
                node_id=node_id,
                class_type=problems.class_type or "",
                type=problem.type,
                input_name=str(problem.extra_info.get("input_name", "")),
                details=clip(problem.details),
            )


def _lacks(problem: Problem, node_errors: Mapping[str, NodeProblems]) -> Iterator[str]:
    if problem.type == _CLASS_MISSING:
        yield clip(str(problem.extra_info.get("class_type")))
    for problems in node_errors.values():
        for error in problems.errors:
            if error.type == _UNLISTED and is_model_input(str(error.extra_info.get("input_name"))):
                yield clip(str(error.extra_info.get("received_value")))


def capabilities(classes: Mapping[str, NodeClass]) -> Capabilities:
    """Keep what routing needs of a node's list of classes."""
    return Capabilities(classes=frozenset(classes), options=dict(_options(classes)))


def _options(classes: Mapping[str, NodeClass]) -> Iterator[tuple[tuple[str, str], frozenset[str]]]:
    for name, node_class in classes.items():
        for section in ("required", "optional"):
            specs: dict[str, Any] = node_class.input.get(section) or {}
            for input_name, spec in specs.items():
                if (choices := _choices(spec)) is not None:
                    yield (name, input_name), frozenset(choices)


def _choices(spec: Any) -> list[str] | None:
    """Read an input's fixed list, in the older form [[a, b], …] or the newer ["COMBO", {"options": [a, b]}]."""
    match spec:
        case [list(), *_]:
            values: list[object] = spec[0]
        case ["COMBO", {"options": list()}, *_]:
            values = spec[1]["options"]
        case _:
            return None
    return [str(value) for value in values]
