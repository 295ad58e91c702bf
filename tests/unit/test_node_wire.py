"""What a node's frames and files mean to one attempt, and what of them is somebody else's."""

from __future__ import annotations

import json
import struct
from typing import Any
from unittest.mock import create_autospec

import pytest

from tests.support.nodes import picture
from workers.nodes.capability import is_model_input, lacking
from workers.nodes.collect import collect, delivered
from workers.nodes.listen import _Reader
from workers.nodes.port import (
    Capabilities,
    Completed,
    Ended,
    Executor,
    Fetched,
    FileMissing,
    OutputFile,
    Preview,
    Progress,
    TooLarge,
    Unreachable,
)
from workers.outputs import OutputFault, OutputRefused, OutputRules

MINE, OTHER = "48f60702-7ae6-4263-9cbd-dc4a73337715", "9bb2ca07-aae9-4cf0-87fa-3f636a6643a5"
RULES = OutputRules(count=1)


def frame(kind: str, prompt_id: str = MINE, **data: Any) -> str:
    return json.dumps({"type": kind, "data": {"prompt_id": prompt_id, **data}})


def state(*finished: str) -> dict[str, Any]:
    return {node: {"value": 1, "max": 1, "state": "finished"} for node in finished}


def preview(prompt_id: str, *, event: int = 4) -> bytes:
    metadata = json.dumps({"prompt_id": prompt_id, "image_type": "image/jpeg"}).encode()
    return struct.pack(">II", event, len(metadata)) + metadata + b"picture"


def test_steps_are_told_with_the_number_of_nodes_that_have_finished() -> None:
    reader = _Reader(MINE)
    assert reader.read_text(frame("progress_state", nodes=state("1", "2"))) == Progress(
        node_id="2", value=1, maximum=1, nodes_done=2
    )
    assert reader.read_text(frame("progress_state", nodes=state("1", "2"))) is None
    assert reader.read_text(frame("progress", node="3", value=2, max=4)) == Progress(
        node_id="3", value=2, maximum=4, nodes_done=2
    )
    assert reader.read_text(frame("executing", node=None)) == Ended()


def test_what_is_told_of_other_attempts_is_not_heard() -> None:
    reader = _Reader(MINE)
    assert reader.read_text(frame("progress", OTHER, node="3", value=2, max=4)) is None
    assert reader.read_text(frame("progress_state", OTHER, nodes=state("1"))) is None
    assert reader.read_text(frame("executing", OTHER, node=None)) is None
    assert reader.read_binary(preview(OTHER)) is None
    assert reader.read_binary(preview(MINE)) == Preview(mime="image/jpeg", content=b"picture")


def test_an_error_heard_is_not_the_end_because_some_are_not() -> None:
    reader = _Reader(MINE)
    assert reader.read_text(frame("execution_error", node_id="3", exception_type="ExecutionBlocked")) is None
    assert reader.read_text(frame("execution_success")) is None


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", "\ud800", frame("progress"), frame("progress_state"), frame("progress_state", nodes=3)],
)
def test_frames_that_say_nothing_usable_are_dropped(text: str) -> None:
    assert _Reader(MINE).read_text(text) is None


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\4", preview(MINE, event=1), preview(MINE)[:20], struct.pack(">II", 4, 2**31)]
)
def test_pictures_without_metadata_or_cut_are_dropped(data: bytes) -> None:
    assert _Reader(MINE).read_binary(data) is None


def file(node_id: str, filename: str = "a.png", kind: str = "output") -> OutputFile:
    return OutputFile(node_id=node_id, kind="images", filename=filename, subfolder="", type=kind)


def executor(answer: object) -> Any:
    twin = create_autospec(Executor, instance=True)
    twin.fetch.return_value = answer
    return twin


def test_only_what_declared_outputs_kept_is_delivered() -> None:
    completed = Completed(outputs=(file("save"), file("preview"), file("save", kind="temp")))
    assert delivered(completed, frozenset({"save"})) == (file("save"),)


def test_the_right_number_from_the_wrong_output_is_not_right() -> None:
    good = executor(Fetched(content=picture(), mime="image/png"))
    completed = Completed(outputs=(file("a"), file("a", "b.png")))
    refused = collect(good, completed, {"a": 1, "b": 1}, RULES)
    assert isinstance(refused, OutputRefused)
    assert refused.fault is OutputFault.TOO_MANY
    missing = collect(good, Completed(outputs=(file("a"),)), {"a": 1, "b": 1}, RULES)
    assert isinstance(missing, OutputRefused)
    assert (missing.fault, missing.detail) == (OutputFault.TOO_FEW, "0 of 1 from b")


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (FileMissing(reason="HTTP 404"), OutputFault.MISSING),
        (TooLarge(bytes_max=5), OutputFault.TOO_LARGE),
        (Fetched(content=b"x", mime="image/png"), OutputFault.UNREADABLE),
    ],
)
def test_each_way_to_lack_a_file_is_told(answer: object, fault: OutputFault) -> None:
    refused = collect(executor(answer), Completed(outputs=(file("a"),)), {"a": 1}, RULES)
    assert isinstance(refused, OutputRefused)
    assert refused.fault is fault


def test_a_node_that_goes_away_while_files_are_fetched_is_no_fault_of_the_files() -> None:
    gone = Unreachable(reason="ReadError")
    assert collect(executor(gone), Completed(outputs=(file("a"),)), {"a": 1}, RULES) == gone


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ckpt_name", True), ("clip_name2", True), ("sampler_name", True), ("upscale_method", False), ("names", False)],
)
def test_inputs_that_choose_a_file_or_method_are_told_from_plain_values(name: str, expected: bool) -> None:
    assert is_model_input(name) is expected


def test_a_wrong_plain_value_is_no_lack_of_the_node() -> None:
    options = {("ImageScale", "upscale_method"): frozenset({"area"}), ("VAELoader", "vae_name"): frozenset({"a.pt"})}
    node = Capabilities(classes=frozenset({"ImageScale", "VAELoader"}), options=options)
    graph = {
        "1": {"class_type": "ImageScale", "inputs": {"upscale_method": "magic"}},
        "2": {"class_type": "VAELoader", "inputs": {"vae_name": "b.pt"}},
        "3": {"class_type": "Other", "inputs": {}},
    }
    assert lacking(node, graph) == ("Other", "b.pt")
