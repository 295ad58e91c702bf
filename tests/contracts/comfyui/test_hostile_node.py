"""A node or a network that answers nonsense, too much, too slowly or not at all is an unknown, never an outcome."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Generator
from uuid import UUID, uuid4

import pytest

from tallystick.clock import SystemClock
from tests.support.nodes import scale_graph
from workers.nodes import comfy, limits
from workers.nodes.comfy import ComfyNode
from workers.nodes.port import (
    Absent,
    Completed,
    Dropped,
    Failed,
    FileMissing,
    OutputFile,
    TooLarge,
    Unknown,
    Unreachable,
)

FILE = OutputFile(node_id="save", kind="images", filename="a.png", subfolder="", type="output")


def response(status: str, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


class Raw:
    """A server that sends the bytes it was given, in pieces, whatever it was asked."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.pieces: list[bytes] = []
        self.pause_s = 0.0
        self.asked: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def says(self, *pieces: bytes, pause_s: float = 0) -> None:
        self.pieces, self.pause_s = list(pieces), pause_s

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a close alone does not wake who waits in accept
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client:
            self.asked.append(client.recv(65536))
            try:
                for piece in self.pieces:
                    client.sendall(piece)
                    time.sleep(self.pause_s)
            except OSError:
                return


@pytest.fixture
def raw() -> Generator[Raw]:
    server = Raw()
    yield server
    server.close()


