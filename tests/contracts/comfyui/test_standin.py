"""The stand-in itself: what it paints, what it really computes, how it starts and ends."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from tests.contracts.comfyui.conftest import Node
from tests.support.nodes import ROOT, StandIn, node, paint_graph, picture, resample_graph
from workers.outputs import OutputRules, verify
from workers.standin.catalogue import Catalogue
from workers.standin.painting import NODES, paint

LINES_MAX = 1_200


def painted(on: Node, graph: dict[str, Any], output: str = "save") -> list[Image.Image]:
    job = on.run(graph)
    assert job["status"] == "completed", job["execution_error"]
    files = [on.http.get("/view", params=file).content for file in job["outputs"][output]["images"]]
    return [Image.open(io.BytesIO(file)) for file in files]


def same(left: Image.Image, right: Image.Image) -> bool:
    return ImageChops.difference(left.convert("RGBA"), right.convert("RGBA")).getbbox(alpha_only=False) is None


@pytest.fixture
def on(standin: StandIn) -> Node:
    return Node(standin.url, standin)


def test_it_is_no_larger_than_agreed() -> None:
    lines = sum(path.read_text("utf-8").count("\n") for path in (ROOT / "workers" / "standin").rglob("*.py"))
    assert lines <= LINES_MAX


def test_it_offers_exactly_the_classes_that_it_can_run() -> None:
    assert Catalogue(lacks=frozenset(), inputs=list).classes.keys() == NODES.keys()


def test_the_same_prompt_and_seed_give_the_same_picture_and_others_another(on: Node, prefix: str) -> None:
    [first] = painted(on, paint_graph(f"{prefix}a", seed=7))
    [again] = painted(on, paint_graph(f"{prefix}b", seed=7))
    [other] = painted(on, paint_graph(f"{prefix}c", seed=8))
    assert same(first, again)
    assert not same(first, other)
    assert first.size == (64, 64)


def test_a_batch_is_as_many_different_pictures_that_pass_verification(on: Node, prefix: str) -> None:
    job = on.run(paint_graph(prefix, batch=3))
    contents = [on.http.get("/view", params=file).content for file in job["outputs"]["save"]["images"]]
    pictures = verify(contents, OutputRules(count=3))
    assert isinstance(pictures, tuple)
    assert len({each.sha256 for each in pictures}) == 3
    assert b"lighthouse" in contents[0]
    assert b"lighthouse" not in pictures[0].content


def test_the_picture_says_what_it_is() -> None:
    marked = paint("a lighthouse", 1, (512, 512)).crop((32, 170, 300, 210))
    white = sum(count for count, colour in marked.getcolors(10**6) or [] if colour == (255, 255, 255))
    assert white > 500


def test_image_nodes_really_compute(on: Node, prefix: str) -> None:
    on.http.post("/upload/image", files={"image": ("real.png", picture((40, 20)))}, data={"overwrite": "true"})
    [doubled] = painted(on, resample_graph("real.png", prefix))
    assert doubled.size == (80, 40)
    load = {"img": node("LoadImage", image="real.png")}
    inverted = load | {
        "inv": node("ImageInvert", image=["img", 0]),
        "back": node("ImageInvert", image=["inv", 0]),
        "save": node("SaveImage", images=["back", 0], filename_prefix=f"{prefix}i"),
    }
    [same_again] = painted(on, inverted)
    assert same(same_again, Image.open(io.BytesIO(picture((40, 20)))))
    padded = load | {
        "pad": node("ImagePadForOutpaint", image=["img", 0], left=8, top=0, right=16, bottom=8, feathering=0),
        "save": node("SaveImage", images=["pad", 0], filename_prefix=f"{prefix}p"),
    }
    [wider] = painted(on, padded)
    assert wider.size == (64, 28)
    assert same(wider.crop((8, 0, 48, 20)), same_again)
    cut = load | {
        "m": node("LoadBackgroundRemovalModel", bg_removal_name="birefnet.safetensors"),
        "rm": node("RemoveBackground", bg_removal_model=["m", 0], image=["img", 0]),
        "inv": node("InvertMask", mask=["rm", 0]),
        "rgba": node("JoinImageWithAlpha", image=["img", 0], alpha=["inv", 0]),
        "save": node("SaveImage", images=["rgba", 0], filename_prefix=f"{prefix}c"),
    }
    [cut_out] = painted(on, cut)
    low, high = cut_out.getchannel("A").getextrema()
    assert (cut_out.mode, low != high) == ("RGBA", True)


def test_it_is_ready_soon_and_gone_at_once(own_standin: Callable[..., StandIn]) -> None:
    began_s = time.monotonic()
    process = own_standin()
    ready_s = time.monotonic()
    process.stop()
    assert ready_s - began_s < 60
    assert time.monotonic() - ready_s < 30


def test_it_can_lack_a_class_or_a_model(own_standin: Callable[..., StandIn], prefix: str) -> None:
    process = own_standin("--lacks", "KSampler", "--lacks", "sd_xl_base_1.0.safetensors")
    on = Node(process.url, process)
    answer = on.http.post("/prompt", json={"prompt": paint_graph(prefix)}).json()
    assert answer["error"]["extra_info"]["class_type"] == "KSampler"
    assert "KSampler" not in on.http.get("/object_info").json()
    loader = on.http.get("/object_info/CheckpointLoaderSimple").json()["CheckpointLoaderSimple"]
    assert "sd_xl_base_1.0.safetensors" not in loader["input"]["required"]["ckpt_name"][0]


def test_no_field_of_the_public_protocol_makes_it_misbehave(on: Node, prefix: str) -> None:
    extra = {"fault": "oom", "extra_data": {"fault": "oom", "script": {"fault": "oom"}}}
    assert on.run(paint_graph(prefix), **extra)["status"] == "completed"
    assert on.http.post("/script", json={"fault": "oom"}).status_code == 404
    assert on.run(paint_graph(f"{prefix}2", seed=2))["status"] == "completed"


def test_its_files_stay_in_its_own_folder(on: Node, standin: StandIn, prefix: str) -> None:
    [file] = on.run(paint_graph(prefix))["outputs"]["save"]["images"]
    assert (Path(standin.data) / "output" / file["subfolder"] / file["filename"]).is_file()
