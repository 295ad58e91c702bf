"""Typed parameters into an allow-listed graph: nothing that a customer sends ever names a node, a file or an input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast
from uuid import UUID

from workers.generation.tools import Graph, Inputs, Tool

PARAMETERS = frozenset(
    {"prompt", "negative_prompt", "width", "height", "images", "seed", "checkpoint", "steps", "cfg", "prefix"}
)
"""What a tool may bind."""

REQUIRED = ("prefix", "seed", "prompt", "width", "height", "images")
"""What every tool must bind."""

ALLOWED_CLASSES = frozenset(
    {
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "KSampler",
        "VAEDecode",
        "SaveImage",
        "LoadImage",
        "ImageScaleBy",
        "ImageSharpen",
    }
)
"""Graph nodes that shipped graphs may use: none of them reads or writes outside its own attempt's files."""


def prefix_of(attempt_id: UUID) -> str:
    """File prefix of one attempt on a node: its own folder, so that a cache never answers with another's file."""
    return f"jobs/{attempt_id}/image"


def bind(tool: Tool, template: Graph, inputs: Inputs, *, seed: int, prefix: str) -> dict[str, dict[str, Any]]:
    """The graph of one attempt; ``template`` stays as it is."""
    model = tool.models[inputs.model]
    values: Mapping[str, Any] = {
        "prompt": inputs.prompt,
        "negative_prompt": inputs.negative_prompt,
        "width": inputs.width,
        "height": inputs.height,
        "images": inputs.images,
        "seed": seed,
        "checkpoint": model.checkpoint,
        "steps": model.steps[inputs.quality],
        "cfg": model.cfg,
        "prefix": prefix,
    }
    graph = copied(template)
    for parameter, places in tool.bind.items():
        for place in places:
            node_id, name = place.split(".")
            graph[node_id]["inputs"][name] = values[parameter]
    return graph


def copied(template: Graph) -> dict[str, dict[str, Any]]:
    """A graph that may be written to."""
    return {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in template.items()}


def graph_faults(graph: Graph, places: Mapping[str, tuple[str, ...]], outputs: tuple[str, ...]) -> Iterator[str]:
    """What is wrong with a template: foreign classes, dangling links, places and outputs that are not there."""
    yield from _node_faults(graph)
    for parameter, where in places.items():
        if parameter not in PARAMETERS:
            yield f"bind.{parameter}: no such parameter"
        yield from (f"bind.{parameter}: {place} is not in the graph" for place in where if not _there(graph, place))
    for node_id in outputs:
        if graph.get(node_id, {}).get("class_type") != "SaveImage":
            yield f"outputs: {node_id} saves nothing"
    yield from (f"bind.{parameter}: not bound" for parameter in REQUIRED if parameter not in places)


def _node_faults(graph: Graph) -> Iterator[str]:
    for node_id, node in graph.items():
        if "." in node_id or node["class_type"] not in ALLOWED_CLASSES:
            yield f"graph.{node_id}: not an allowed class"
        yield from (f"graph.{node_id}: a link to nowhere" for source in _sources(node) if source not in graph)


def _sources(node: Mapping[str, Any]) -> list[str]:
    """Nodes that a node takes its inputs from; a link is ``[node id, slot]``."""
    return [str(cast("list[Any]", value)[0]) for value in node["inputs"].values() if isinstance(value, list)]


def _there(graph: Graph, place: str) -> bool:
    node_id, _, name = place.partition(".")
    return name in graph.get(node_id, {}).get("inputs", {})