@pytest.fixture
def node(raw: Raw) -> Generator[ComfyNode]:
    executor = ComfyNode(raw.url, clock=SystemClock())
    yield executor
    executor.close()


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transfers end soon, where their end is waited for."""
    monkeypatch.setattr(comfy, "TRANSFER_LIMIT_S", 0.5)


NONSENSE: dict[str, bytes] = {
    "500": response("500 Internal Server Error", b"500 Internal Server Error", "text/plain"),
    "502 of a proxy": response("502 Bad Gateway", b"<html>", "text/html"),
    "404 of a proxy": response("404 Not Found", b"<html>not found</html>", "text/html"),
    "404 of something else": response("404 Not Found", b'{"detail": "Not Found"}'),
    "401 of a guard": response("401 Unauthorized", b'{"error": "token"}'),
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
    "no JSON": response("200 OK", b"hello", "text/plain"),
    "a list": response("200 OK", b"[1, 2]"),
    "null": response("200 OK", b"null"),
    "no status": response("200 OK", b'{"id": "x"}'),
    "a state that nobody knows": response("200 OK", b'{"status": "meditating"}'),
    "deep nesting": response("200 OK", b"[" * 200_000),
    "cut in the middle": b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{",
    "not HTTP": b"220 smtp ready\r\n",
    "nothing": b"",
    "not UTF-8": response("200 OK", b'{"status": "\xff"}'),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_never_an_outcome(raw: Raw, node: ComfyNode, answer: bytes) -> None:
    raw.says(answer)
    attempt = uuid4()
    assert isinstance(node.look_up(attempt), Unreachable)
    assert isinstance(node.cancel(attempt), Unreachable)
    assert isinstance(node.health(), Unreachable)
    assert isinstance(node.submit(attempt, scale_graph("x")), Unknown)
    assert isinstance(node.upload("a.png", b"x"), Unreachable)
    with node.watch(attempt, quiet_s=0.1) as events:
        assert [type(event) for event in events] == [Dropped]


def posting(raw: Raw, answer: bytes) -> Callable[[], None]:
    """Answer 404 to the look-up and `answer` to the POST."""
    absent = response("404 Not Found", b'{"error": "Job not found"}')

    def answer_by_request(client: socket.socket) -> None:
        with client:
            asked = client.recv(65536)
            raw.asked.append(asked)
            client.sendall(answer if asked.startswith(b"POST /prompt") else absent)

    def install() -> None:
        raw._answer = answer_by_request

    return install


@pytest.mark.parametrize(
    "answer",
    [
        NONSENSE["500"],
        NONSENSE["no JSON"],
        NONSENSE["cut in the middle"],
        NONSENSE["nothing"],
        response("400 Bad Request", b"<html>", "text/html"),
        response("413 Too Large", b"", "text/plain"),
    ],
)
def test_a_post_without_a_usable_answer_is_unknown_and_was_sent(raw: Raw, node: ComfyNode, answer: bytes) -> None:
    posting(raw, answer)()
    submission = node.submit(uuid4(), scale_graph("x"))
    assert isinstance(submission, Unknown)
    assert submission.sent


def test_a_node_that_mints_its_own_ids_is_refused_and_the_job_taken_back(raw: Raw, node: ComfyNode) -> None:
    minted = str(uuid4())
    posting(raw, response("200 OK", f'{{"prompt_id": "{minted}", "number": 0, "node_errors": {{}}}}'.encode()))()
    rejected = node.submit(uuid4(), scale_graph("x"))
    assert not isinstance(rejected, Unknown)
    assert any(asked.startswith(f"POST /api/jobs/{minted}/cancel".encode()) for asked in raw.asked)


def test_a_500_is_not_posted_again(raw: Raw, node: ComfyNode) -> None:
    posting(raw, NONSENSE["500"])()
    node.submit(uuid4(), scale_graph("x"))
    assert sum(asked.startswith(b"POST /prompt") for asked in raw.asked) == 1


@pytest.mark.usefixtures("short_limit")
def test_an_answer_that_trickles_ends_with_the_time_limit(raw: Raw, node: ComfyNode) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 9000\r\n\r\n"
    raw.says(head, *[b"x"] * 2000, pause_s=0.05)
    began_s = time.monotonic()
    assert isinstance(node.fetch(FILE, bytes_max=10_000), Unreachable)
    assert time.monotonic() - began_s < 30


@pytest.mark.usefixtures("short_limit")
def test_a_silent_node_ends_with_the_time_limit(raw: Raw, node: ComfyNode) -> None:
    raw.says(b"", pause_s=60)
    began_s = time.monotonic()
    assert isinstance(node.fetch(FILE, bytes_max=10_000), Unreachable)
    assert time.monotonic() - began_s < 30


def test_a_file_without_end_is_read_only_to_the_bound(raw: Raw, node: ComfyNode) -> None:
    raw.says(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n", *[bytes(65536)] * 1000)
    assert node.fetch(FILE, bytes_max=200_000) == TooLarge(bytes_max=200_000)


def test_an_answer_about_a_job_is_bounded_too(raw: Raw, node: ComfyNode) -> None:
    raw.says(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n", *[b"[" * 65536] * 200)
    assert isinstance(node.look_up(uuid4()), Unreachable)
    assert limits.ANSWER_BYTES_MAX < 65536 * 200


def test_a_file_of_0_bytes_is_missing(raw: Raw, node: ComfyNode) -> None:
    raw.says(response("200 OK", b"", "image/png"))
    assert node.fetch(FILE, bytes_max=100) == FileMissing(reason="0 bytes")


def test_numbers_that_are_no_json_do_not_hide_a_jobs_end(raw: Raw, node: ComfyNode) -> None:
    raw.says(response("200 OK", b'{"status": "completed", "outputs": {"3": {"images": [], "loss": [NaN]}}}'))
    assert node.look_up(uuid4()) == Completed(outputs=())


def test_a_failure_without_an_error_is_a_failure(raw: Raw, node: ComfyNode) -> None:
    raw.says(response("200 OK", b'{"status": "failed"}'))
    assert isinstance(node.look_up(uuid4()), Failed)


def test_only_the_nodes_own_404_means_that_it_does_not_know_the_job(raw: Raw, node: ComfyNode) -> None:
    raw.says(response("404 Not Found", b'{"error": "Job not found"}'))
    assert node.look_up(UUID(int=0)) == Absent()


def test_outputs_of_any_shape_are_files_texts_or_nothing(raw: Raw, node: ComfyNode) -> None:
    outputs = (
        b'{"a": {"images": [{"filename": "x.png"}, 3, null], "animated": [true]}, "b": {"text": ["hi", 3]}, "c": {}}'
    )
    raw.says(response("200 OK", b'{"status": "completed", "outputs": ' + outputs + b"}"))
    state = node.look_up(uuid4())
    assert isinstance(state, Completed)
    assert [(file.node_id, file.filename, file.type) for file in state.outputs] == [("a", "x.png", "output")]
    assert [(text.node_id, text.text) for text in state.texts] == [("b", "hi")]
