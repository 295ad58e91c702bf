"""What a client hears, in which order, and what it does not hear: as recorded, on the stand-in and a real ComfyUI."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.contracts.comfyui.conftest import Node
from tests.contracts.comfyui.shapes import differences, load
from tests.contracts.comfyui.sockets import Listener
from tests.support.nodes import StandIn, paint_graph, picture, scale_graph
from workers.nodes.faults import Fault

EVENTS = load("events.json")
COURSES: dict[str, Any] = EVENTS["courses"]


def heard(node: Node, graph: dict[str, Any], *, metadata: bool = False) -> Listener:
    """Post a graph as a client with a socket of its own, and listen to the end."""
    node.until(
        lambda: node.http.get("/prompt").json()["exec_info"]["queue_remaining"], lambda remaining: remaining == 0
    )
    client_id = str(uuid4())
    listener = Listener(node.ws_url, client_id, metadata=metadata)
    node.post(graph, client_id=client_id)
    listener.hear_until("executing None")
    listener.close()
    return listener


def is_as_recorded(listener: Listener, name: str) -> None:
    assert listener.lines == COURSES[name]["events"]
    for kind, data in listener.messages.items():
        shape = EVENTS["messages"][kind]
        assert differences(shape, {**data, "current_inputs": {}} if "current_inputs" in data else data) == [], kind


def forget(node: Node) -> None:
    """Make the node keep nothing of what the tests use: it keeps the last graph only."""
    node.run(scale_graph(f"forget/{uuid4()}", color=9, size=16))


def test_a_painting_is_heard_step_by_step_then_partly_then_wholly_from_the_cache(node: Node) -> None:
    if node.standin is None:
        pytest.skip("needs a model")
    forget(node)
    is_as_recorded(heard(node, COURSES["painting, first"]["graph"]), "painting, first")
    is_as_recorded(heard(node, COURSES["painting, metadata"]["graph"], metadata=True), "painting, metadata")
    is_as_recorded(heard(node, COURSES["all cached"]["graph"]), "all cached")


def test_failures_blocks_and_half_results_are_heard_as_recorded(node: Node) -> None:
    if node.standin is None:
        pytest.skip("needs a node that fails when told")
    forget(node)
    for name, fault in {
        "exception": Fault.EXCEPTION,
        "out of memory": Fault.OOM,
        "blocked": Fault.BLOCKED,
        "black": Fault.BLACK,
        "partial": Fault.PARTIAL,
    }.items():
        node.standin.script(fault)
        is_as_recorded(heard(node, COURSES[name]["graph"]), name)


def test_image_nodes_are_heard_one_by_one(node: Node) -> None:
    fields = {"subfolder": "tenant1/job9", "overwrite": "true"}
    node.http.post("/upload/image", files={"image": ("b.png", picture((31, 17)))}, data=fields)
    node.http.post("/upload/image", files={"image": ("d.png", b"not an image")}, data={"overwrite": "true"})
    forget(node)
    is_as_recorded(heard(node, COURSES["image nodes"]["graph"]), "image nodes")
    forget(node)
    is_as_recorded(heard(node, COURSES["not an image"]["graph"]), "not an image")


def test_a_websocket_output_is_heard_and_nowhere_kept(node: Node) -> None:
    if not node.http.get("/object_info/SaveImageWebsocket").json():
        pytest.skip("this node runs without its custom nodes")
    forget(node)
    graph = COURSES["websocket output"]["graph"]
    listener = heard(node, graph)
    is_as_recorded(listener, "websocket output")
    job = node.job(listener.messages["execution_start"]["prompt_id"])
    assert (job["status"], job["outputs_count"]) == ("completed", 0)


def test_who_reconnects_hears_where_the_job_is_and_not_what_was_missed(node: Node, prefix: str) -> None:
    if node.standin is None:
        pytest.skip("needs a job that runs for as long as told")
    client_id = str(uuid4())
    first = Listener(node.ws_url, client_id)
    node.standin.script(Fault.SLOW, seconds=0.05)
    node.post(paint_graph(prefix, steps=80), client_id=client_id)
    first.hear_until("progress sampler 2")
    first.close()
    second = Listener(node.ws_url, client_id)
    second.hear_until("executing None")
    assert second.lines[:2] == ["status 1 greeting", "executing sampler"]
    assert "execution_start" not in second.lines
    assert "executed save" in second.lines
    assert (
        differences(EVENTS["messages"]["executing after reconnecting"], second.messages["executing after reconnecting"])
        == []
    )
    second.close()


def test_the_newest_socket_of_a_client_hears_and_the_end_of_the_older_deafens_it(node: Node, prefix: str) -> None:
    if node.standin is None:
        pytest.skip("needs a job that runs for as long as told")
    client_id = str(uuid4())
    old, new = Listener(node.ws_url, client_id), Listener(node.ws_url, client_id)
    node.standin.script(Fault.SLOW, seconds=0.05)
    prompt_id = node.post(paint_graph(prefix, steps=80), client_id=client_id)
    new.hear_until("progress sampler 2")
    old.close()
    new.drain()
    assert "executing None" not in new.lines
    node.ended(prompt_id)
    assert not [line for line in old.drain(0.05) if not line.startswith("status")]
    assert not [line for line in new.drain(0.1) if line.startswith("execution_success")]
    new.close()


def test_without_a_client_id_progress_and_interrupts_are_heard_by_everybody_and_the_rest_by_nobody(
    node: Node, prefix: str
) -> None:
    if node.standin is None:
        pytest.skip("needs a job that runs for as long as told")
    forget(node)
    anonymous, named = Listener(node.ws_url, None), Listener(node.ws_url, str(uuid4()))
    node.standin.script(Fault.SLOW, seconds=0.03)
    prompt_id = node.post(paint_graph(prefix, steps=1000))
    named.hear_until("progress sampler 3")
    node.http.post("/interrupt")
    node.ended(prompt_id)
    node.run(scale_graph(prefix))  # what would have been said too much has been said before the end of another
    for listener in (anonymous, named):
        listener.hear_until("execution_interrupted")
        for _ in range(2):
            listener.hear_until("status 0")
        kinds = {line.split(" ")[0] for line in listener.lines}
        assert kinds == {"status", "progress_state", "progress", "preview", "execution_interrupted"}
        listener.close()


def test_a_named_interrupt_is_heard_by_its_client_alone(node: Node, prefix: str) -> None:
    if node.standin is None:
        pytest.skip("needs a job that runs for as long as told")
    client_id = str(uuid4())
    mine, other = Listener(node.ws_url, client_id), Listener(node.ws_url, str(uuid4()))
    node.standin.script(Fault.SLOW, seconds=0.03)
    prompt_id = node.post(paint_graph(prefix, steps=1000), client_id=client_id)
    mine.hear_until("progress sampler 3")
    assert node.http.post(f"/api/jobs/{prompt_id}/cancel").json() == {"cancelled": True}
    mine.hear_until("executing None")
    assert mine.lines[-3:] == ["execution_interrupted sampler", "status 0", "executing None"]
    assert differences(EVENTS["messages"]["execution_interrupted"], mine.messages["execution_interrupted"]) == []
    assert {line.split(" ")[0] for line in other.drain()} == {"status"}
    mine.close()
    other.close()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_node_is_gone_at_once_and_knows_nothing_afterwards_but_its_files(
    own_standin: Callable[..., StandIn], prefix: str, sign: signal.Signals
) -> None:
    standin = own_standin()
    node = Node(standin.url, standin)
    before = node.run(scale_graph(prefix))
    client_id = str(uuid4())
    listener = Listener(node.ws_url, client_id)
    standin.script(Fault.SLOW, seconds=0.1)
    running = node.post(paint_graph(prefix, steps=100), client_id=client_id)
    listener.hear_until("progress sampler 1")
    assert standin.stop(sign) == -sign
    with pytest.raises(ConnectionClosed) as closed:
        listener.hear_until("never")
    assert closed.value.rcvd is None

    again = own_standin(port=standin.port)
    node = Node(again.url, again)
    for prompt_id in (before["id"], running):
        assert node.http.get(f"/api/jobs/{prompt_id}").status_code == 404
        assert node.http.get(f"/history/{prompt_id}").json() == {}
    [file] = before["outputs"]["3"]["images"]
    assert node.http.get("/view", params=file).status_code == 200
    answer = node.http.post("/prompt", json={"prompt": scale_graph(prefix)})
    assert answer.json()["number"] == 0


def test_the_worker_threads_death_leaves_a_node_that_answers_and_never_works(
    own_standin: Callable[..., StandIn], prefix: str
) -> None:
    standin = own_standin()
    node = Node(standin.url, standin)
    standin.script(Fault.ZOMBIE)
    first = node.post(scale_graph(prefix))
    node.until(lambda: node.job(first), lambda job: job["status"] == "in_progress")
    second = node.post(scale_graph(prefix, color=3))
    assert node.http.get("/system_stats").status_code == 200
    assert node.http.post(f"/api/jobs/{first}/cancel").json() == {"cancelled": True}
    assert [node.job(first)["status"], node.job(second)["status"]] == ["in_progress", "pending"]
    assert node.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
