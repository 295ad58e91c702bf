"""What may be asked of a tool, what it costs, and how it is put into a graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from workers.catalogue import read, shipped
from workers.errors import CatalogueInvalid
from workers.generation.bind import bind, prefix_of
from workers.generation.price import cancel_charge_ucr, price_lines, price_ucr
from workers.generation.tools import Inputs, JobParams, Tool, check
from workers.limits import EDGE_MAX_PX, SEED_MAX

CATALOGUE = shipped()
TOOL = CATALOGUE.offered()[0]
CREDIT = 1_000_000


def asked(**params: Any) -> JobParams:
    everything: dict[str, Any] = {"prompt": "a lighthouse"} | params
    return JobParams(**everything)


def inputs(tool: Tool = TOOL, **params: Any) -> Inputs:
    found = check(tool, asked(**params))
    assert isinstance(found, Inputs), found
    return found


def pointers(**params: Any) -> set[str]:
    found = check(TOOL, asked(**params))
    assert not isinstance(found, Inputs)
    return {problem.pointer for problem in found}


def test_feature_M3_01_a_prompt_alone_takes_the_tools_defaults() -> None:
    found = inputs()
    assert (found.width, found.height, found.images) == (1024, 1024, 1)
    assert (found.model, found.quality, found.seed) == ("sdxl", "standard", None)


def test_feature_M3_01_an_aspect_ratio_gives_a_size() -> None:
    found = inputs(aspect_ratio="16:9")
    assert (found.width, found.height) == (1344, 768)


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"prompt": ""}, "/prompt"),
        ({"prompt": "  \n"}, "/prompt"),
        ({"prompt": "x" * 100_000}, "/prompt"),
        ({"prompt": "a\0b"}, "/prompt"),
        ({"prompt": "a\ud800b"}, "/prompt"),
        ({"negative_prompt": "x" * 4_001}, "/negative_prompt"),
        ({"width": 1024}, "/height"),
        ({"height": 1024}, "/width"),
        ({"width": 0, "height": 64}, "/width"),
        ({"width": -64, "height": 64}, "/width"),
        ({"width": 65, "height": 64}, "/width"),
        ({"width": 64, "height": 10**30}, "/height"),
        ({"width": 2048, "height": 2048, "images": 8}, "/images"),
        ({"width": 64, "height": 64, "aspect_ratio": "1:1"}, "/aspect_ratio"),
        ({"aspect_ratio": "17:3"}, "/aspect_ratio"),
        ({"images": 0}, "/images"),
        ({"images": -1}, "/images"),
        ({"images": 9}, "/images"),
        ({"seed": -1}, "/seed"),
        ({"seed": SEED_MAX + 1}, "/seed"),
        ({"model": "../../etc/passwd"}, "/model"),
        ({"quality": "best"}, "/quality"),
    ],
)
def test_feature_M3_01_what_is_outside_the_bounds_is_named_by_its_pointer(params: dict[str, Any], pointer: str) -> None:
    assert pointers(**params) == {pointer}


def test_every_problem_is_named_at_once_and_none_echoes_the_input() -> None:
    found = check(TOOL, JobParams(prompt="", model="secret-model", quality="secret-quality", images=99, seed=-5))
    assert not isinstance(found, Inputs)
    assert {problem.pointer for problem in found} == {"/prompt", "/model", "/quality", "/images", "/seed"}
    assert not any("secret" in problem.detail or "99" in problem.detail for problem in found)


# --- price


def test_feature_M3_08_a_picture_of_a_megapixel_costs_a_credit() -> None:
    assert price_ucr(TOOL, inputs()) == CREDIT
    assert price_ucr(TOOL, inputs(images=3)) == 3 * CREDIT
    assert price_ucr(TOOL, inputs(quality="draft")) == 550_000
    assert price_ucr(TOOL, inputs(quality="high")) == 1_720_000


sizes = st.integers(8, EDGE_MAX_PX // 8).map(lambda edge: edge * 8)


@given(
    width=sizes,
    height=sizes,
    images=st.integers(1, 8),
    model=st.sampled_from(sorted(TOOL.models)),
    quality=st.sampled_from(sorted(TOOL.qualities)),
)
def test_a_price_is_the_sum_of_its_lines_and_never_below_the_exact_figure(
    width: int, height: int, images: int, model: str, quality: str
) -> None:
    wanted = Inputs(
        prompt="x", negative_prompt="", width=width, height=height, images=images, model=model, quality=quality, seed=1
    )
    rule, lines = TOOL.price, price_lines(TOOL, wanted)
    assert sum(line.amount_ucr for line in lines) == price_ucr(TOOL, wanted)
    percent = TOOL.models[model].price_percent * TOOL.qualities[quality].price_percent
    exact = rule.area_ucr * width * height * images * percent / (1024 * 1024 * 10_000)
    size = lines[1].amount_ucr
    assert size % rule.step_ucr == 0
    assert exact <= size < exact + rule.step_ucr


def test_a_tool_may_be_free() -> None:
    free = replace(TOOL, price=replace(TOOL.price, base_ucr=0, area_ucr=0))
    assert price_ucr(free, inputs()) == 0


@pytest.mark.parametrize(
    ("rule", "preview", "ran_s", "charge"),
    [
        ("free", True, 100.0, 0),
        ("share-after-preview", False, 100.0, 0),
        ("share-after-preview", True, 0.0, 0),
        ("share-after-preview", True, 5.0, 500_000),
        ("share-after-preview", True, 3.3333, 333_000),
        ("share-after-preview", True, 1_000.0, CREDIT),
        ("share-after-preview", True, -1.0, 0),
    ],
)
def test_a_cancel_costs_what_its_tools_rule_says(rule: str, preview: bool, ran_s: float, charge: int) -> None:
    tool = replace(TOOL, price=replace(TOOL.price, cancel=rule))
    assert cancel_charge_ucr(tool, CREDIT, ran_s=ran_s, expected_s=10.0, preview_sent=preview) == charge


# --- binding


def test_feature_M3_07_parameters_are_bound_and_the_template_stays_as_it_is() -> None:
    template = CATALOGUE.graph(TOOL)
    before = json.dumps(template)
    wanted = inputs(prompt='"]}{ break out', negative_prompt="no", seed=5, images=2, quality="draft")
    graph = bind(TOOL, template, wanted, seed=5, prefix=prefix_of(UUID(int=7)))
    assert json.dumps(template) == before
    assert graph["pos"]["inputs"]["text"] == '"]}{ break out'
    assert graph["neg"]["inputs"]["text"] == "no"
    assert (graph["sampler"]["inputs"]["seed"], graph["sampler"]["inputs"]["steps"]) == (5, 12)
    assert graph["lat"]["inputs"] == {"width": 1024, "height": 1024, "batch_size": 2}
    assert graph["save"]["inputs"]["filename_prefix"] == f"jobs/{UUID(int=7)}/image"
    assert {node["class_type"] for node in graph.values()} == {node["class_type"] for node in template.values()}


@given(text=st.text(max_size=200))
def test_no_prompt_changes_anything_but_its_own_place(text: str) -> None:
    wanted = replace(inputs(), prompt=text)
    graph = bind(TOOL, CATALOGUE.graph(TOOL), wanted, seed=1, prefix="jobs/a/image")
    plain = bind(TOOL, CATALOGUE.graph(TOOL), inputs(), seed=1, prefix="jobs/a/image")
    graph["pos"]["inputs"]["text"] = plain["pos"]["inputs"]["text"]
    assert graph == plain


# --- the catalogue


def test_the_newest_version_is_offered_and_the_old_ones_stay() -> None:
    assert TOOL.name == "txt2img_sdxl"
    assert CATALOGUE.tool("txt2img_sdxl", 1) is TOOL
    assert CATALOGUE.choose(JobParams(prompt="x", model="sdxl")) is TOOL
    assert CATALOGUE.choose(JobParams(prompt="x", tool="nothing")) is None


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The shipped catalogue in a folder that a test may spoil."""
    source = Path(__file__).parents[3] / "workers" / "catalogue"
    for path in [*source.rglob("*.toml"), *source.rglob("*.json")]:
        target = tmp_path / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("tool.toml", 'prompt = ["pos.text"]', 'prompt = ["nowhere.text"]', "nowhere.text is not in the graph"),
        ("tool.toml", 'seed = ["sampler.seed"]', "", "bind.seed: not bound"),
        ("tool.toml", 'outputs = ["save"]', 'outputs = ["dec"]', "dec saves nothing"),
        ("tool.toml", 'default_model = "sdxl"', 'default_model = "other"', "defaults: not offered"),
        ("tool.toml", "edge_max = 2048", "edge_max = 16384", "bounds: outside the limits"),
        ("tool.toml", "queue_limit_s = 3600", "queue_limit_s = 36000000", "times: outside the limits"),
        ("tool.toml", "base_ucr = 100000", "base_ucr = -100000000", "price: outside the limits"),
        ("tool.toml", "version = 1", 'version = "one"', "Expected `int`"),
        ("tool.toml", '"4:3" = [1152, 896]', '"4:3" = [1153, 896]', "aspect_ratios.4:3"),
        ("graph.json", '"KSampler"', '"LoadImageDataSetFromFolder"', "not an allowed class"),
        ("graph.json", '"dec",\n', '"gone",\n', "a link to nowhere"),
    ],
)
def test_a_wrong_tool_is_found_when_the_catalogue_is_read(
    copied: Path, file: str, old: str, new: str, said: str
) -> None:
    path = copied / "txt2img_sdxl" / "v1" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(CatalogueInvalid, match="txt2img_sdxl/v1") as caught:
        read(copied)
    assert said in str(caught.value)
