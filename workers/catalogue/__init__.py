"""The tools on offer, read from this package's files and checked as a whole: a wrong tool is found at start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ledger.limits import AMOUNT_MAX_UCR
from workers.errors import CatalogueInvalid
from workers.generation.bind import copied, graph_faults
from workers.generation.price import price_ucr
from workers.generation.tools import Graph, Inputs, JobParams, Tool, tool_faults
from workers.limits import QUEUE_LIMIT_MAX_S, RUN_LIMIT_MAX_S

_CANARY = "upscale_resample"


class Canary(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The graph that proves a node: it needs no model. ``image`` and ``prefix`` are places, ``output`` saves."""

    name: str
    version: int
    image: str
    prefix: str
    output: str

    def graph(self, template: Graph, *, image: str, prefix: str) -> dict[str, dict[str, Any]]:
        """The graph for one try."""
        bound = copied(template)
        for place, value in ((self.image, image), (self.prefix, prefix)):
            node_id, name = place.split(".")
            bound[node_id]["inputs"][name] = value
        return bound


class Catalogue:
    """Every version of every tool, and the canary. Old versions stay: jobs keep the one they were quoted."""

    def __init__(self, tools: Mapping[tuple[str, int], tuple[Tool, Graph]], canary: tuple[Canary, Graph]) -> None:
        self._tools = dict(tools)
        self.canary, self.canary_graph = canary

    def tools(self) -> tuple[Tool, ...]:
        """Every tool of every version."""
        return tuple(tool for tool, _graph in self._tools.values())

    def offered(self) -> tuple[Tool, ...]:
        """The newest version of each tool."""
        newest: dict[str, Tool] = {}
        for tool in sorted(self.tools(), key=lambda tool: tool.version):
            newest[tool.name] = tool
        return tuple(newest.values())

    def choose(self, params: JobParams) -> Tool | None:
        """The tool for a request: of its kind (or name), and with its model where one is named."""
        named = [tool for tool in self.offered() if params.tool in {tool.kind, tool.name}]
        with_model = [tool for tool in named if params.model is None or params.model in tool.models]
        return next(iter(with_model or named), None)

    def tool(self, name: str, version: int) -> Tool:
        """One version of a tool.

        :raises KeyError: not in this catalogue.
        """
        return self._tools[name, version][0]

    def knows(self, name: str, version: int) -> bool:
        """Whether this version of a tool is here; a newer release may have taken an order that we cannot run."""
        return (name, version) in self._tools

    def graph(self, tool: Tool) -> Graph:
        """A tool's template."""
        return self._tools[tool.name, tool.version][1]


def shipped() -> Catalogue:
    """Read the tools of this package.

    :raises CatalogueInvalid: naming every tool and what is wrong with it.
    """
    return read(files(__name__))


def read(root: Traversable) -> Catalogue:
    """Read ``<tool>/v<version>/{tool.toml,graph.json}`` under a folder.

    :raises CatalogueInvalid: naming every tool and what is wrong with it.
    """
    tools: dict[tuple[str, int], tuple[Tool, Graph]] = {}
    canaries: list[tuple[Canary, Graph]] = []
    for place, folder in _folders(root):
        graph: Graph = msgspec.json.decode(folder.joinpath("graph.json").read_bytes())
        text = folder.joinpath("tool.toml").read_bytes()
        try:
            if place.startswith(_CANARY):
                canaries.append((msgspec.toml.decode(text, type=Canary), graph))
                continue
            tool = msgspec.toml.decode(text, type=Tool)
        except msgspec.ValidationError as error:
            raise CatalogueInvalid(f"{place}: {error}") from error
        if faults := [*_faults(tool, graph, place)]:
            raise CatalogueInvalid(f"{place}: {'; '.join(faults)}")
        tools[tool.name, tool.version] = (tool, graph)
    if not tools or not canaries:
        raise CatalogueInvalid("expected at least one tool, and the canary")
    return Catalogue(tools, max(canaries, key=lambda pair: pair[0].version))


def _folders(root: Traversable) -> Iterator[tuple[str, Traversable]]:
    for tool in sorted(root.iterdir(), key=lambda entry: entry.name):
        if tool.is_dir() and not tool.name.startswith("_"):
            for version in sorted(tool.iterdir(), key=lambda entry: entry.name):
                yield f"{tool.name}/{version.name}", version


def _faults(tool: Tool, graph: Graph, place: str) -> Iterator[str]:
    if place != f"{tool.name}/v{tool.version}":
        yield "its folder has another name"
    yield from tool_faults(tool)
    yield from graph_faults(graph, tool.bind, tool.outputs)
    times = tool.times
    if not 0 < times.queue_limit_s <= QUEUE_LIMIT_MAX_S or not 0 < times.run_limit_s <= RUN_LIMIT_MAX_S:
        yield "times: outside the limits"
    if tool.price.step_ucr < 1 or not 0 <= _dearest_ucr(tool) <= AMOUNT_MAX_UCR:
        yield "price: outside the limits"


def _dearest_ucr(tool: Tool) -> int:
    edge = tool.bounds.edge_max
    largest = Inputs(
        prompt="",
        negative_prompt="",
        width=edge,
        height=edge,
        images=tool.bounds.images_max,
        model=tool.default_model,
        quality=tool.default_quality,
        seed=None,
    )
    return max(
        price_ucr(tool, replace(largest, model=model, quality=quality))
        for model in tool.models
        for quality in tool.qualities
    )
