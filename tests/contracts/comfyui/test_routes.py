"""Status, type and shape of every answer are the recorded ones, on the stand-in and on a real ComfyUI."""

from __future__ import annotations

import io
import json
from typing import Any
from uuid import uuid4

import httpx
import pytest
from PIL import Image

from tests.contracts.comfyui.conftest import Node
from tests.contracts.comfyui.shapes import differences, load
from tests.support.nodes import node as graph_node
from tests.support.nodes import picture, resample_graph, scale_graph

ANSWERS = load("answers.json")["answers"]
CASES = load("validation.json")["cases"]
OVERSIZE = 101 * 1024 * 1024


def is_as_recorded(answer: httpx.Response, name: str, value: Any = None) -> None:
    recorded = ANSWERS[name]
    assert answer.status_code == recorded["status"], answer.text
    # Answers without a body have no type; the client that recorded them filled in its own default.
    assert answer.headers.get("content-type", "application/octet-stream").split(";")[0] == recorded["content_type"]
    assert bool(answer.content) is ("content-type" in answer.headers)
    if recorded["content_type"] == "application/json":
        assert differences(recorded["shape"], answer.json() if value is None else value) == []


def without_models(value: Any) -> Any:
    """Leave tooltips and lists of model files out of a comparison: they differ from machine to machine."""
    if isinstance(value, dict):
        return {key: without_models(item) for key, item in value.items() if key != "tooltip"}
    return [without_models(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_every_refusal_of_a_graph_is_the_recorded_one(node: Node, case: dict[str, Any]) -> None:
    if node.standin is None and "tiny-sd15" in str(case["request"]):
        pytest.skip("needs a model")
    node.http.post("/upload/image", files={"image": ("input.png", picture())}, data={"overwrite": "true"})
    body = "not JSON" if case["request"] is None else json.dumps(case["request"])
    answer = node.http.post("/prompt", content=body, headers={"content-type": "application/json"})
    recorded = case["response"]

    assert answer.status_code == case["status"], answer.text
    assert answer.headers["content-type"].split(";")[0] == case["content_type"]
    if isinstance(recorded, str):
        assert answer.text == recorded
        return
    found, recorded = in_one_order(without_models(answer.json())), in_one_order(recorded)
    if "prompt_id" in recorded:
        assert found.pop("prompt_id")
        assert isinstance(found.pop("number"), int | float)
        recorded = {key: value for key, value in recorded.items() if key not in {"prompt_id", "number"}}
    if "in_list" in str(recorded) and "ckpt_name" in str(recorded):
        assert differences(shape_of(recorded), found) == []
        assert found["node_errors"]["4"]["errors"][0]["type"] == "value_not_in_list"
        return
    assert found == recorded


def in_one_order(answer: dict[str, Any]) -> dict[str, Any]:
    """Sort what a node says in any order (it walks sets), and leave out where in its code something was raised."""
    if "error" in answer:
        answer["error"]["details"] = "\n".join(sorted(answer["error"]["details"].split("\n")))
    for entry in answer.get("node_errors", {}).values():
        entry["dependent_outputs"].sort()
        for error in entry["errors"]:
            if "traceback" in error["extra_info"]:
                assert all(isinstance(line, str) for line in error["extra_info"]["traceback"])
                error["extra_info"]["traceback"] = ["..."]
        entry["errors"].sort(key=json.dumps)
    return answer


def shape_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape_of(item) for key, item in value.items()}
    if isinstance(value, list):
        return []
    return "bool" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "string"


def test_a_completed_job_has_the_recorded_shape_in_jobs_and_history(node: Node, prefix: str) -> None:
    job = node.run(scale_graph(prefix), client_id=str(uuid4()))
    is_as_recorded(node.http.get(f"/api/jobs/{job['id']}"), "job completed")
    history = node.http.get(f"/history/{job['id']}")
    is_as_recorded(history, "history success", history.json()[job["id"]])
    assert job["outputs"]["3"]["images"][0]["subfolder"] == prefix.rpartition("/")[0]
    entry = history.json()[job["id"]]
    assert [len(entry["prompt"]), entry["prompt"][1], entry["prompt"][4]] == [5, job["id"], ["3"]]
    assert [name for name, _ in entry["status"]["messages"]] == [
        "execution_start",
        "execution_cached",
        "execution_success",
    ]


def test_a_failed_job_tells_what_was_raised(node: Node, prefix: str) -> None:
    uploaded = node.http.post("/upload/image", files={"image": (f"{uuid4()}.png", b"not a picture")}).json()["name"]
    job = node.run(resample_graph(uploaded, prefix), client_id=str(uuid4()))
    is_as_recorded(node.http.get(f"/api/jobs/{job['id']}"), "job failed")
    history = node.http.get(f"/history/{job['id']}")
    is_as_recorded(history, "history error", history.json()[job["id"]])
    assert job["execution_error"]["exception_type"] == "PIL.UnidentifiedImageError"
    assert job["execution_error"]["node_type"] == "LoadImage"


def test_waiting_running_and_cancelled_jobs_have_the_recorded_shapes(node: Node, prefix: str) -> None:
    client_id = str(uuid4())
    running = node.hold(prefix, client_id=client_id)
    waiting = node.post(scale_graph(prefix), client_id=client_id)

    is_as_recorded(node.http.get(f"/api/jobs/{running}"), "job in progress")
    is_as_recorded(node.http.get(f"/api/jobs/{waiting}"), "job pending")
    queue = node.http.get("/queue")
    is_as_recorded(queue, "queue")
    assert [item[1] for item in queue.json()["queue_running"]] == [running]
    assert [len(item) for item in queue.json()["queue_pending"]] == [5]
    is_as_recorded(node.http.get("/prompt"), "queue length")
    assert node.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
    is_as_recorded(node.http.get("/api/jobs?status=pending,in_progress&sort_order=asc"), "jobs listing")

    is_as_recorded(node.http.post("/interrupt", json={"prompt_id": str(uuid4())}), "interrupt")
    assert node.job(running)["status"] == "in_progress"
    is_as_recorded(node.http.post("/queue", json={"delete": [waiting]}), "queue delete")
    is_as_recorded(node.http.get(f"/api/jobs/{waiting}"), "job unknown")
    is_as_recorded(node.http.post(f"/api/jobs/{running}/cancel"), "cancel one")
    assert node.ended(running)["status"] == "cancelled"
    is_as_recorded(node.http.get(f"/api/jobs/{running}"), "job cancelled")
    history = node.http.get(f"/history/{running}")
    is_as_recorded(history, "history interrupted", history.json()[running])


def test_what_a_node_does_not_know_or_cannot_cancel_is_told_as_recorded(node: Node, prefix: str) -> None:
    unknown = str(uuid4())
    is_as_recorded(node.http.get(f"/api/jobs/{unknown}"), "job unknown")
    assert node.http.get(f"/history/{unknown}").json() == {}
    assert node.http.post(f"/api/jobs/{unknown}/cancel").json() == {"cancelled": False}
    ended = node.run(scale_graph(prefix))["id"]
    assert node.http.post(f"/api/jobs/{ended}/cancel").json() == {"cancelled": False}
    is_as_recorded(node.http.post("/api/jobs/cancel", json={"job_ids": [ended]}), "cancel many")
    is_as_recorded(node.http.post("/api/jobs/cancel", json={"job_ids": [ended, "x"]}), "cancel many bad")
    is_as_recorded(node.http.get("/api/jobs?status=bogus"), "jobs bad status")


def test_jobs_are_listed_newest_first_by_workflow_and_in_pages(node: Node, prefix: str) -> None:
    workflow = f"wf-{uuid4()}"
    extra = {"extra_pnginfo": {"workflow": {"id": workflow}}, "auth_token_comfy_org": "SECRET"}
    ids = [node.run(scale_graph(prefix, color=color), extra_data=extra)["id"] for color in (1, 2, 3)]
    listed = node.http.get("/api/jobs", params={"workflow_id": workflow, "limit": 2}).json()
    assert [job["id"] for job in listed["jobs"]] == ids[:0:-1]
    assert listed["pagination"] == {"offset": 0, "limit": 2, "total": 3, "has_more": True}
    assert all(job["workflow_id"] == workflow for job in listed["jobs"])
    assert "SECRET" not in node.http.get(f"/history/{ids[0]}").text


def test_the_same_bytes_keep_their_name_and_others_get_a_new_one(node: Node) -> None:
    name = f"{uuid4()}.png"

    def upload(content: bytes, **fields: str) -> httpx.Response:
        return node.http.post("/upload/image", files={"image": (name, content)}, data=fields)

    is_as_recorded(upload(picture()), "upload")
    assert upload(picture()).json() == {"name": name, "subfolder": "", "type": "input"}
    assert upload(picture((9, 9))).json()["name"] == name.replace(".png", " (1).png")
    assert upload(picture((8, 8)), overwrite="true").json()["name"] == name
    assert upload(picture(), subfolder="a/b", type="input").json() == {
        "name": name,
        "subfolder": "a/b",
        "type": "input",
    }
    is_as_recorded(upload(picture(), subfolder="../../x"), "upload outside")
    seen = node.http.get("/view", params={"filename": name, "type": "input"})
    assert seen.content == picture((8, 8))
    annotated = node.http.get("/view", params={"filename": f"{name} [input]", "subfolder": "a/b"})
    assert annotated.content == picture()


def test_an_upload_over_the_limit_is_refused(node: Node) -> None:
    answer = node.http.post("/upload/image", files={"image": ("big.png", bytes(OVERSIZE))})
    is_as_recorded(answer, "upload too large")


def test_files_are_given_as_they_are_as_a_preview_or_not_at_all(node: Node, prefix: str) -> None:
    [file] = node.run(scale_graph(prefix))["outputs"]["3"]["images"]
    whole = node.http.get("/view", params=file)
    is_as_recorded(whole, "view")
    assert Image.open(io.BytesIO(whole.content)).size == (128, 128)
    is_as_recorded(node.http.get("/view", params={**file, "preview": "webp;80"}), "view preview")
    is_as_recorded(node.http.get("/view", params={"filename": "nope.png", "type": "output"}), "view absent")
    is_as_recorded(node.http.get("/view", params={"filename": "../../../etc/passwd"}), "view traversal")
    outside = {"filename": "passwd", "subfolder": "../../../../etc"}
    is_as_recorded(node.http.get("/view", params=outside), "view outside")
    is_as_recorded(node.http.get("/view", params={"filename": "a.png", "type": "models"}), "view type unknown")


def test_nobody_saves_outside_the_output_folder(node: Node) -> None:
    for prefix in ("../../tmp/x", "/tmp/x"):
        job = node.run(scale_graph(prefix))
        assert job["status"] == "failed"
        assert "outside the output folder is not allowed" in job["execution_error"]["exception_message"]


@pytest.mark.parametrize("name", ["not_there.png", "../../../../etc/hostname", "/etc/hostname", "x.png [temp]"])
def test_nobody_loads_what_is_not_there_or_outside(node: Node, prefix: str, name: str) -> None:
    answer = node.http.post("/prompt", json={"prompt": resample_graph(name, prefix)})
    assert answer.status_code == 400
    [error] = answer.json()["node_errors"]["img"]["errors"]
    assert (error["type"], error["details"]) == ("custom_validation_failed", f"image - Invalid image file: {name}")


def test_an_output_of_anybody_can_be_loaded_by_name(node: Node, prefix: str) -> None:
    [file] = node.run(scale_graph(prefix))["outputs"]["3"]["images"]
    name = f"{file['subfolder']}/{file['filename']} [output]"
    assert node.run(resample_graph(name, prefix))["status"] == "completed"


def test_a_saved_picture_carries_the_whole_prompt(node: Node, prefix: str) -> None:
    extra = {"extra_pnginfo": {"workflow": {"id": "wf-1", "note": "mine"}}}
    [file] = node.run(scale_graph(prefix), extra_data=extra)["outputs"]["3"]["images"]
    with Image.open(io.BytesIO(node.http.get("/view", params=file).content)) as image:
        if "prompt" not in image.info:
            pytest.skip("this node runs with --disable-metadata")
        assert "EmptyImage" in image.info["prompt"]
        assert "mine" in image.info["workflow"]


def test_an_equal_graph_is_answered_from_the_cache_with_the_same_file_even_if_it_is_gone(
    node: Node, prefix: str
) -> None:
    first = node.run(scale_graph(prefix, color=4242))
    again = node.run(scale_graph(prefix, color=4242))
    assert again["outputs"] == first["outputs"]
    other = node.run(scale_graph(f"{prefix}-2", color=4242))
    assert other["outputs"] != first["outputs"]
    messages = dict(other["execution_status"]["messages"])
    assert set(messages["execution_cached"]["nodes"]) == {"1", "2"}
    if node.standin is None:
        pytest.skip("the file cannot be taken away from here")
    same = node.run(scale_graph(f"{prefix}-2", color=4242))
    [file] = same["outputs"]["3"]["images"]
    (node.standin.data / "output" / file["subfolder"] / file["filename"]).unlink()
    assert node.run(scale_graph(f"{prefix}-2", color=4242))["status"] == "completed"
    assert node.http.get("/view", params=file).status_code == 404


def test_a_prompt_id_is_no_key_the_same_one_runs_twice_and_the_last_is_remembered(node: Node, prefix: str) -> None:
    prompt_id = str(uuid4())
    first = node.run(scale_graph(f"{prefix}A", color=11), prompt_id=prompt_id)
    node.post(scale_graph(f"{prefix}B", color=12), prompt_id=prompt_id)
    second = node.until(
        lambda: node.job(prompt_id), lambda job: job.get("outputs", first["outputs"]) != first["outputs"]
    )
    assert second["outputs"]["3"]["images"][0]["filename"].startswith("imgB")


def test_lower_numbers_run_first_and_equal_ones_in_the_order_of_their_ids(node: Node, prefix: str) -> None:
    running = node.hold(prefix)
    low, high = sorted((str(uuid4()), str(uuid4())))
    posts: list[tuple[str, dict[str, Any]]] = [
        ("a", {}),
        ("front", {"front": True}),
        ("-1000", {"number": -1000}),
        ("1e9", {"number": 1e9}),
        ("same b", {"number": 1e6, "prompt_id": high}),
        ("same a", {"number": 1e6, "prompt_id": low}),
    ]
    ids = {name: node.post(scale_graph(prefix, color=index), **extra) for index, (name, extra) in enumerate(posts)}
    node.http.post(f"/api/jobs/{running}/cancel")
    for prompt_id in ids.values():
        node.ended(prompt_id)
    history = list(node.http.get("/history").json())
    assert sorted(ids, key=lambda name: history.index(ids[name])) == ["-1000", "front", "a", "same a", "same b", "1e9"]


def test_a_500_does_not_mean_that_nothing_was_queued(node: Node, prefix: str) -> None:
    running = node.hold(prefix)
    prompt_id = str(uuid4())
    answers: list[httpx.Response] = []
    for client_id in ("b", "a"):  # told apart by nothing that can be ordered
        body = {"prompt": scale_graph(prefix), "prompt_id": prompt_id, "number": 2e6, "client_id": client_id}
        answers.append(node.http.post("/prompt", json=body))
    assert [answer.status_code for answer in answers] == [200, 500]
    assert answers[1].text == "500 Internal Server Error\n\nServer got itself in trouble"
    waiting = [item[1] for item in node.http.get("/queue").json()["queue_pending"]]
    assert waiting.count(prompt_id) == 2
    # Two that cannot be ordered would end the worker thread as soon as a third makes the heap compare them.
    node.http.post("/queue", json={"clear": True})
    node.http.post("/interrupt", json={"prompt_id": running})
    assert node.ended(running)["status"] == "cancelled"


def test_memory_history_and_classes_are_told_and_freed_as_recorded(node: Node, prefix: str) -> None:
    is_as_recorded(node.http.post("/free", json={"unload_models": True, "free_memory": True}), "free")
    is_as_recorded(node.http.post("/free"), "free without a body")
    is_as_recorded(node.http.get("/object_info/NoSuchNode"), "class unknown")
    features = node.http.get("/features")
    is_as_recorded(features, "features", {**features.json(), "extension": {}})
    ended = node.run(scale_graph(prefix))["id"]
    is_as_recorded(node.http.post("/history", json={"delete": [ended]}), "history delete")
    assert node.http.get(f"/history/{ended}").json() == {}
    stats = node.http.get("/system_stats")
    assert differences(ANSWERS["system stats"]["shape"], stats.json()) == []


@pytest.mark.parametrize(
    "path", ["/system_stats", "/features", "/queue", "/prompt", "/object_info/SaveImage", "/history"]
)
def test_every_route_is_there_under_api_too(node: Node, path: str) -> None:
    plain, prefixed = node.http.get(path), node.http.get(f"/api{path}")
    assert plain.status_code == prefixed.status_code == 200
    assert plain.json().keys() == prefixed.json().keys()


def test_the_shipped_cut_of_classes_says_what_the_node_says(node: Node) -> None:
    for name in ("EmptyImage", "ImageScale", "ImageScaleBy", "ImageSharpen", "LoadImage", "SaveImage", "KSampler"):
        told = node.http.get(f"/object_info/{name}").json()[name]
        assert {"input", "input_order", "output", "output_node", "output_is_list", "name"} <= told.keys()
        assert told["input_order"]["required"] == list(told["input"]["required"])
    graph = {"1": graph_node("EmptyImage", width=64, height=64, batch_size=1, color=0)}
    assert node.http.post("/prompt", json={"prompt": graph}).json()["error"]["type"] == "prompt_no_outputs"
