"""Whether a node would take a graph, from what the node says of its classes (/object_info): pure, no node needed.

The checks and the shape of the complaints are those of ComfyUI 0.33.0's POST /prompt, so that a stored graph can be
checked against a node version before any job, and so that the stand-in node refuses what a real one refuses.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

NodeInfo: TypeAlias = dict[str, Any]
"""One class of /object_info."""
Classes: TypeAlias = Mapping[str, NodeInfo]
Problem: TypeAlias = dict[str, Any]
Graph: TypeAlias = dict[str, dict[str, Any]]
Verdict: TypeAlias = tuple[Problem | None, dict[str, Any], list[str]]
"""A complaint about the whole, complaints by node, and the outputs that may run."""
PARTS = ("required", "optional")
_LISTED_MAX = 20
_LINK_PARTS = 2
_DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


def problem(kind: str, message: str, details: str = "", **extra: Any) -> Problem:
    """Write one complaint."""
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def inputs_of(info: NodeInfo, part: str) -> dict[str, list[Any]]:
    """Give a class's inputs: name -> [type or list of choices, options]."""
    return info["input"].get(part) or {}


def links(node: dict[str, Any]) -> dict[str, tuple[str, int]]:
    """List a node's links: input -> (node, slot)."""
    inputs: dict[str, Any] = node.get("inputs", {})
    lists = {name: cast("list[Any]", value) for name, value in inputs.items() if isinstance(value, list)}
    return {name: (link[0], link[1]) for name, link in lists.items() if len(link) == _LINK_PARTS}


def validate(graph: Graph, classes: Classes, image_exists: Callable[[str], bool]) -> Verdict:
    """Check a graph; values are converted in place, as a node does.

    Raises TypeError or AttributeError on what is no graph at all; a node answers that with 500.
    """
    outputs: list[str] = []
    for node_id, node in graph.items():
        info = classes.get(node.get("class_type", ""))
        if info is None:
            return _missing_class(node_id, node), {}, []
        outputs += [node_id] if info["output_node"] else []
    if not outputs:
        return problem("prompt_no_outputs", "Prompt has no outputs"), {}, []
    return _Checker(graph, classes, image_exists).check(outputs)


def _missing_class(node_id: str, node: dict[str, Any]) -> Problem:
    kind: Any = node.get("class_type")
    title = node.get("_meta", {}).get("title") or kind
    text = f"Node '{title}' not found. The custom node may not be installed."
    if "class_type" not in node:
        text = f"Node 'ID #{node_id}' has no class_type. The workflow may be corrupted or a custom node is missing."
    where = f"Node ID '#{node_id}'"
    return problem("missing_node_type", text, where, node_id=node_id, class_type=kind, node_title=title)


