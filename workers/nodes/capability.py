"""Whether a node can run a graph: what the graph needs of classes and models against what the node has."""

import re
from collections.abc import Iterator

from workers.nodes.port import Capabilities, Graph

_MODEL_INPUT = re.compile(r"_name\d*$")
"""Inputs that choose a file or a method that a node may lack: ckpt_name, clip_name1, sampler_name."""


def is_model_input(name: str) -> bool:
    """Tell inputs whose unknown value means that the node lacks something from those where our value is wrong."""
    return _MODEL_INPUT.search(name) is not None


def lacking(capabilities: Capabilities, graph: Graph) -> tuple[str, ...]:
    """Name the classes and models that `graph` needs and the node does not have; empty: it can run there."""
    return tuple(sorted(set(_lacking(capabilities, graph))))


def _lacking(capabilities: Capabilities, graph: Graph) -> Iterator[str]:
    for node in graph.values():
        class_type = str(node["class_type"])
        if class_type not in capabilities.classes:
            yield class_type
            continue
        for name, value in node["inputs"].items():
            known = capabilities.options.get((class_type, name))
            if known is not None and is_model_input(name) and value not in known:
                yield str(value)
