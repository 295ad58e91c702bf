"""Tools: what may be asked of one, and the bounds that are checked before anything is held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from workers.errors import Problem
from workers.limits import EDGE_MAX_PX, IMAGES_MAX, PROMPT_CHARS_MAX, SEED_MAX
from workers.views import CancelRule

Graph = Mapping[str, Mapping[str, Any]]


class JobParams(Struct, frozen=True, kw_only=True):
    """What a customer asks for. Either ``width`` and ``height`` or ``aspect_ratio``; None takes the tool's default."""

    prompt: str
    negative_prompt: str = ""
    width: int | None = None
    height: int | None = None
    aspect_ratio: str | None = None
    seed: int | None = None
    model: str | None = None
    quality: str | None = None
    images: int = 1
    tool: str = "txt2img"


class Inputs(Struct, frozen=True, kw_only=True):
    """A request within bounds, every default filled in; the seed is still to be drawn where it is None."""

    prompt: str
    negative_prompt: str
    width: int
    height: int
    images: int
    model: str
    quality: str
    seed: int | None


class Quality(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier of quality; ``price_percent`` scales the part of the price that depends on size."""

    price_percent: int


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model that a tool offers: its file, its price, steps for each quality and its guidance."""

    checkpoint: str
    price_percent: int
    cfg: float
    steps: dict[str, int]
    seconds: dict[str, float]
    """Expected seconds on a node for one picture of 1024 x 1024, for each quality."""


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a size may be, in pixels; ``pixels_max`` is of width x height x images, over the whole request."""

    edge_min: int
    edge_max: int
    edge_step: int
    pixels_max: int
    images_max: int
    prompt_chars_max: int


class PriceRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version of a price: per picture ``base_ucr`` plus ``area_ucr`` for each 1024 x 1024 pixels."""

    version: int
    base_ucr: int
    area_ucr: int
    step_ucr: int
    """Prices are rounded up to a multiple of it."""
    cancel: CancelRule = "share-after-preview"


class Times(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time limits in seconds. ``stall_s``: a run without a sign of life for so long is stuck."""

    queue_limit_s: int
    run_limit_s: int
    stall_s: float
    pending_s: float


class Tool(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of a tool. ``bind`` maps a parameter to the ``node.input`` places of the graph it is put into.

    ``outputs`` are the graph's nodes that save pictures, each as many as the request asks for.
    """

    name: str
    kind: Literal["txt2img"]
    version: int
    gpu_class: str
    default_model: str
    default_quality: str
    default_aspect_ratio: str
    bounds: Bounds
    times: Times
    price: PriceRule
    bind: dict[str, tuple[str, ...]]
    outputs: tuple[str, ...]
    aspect_ratios: dict[str, tuple[int, int]]
    qualities: dict[str, Quality]
    models: dict[str, Model]
    larger_gpu_class: str | None = None
    """Where a job goes that ran out of memory; without one it fails."""
    constant_allowed: bool = False

    def needs(self, model: str) -> str:
        """What a node must be able to run, as one word."""
        return f"{self.name}/v{self.version}/{model}"

    def expected_s(self, inputs: Inputs) -> float:
        """Expected seconds on a node."""
        area = inputs.width * inputs.height / (1024 * 1024)
        return round(self.models[inputs.model].seconds[inputs.quality] * area * inputs.images, 3)


def check(tool: Tool, params: JobParams) -> Inputs | tuple[Problem, ...]:
    """Fill in defaults and check every bound; all faults at once."""
    width, height = _size(tool, params)
    faults = (
        *_text_faults(tool, params),
        *_choice_faults(tool, params),
        *_size_faults(tool, params, width, height),
        *_number_faults(tool, params),
    )
    if faults:
        return faults
    return Inputs(
        prompt=params.prompt,
        negative_prompt=params.negative_prompt,
        width=width,
        height=height,
        images=params.images,
        model=params.model or tool.default_model,
        quality=params.quality or tool.default_quality,
        seed=params.seed,
    )


def _size(tool: Tool, params: JobParams) -> tuple[int, int]:
    """Width and height asked for; zeros where they are not to be known."""
    if params.width is not None and params.height is not None:
        return params.width, params.height
    ratio = params.aspect_ratio or tool.default_aspect_ratio
    return tool.aspect_ratios.get(ratio, (0, 0))


def _text_faults(tool: Tool, params: JobParams) -> Iterator[Problem]:
    chars_max = min(tool.bounds.prompt_chars_max, PROMPT_CHARS_MAX)
    if not params.prompt.strip():
        yield Problem("/prompt", "expected some text")
    for pointer, text in (("/prompt", params.prompt), ("/negative_prompt", params.negative_prompt)):
        if len(text) > chars_max:
            yield Problem(pointer, f"expected at most {chars_max} characters")
        elif "\0" in text or any("\ud800" <= char <= "\udfff" for char in text):
            yield Problem(pointer, "NUL and lone surrogates are not text")


def _choice_faults(tool: Tool, params: JobParams) -> Iterator[Problem]:
    if params.model is not None and params.model not in tool.models:
        yield Problem("/model", f"expected one of {', '.join(tool.models)}")
    if params.quality is not None and params.quality not in tool.qualities:
        yield Problem("/quality", f"expected one of {', '.join(tool.qualities)}")
    if params.aspect_ratio is not None and params.aspect_ratio not in tool.aspect_ratios:
        yield Problem("/aspect_ratio", f"expected one of {', '.join(tool.aspect_ratios)}")


def _size_faults(tool: Tool, params: JobParams, width: int, height: int) -> Iterator[Problem]:
    if (params.width is None) != (params.height is None):
        yield Problem("/height" if params.height is None else "/width", "width and height go together")
        return
    if params.width is not None and params.aspect_ratio is not None:
        yield Problem("/aspect_ratio", "expected either a size or an aspect ratio")
    bounds = tool.bounds
    sound = True
    for pointer, edge in (("/width", params.width), ("/height", params.height)):
        if edge is not None and (not bounds.edge_min <= edge <= bounds.edge_max or edge % bounds.edge_step):
            yield Problem(pointer, f"expected {bounds.edge_min} to {bounds.edge_max} in steps of {bounds.edge_step}")
            sound = False
    if sound and 1 <= params.images <= bounds.images_max and width * height * params.images > bounds.pixels_max:
        yield Problem("/images", f"expected at most {bounds.pixels_max} pixels over all pictures")


def _number_faults(tool: Tool, params: JobParams) -> Iterator[Problem]:
    if not 1 <= params.images <= tool.bounds.images_max:
        yield Problem("/images", f"expected 1 to {tool.bounds.images_max}")
    if params.seed is not None and not 0 <= params.seed <= SEED_MAX:
        yield Problem("/seed", f"expected 0 to {SEED_MAX}")


def tool_faults(tool: Tool) -> Iterator[str]:
    """What is wrong with a tool's own figures; empty for one that may be offered."""
    bounds = tool.bounds
    if not 0 < bounds.edge_min <= bounds.edge_max <= EDGE_MAX_PX or bounds.images_max > IMAGES_MAX:
        yield "bounds: outside the limits"
    if tool.default_model not in tool.models or tool.default_quality not in tool.qualities:
        yield "defaults: not offered"
    if tool.default_aspect_ratio not in tool.aspect_ratios:
        yield "default_aspect_ratio: not offered"
    for name, (width, height) in tool.aspect_ratios.items():
        edges_fit = all(bounds.edge_min <= edge <= bounds.edge_max for edge in (width, height))
        if not edges_fit or width % bounds.edge_step or height % bounds.edge_step or width * height > bounds.pixels_max:
            yield f"aspect_ratios.{name}: outside the bounds"
    for name, model in tool.models.items():
        if not tool.qualities.keys() == model.steps.keys() == model.seconds.keys():
            yield f"models.{name}: steps and seconds need one entry a quality"