@dataclass
class _Checker:
    graph: Graph
    classes: Classes
    image_exists: Callable[[str], bool]
    seen: dict[str, list[Problem]] = field(default_factory=dict[str, list[Problem]])
    path: list[str] = field(default_factory=list[str])

    def check(self, outputs: list[str]) -> Verdict:
        bad = {output: self._check_output(output) for output in outputs}
        good = [output for output in outputs if not bad[output]]
        node_errors: dict[str, Any] = {}
        for output in outputs:
            for node_id in bad[output]:
                kind = self.graph[node_id]["class_type"]
                entry = {"errors": self.seen[node_id], "dependent_outputs": [], "class_type": kind}
                node_errors.setdefault(node_id, entry)["dependent_outputs"].append(output)
        if good:
            return None, node_errors, good
        details = [f"{error['message']}: {error['details']}" for output in outputs for error in self.seen[output]]
        text = "Prompt outputs failed validation"
        return problem("prompt_outputs_failed_validation", text, "\n".join(details)), node_errors, []

    def _check_output(self, output: str) -> list[str]:
        try:
            self._check_node(output)
        except Exception as error:  # noqa: BLE001 - whatever a malformed link makes of the checks is a complaint
            facts = {"exception_type": type(error).__name__, "traceback": traceback.format_tb(error.__traceback__)}
            text = "Exception when validating node"
            self.seen[output] = [problem("exception_during_validation", text, str(error), **facts)]
            self.path.clear()
        return [node_id for node_id in self._upstream(output, set()) if self.seen.get(node_id)]

    def _upstream(self, node_id: str, visited: set[str]) -> Iterator[str]:
        if node_id not in visited and node_id in self.graph:
            visited.add(node_id)
            for source, _slot in links(self.graph[node_id]).values():
                yield from self._upstream(source, visited)
            yield node_id

    def _info(self, node_id: str) -> NodeInfo:
        return self.classes[self.graph[node_id]["class_type"]]

    def _check_node(self, node_id: str) -> None:
        if node_id in self.path:
            self._note_cycle(self.path[self.path.index(node_id) :])
        if node_id in self.seen:
            return
        self.path.append(node_id)
        errors: list[Problem] = []
        inputs = self.graph[node_id]["inputs"]
        for name, spec, required in _specs(self._info(node_id), inputs):
            if name in inputs:
                errors += self._check_value(node_id, name, spec)
            elif required:
                text, short = "Required input is missing", name.rsplit(".", maxsplit=1)[-1]
                errors.append(problem("required_input_missing", text, short, input_name=name))
        self.path.pop()
        self.seen.setdefault(node_id, errors)

    def _note_cycle(self, nodes: list[str]) -> None:
        details = " -> ".join(f"{at} ({self.graph[at]['class_type']})" for at in [*nodes, nodes[0]])
        text = "Dependency cycle detected"
        for at in nodes:
            self.seen[at] = [problem("dependency_cycle", text, details, node_id=at, cycle_nodes=nodes)]

    def _check_value(self, node_id: str, name: str, spec: list[Any]) -> Iterator[Problem]:
        inputs = self.graph[node_id]["inputs"]
        value = inputs[name]
        if isinstance(value, list):
            yield from self._check_link(name, spec, cast("list[Any]", value))
        elif name == "image" and self.graph[node_id]["class_type"] in {"LoadImage", "LoadImageMask"}:
            if not self.image_exists(value):
                text, details = "Custom validation failed for node", f"image - Invalid image file: {value}"
                yield problem("custom_validation_failed", text, details, input_name=name)
        else:
            yield from _check_literal(inputs, name, spec)

    def _check_link(self, name: str, spec: list[Any], link: list[Any]) -> Iterator[Problem]:
        about = {"input_name": name, "input_config": _config(spec)}
        if len(link) != _LINK_PARTS:
            text = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            yield problem("bad_linked_input", text, name, **about, received_value=link)
            return
        given = tuple(self._info(link[0])["output"])[link[1]]
        if given != spec[0] and spec[0] != "*":
            text = "Return type mismatch between linked nodes"
            details = f"{name}, received_type({given}) mismatch input_type({spec[0]})"
            yield problem("return_type_mismatch", text, details, **about, received_type=given, linked_node=link)
            return
        try:
            self._check_node(link[0])
        except Exception as error:  # noqa: BLE001 - as above, and the linked node is blamed
            lines = traceback.format_tb(error.__traceback__)
            facts = {"exception_message": str(error), "exception_type": type(error).__name__, "traceback": lines}
            text = "Exception when validating inner node"
            found = problem("exception_during_inner_validation", text, str(error), **about, **facts, linked_node=link)
            self.seen[link[0]] = [found]
            del self.path[self.path.index(link[0]) :]


def _check_literal(inputs: dict[str, Any], name: str, spec: list[Any]) -> Iterator[Problem]:
    value, options = inputs[name], cast("dict[str, Any]", spec[1] if len(spec) > 1 else {})
    about = {"input_name": name, "input_config": _config(spec), "received_value": value}
    try:
        value = inputs[name] = _CONVERSIONS.get(str(spec[0]), lambda same: same)(value)
    except (TypeError, ValueError) as error:
        text, details = f"Failed to convert an input value to a {spec[0]} value", f"{name}, {value}, {error}"
        yield problem("invalid_input_type", text, details, **about, exception_message=str(error))
        return
    about["received_value"] = value
    if "min" in options and value < options["min"]:
        text = f"Value {value} smaller than min of {options['min']}"
        yield problem("value_smaller_than_min", text, name, **about)
    if "max" in options and value > options["max"]:
        yield problem("value_bigger_than_max", f"Value {value} bigger than max of {options['max']}", name, **about)
    choices = _choices(spec)
    if choices is not None and value not in choices:
        many = len(choices) > _LISTED_MAX
        listed = f"(list of length {len(choices)})" if many else str(choices)
        about["input_config"] = None if many else _config(spec)
        yield problem("value_not_in_list", "Value not in list", f"{name}: {value!r} not in {listed}", **about)


def _config(spec: list[Any]) -> list[Any]:
    return [spec[0], spec[1] if len(spec) > 1 else {}]


def _choices(spec: list[Any]) -> list[Any] | None:
    if isinstance(spec[0], list):
        return cast("list[Any]", spec[0])
    return spec[1]["options"] if spec[0] == "COMBO" else None


def _specs(info: NodeInfo, inputs: dict[str, Any]) -> Iterator[tuple[str, list[Any], bool]]:
    """List a node's inputs: name, type and options, required; a dynamic choice brings inputs of its own."""
    for part in PARTS:
        for name, spec in inputs_of(info, part).items():
            yield name, spec, part == "required"
            options: list[dict[str, Any]] = spec[1]["options"] if spec[0] == _DYNAMIC else []
            for option in (option for option in options if option["key"] == inputs.get(name)):
                for sub, sub_spec in option["inputs"]["required"].items():
                    yield f"{name}.{sub}", sub_spec, sub_spec[0] != _DYNAMIC
