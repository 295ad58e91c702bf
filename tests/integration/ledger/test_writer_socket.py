"""The writer's socket against callers that are slow, greedy, strange or hostile, with a writer on threads here."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger import errors
from ledger.domain.codec import NewEvent
from ledger.domain.commands import ExpireGrants, OpenAccount
from ledger.domain.verdicts import Answer, Refused
from ledger.limits import QUEUE_COMMANDS_MAX
from ledger.ports import Companion, Request
from ledger.remote import limits, protocol, sockets
from ledger.remote.client import WriterClient
from ledger.remote.probe import probe
from ledger.remote.protocol import Calls, Outcomes, Unwelcome, Welcome
from ledger.remote.server import WriterServer
from ledger.remote.sockets import SocketError, SocketTaken, listening
from ledger.store.memory import MemoryDatabase
from ledger.writer.prepare import prepare
from ledger.writer.requests import Append, WriterRequest
from tallystick.clock import SystemClock
from tests.support.writers import short_folder, writer_at

pytestmark = pytest.mark.timeout(60)
SECRET = b"a secret for the socket's tests"


class Gate:
    """A store in memory that answers nothing while it is shut."""

    def __init__(self) -> None:
        self.open = Event()
        self.open.set()
        self.asked = Event()
        self._inner = MemoryDatabase(SystemClock())

    def answer(self, request: WriterRequest) -> Any:
        self.asked.set()
        assert self.open.wait(30)
        return self._inner.answer(request)

    look = answer

    def pack(self, append: Append) -> None:
        """Nothing needs to be made ready."""

    def close(self) -> None:
        """Nothing is held."""

    def shut(self) -> None:
        self.asked.clear()
        self.open.clear()


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def path() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "w.sock"


@pytest.fixture
def server(gate: Gate, path: Path) -> Iterator[WriterServer]:
    with writer_at(path, gate, SECRET) as found:
        yield found
        gate.open.set()


@pytest.fixture
def client(server: WriterServer, path: Path) -> Iterator[WriterClient]:
    assert server
    found = WriterClient(path, SECRET, SystemClock())
    yield found
    found.close()


def opening() -> Request:
    """Open a new account."""
    command = OpenAccount(account_id=uuid4(), organisation_id=uuid4())
    return Request(key=uuid4().hex, operation="open", command=command)


def asking() -> Request:
    """Something that is refused, whatever there is."""
    return Request(key=uuid4().hex, operation="expire", command=ExpireGrants(account_id=uuid4()))


class Raw:
    """A peer that says what it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self._frames = protocol.from_writer()

    def say(self, message: Any) -> None:
        self.socket.sendall(protocol.frame(message))

    def greet(self, **changes: Any) -> Any:
        self.say(msgspec.structs.replace(protocol.hello(SECRET), **changes))
        return self.hear()

    def hear(self) -> Any:
        """The next message; None when it hangs up."""
        while (message := self._frames.take()) is None:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._frames.feed(data)
        return message

    def hung_up(self) -> bool:
        """Whether the writer ends the connection."""
        try:
            while self.socket.recv(65536):
                continue
        except ConnectionResetError:
            return True
        return True


def test_every_answer_comes_back_to_who_asked(client: WriterClient) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda count: client.submit_many([opening() for _ in range(count)]), range(1, 60)))
    assert [len(one) for one in answers] == list(range(1, 60))
    assert client.queued == 0
    assert isinstance(client.submit(asking()).verdict, Refused)


def test_more_than_one_process_may_have_waiting_is_refused_at_once(
    client: WriterClient, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_MAX", 10)
    gate.shut()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.submit_many, [opening() for _ in range(10)])
        assert gate.asked.wait(60)
        start = time.monotonic()
        with pytest.raises(errors.NotDone):
            client.submit(opening())
        assert time.monotonic() - start < 8.0
        gate.open.set()
        assert len(waiting.result(60)) == 10
    assert client.submit(opening())


def test_a_full_queue_refuses_at_once_who_is_under_its_own_bound(
    server: WriterServer, path: Path, gate: Gate, client: WriterClient
) -> None:
    assert server
    gate.shut()
    others = [WriterClient(path, SECRET, SystemClock()) for _ in range(3)]
    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(client.submit, opening())
        assert gate.asked.wait(60)
        part = [[asking() for _ in range(limits.WAITING_MAX)] for _ in range(2)]
        filling = [threads.submit(other.submit_many, items) for other, items in zip(others, part, strict=False)]
        ends = time.monotonic() + 60
        while server.queued < QUEUE_COMMANDS_MAX:
            assert time.monotonic() < ends
            time.sleep(0.01)
        start = time.monotonic()
        with pytest.raises(errors.NotDone, match="queue is full"):
            others[2].submit(opening())
        assert time.monotonic() - start < 8.0
        gate.open.set()
        assert first.result(60)
        assert [len(one.result(60)) for one in filling] == [limits.WAITING_MAX] * 2
    for other in others:
        other.close()


def test_a_reader_that_does_not_read_is_given_up_and_hinders_nobody(
    path: Path, client: WriterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNREAD_BYTES_MAX", 100_000)
    slow = Raw(path)
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert isinstance(slow.greet(), Welcome)
    items = [prepare(asking(), SECRET) for _ in range(5_000)]
    for turn in range(8):
        slow.say(Calls([(turn * len(items) + number, [item]) for number, item in enumerate(items, 1)], []))
        assert client.submit(opening())
    assert slow.hung_up()
    assert client.submit(opening())


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        os.urandom(4096),
        b"\0\0\0\3abc",
        b"\0\0\0\1\xc0",
        (limits.FRAME_BYTES_MAX + 1).to_bytes(4),
        protocol.frame(Calls([], [])),
    ],
    ids=["http", "noise", "no message", "nothing", "oversized", "calls before a greeting"],
)
def test_what_is_no_greeting_ends_that_connection_alone(path: Path, client: WriterClient, said: bytes) -> None:
    assert client.submit(opening())
    stranger = Raw(path)
    stranger.socket.sendall(said)
    assert stranger.hung_up()
    assert client.submit(opening())


def test_an_oversized_frame_of_a_welcome_peer_is_refused(path: Path, client: WriterClient) -> None:
    peer = Raw(path)
    assert isinstance(peer.greet(), Welcome)
    peer.socket.sendall((limits.FRAME_BYTES_MAX + 1).to_bytes(4))
    said = peer.hear()
    assert isinstance(said, Unwelcome) and str(limits.FRAME_BYTES_MAX) in said.reason
    assert peer.hung_up()
    assert client.submit(opening())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": protocol.VERSION + 1}, "run the same release"),
        ({"shape": b"another"}, "knows other commands"),
        ({"proof": b"another"}, "another TALLYSTICK_SECRET"),
    ],
)
def test_a_peer_of_another_release_or_secret_is_told_why_not(
    path: Path, client: WriterClient, changes: dict[str, Any], reason: str
) -> None:
    said = Raw(path).greet(**changes)
    assert isinstance(said, Unwelcome) and reason in said.reason
    assert client.submit(opening())


def test_a_caller_of_another_release_is_refused_at_once_and_not_done(
    server: WriterServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server
    monkeypatch.setattr(
        protocol, "hello", lambda secret: protocol.Hello(99, protocol.shape(), protocol.proof_of(secret))
    )
    other = WriterClient(path, SECRET, SystemClock())
    with pytest.raises(errors.NotDone, match="version 99"):
        other.submit(opening(), timeout_s=60)
    assert "version 99" in (probe(path, SECRET) or "")
    other.close()


def test_who_says_nothing_is_let_go(path: Path, client: WriterClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GREETING_LIMIT_S", 0.2)
    silent = Raw(path)
    assert silent.hung_up()
    assert client.submit(opening())


def test_what_a_caller_that_is_gone_had_queued_is_dropped(
    server: WriterServer, path: Path, gate: Gate, client: WriterClient
) -> None:
    gate.shut()
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(client.submit, opening())
        assert gate.asked.wait(60)
        gone = Raw(path)
        assert isinstance(gone.greet(), Welcome)
        gone.say(Calls([(number, [prepare(opening(), SECRET)]) for number in range(500)], []))
        ends = time.monotonic() + 60
        while server.queued < 500:
            assert time.monotonic() < ends
            time.sleep(0.01)
        gone.socket.close()
        while server.queued:
            assert time.monotonic() < ends
            time.sleep(0.01)
        gate.open.set()
        assert first.result(60)


def test_the_socket_is_private_and_its_folder_must_be(server: WriterServer, path: Path) -> None:
    assert server
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(SocketTaken), listening(path):
        pytest.fail("two at one address")
    open_to_all = path.parent / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o755)
    with pytest.raises(SocketError, match="0700"), listening(open_to_all / "w.sock"):
        pytest.fail("anybody may connect")


def test_other_users_are_not_let_in(path: Path, server: WriterServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server
    assert sockets.may_connect(0) and sockets.may_connect(os.geteuid())
    stranger = os.geteuid() + 1
    assert not sockets.may_connect(stranger)
    monkeypatch.setattr("ledger.remote.server.peer_uid", lambda _connected: stranger)
    peer = Raw(path)
    with suppress(ConnectionError):
        assert peer.greet() is None


def test_a_caller_that_has_gone_before_it_is_known_keeps_nobody_else_out(
    path: Path, server: WriterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server
    gone = [OSError(errno.ENOTCONN, "Socket is not connected")]
    monkeypatch.setattr("ledger.remote.server.peer_uid", lambda one: _uid_unless(gone, one))
    with socket.socket(socket.AF_UNIX) as first:
        first.connect(str(path))
        with suppress(ConnectionError):
            assert first.recv(1) == b"", "it is hung up on"
    assert probe(path, SECRET, timeout_s=30) is None
    assert not gone


def _uid_unless(failures: list[OSError], connected: socket.socket) -> int:
    if failures:
        raise failures.pop()
    return sockets.peer_uid(connected)


@pytest.mark.parametrize("where", ["_read", "_look_at"])
def test_a_fault_over_one_caller_leaves_the_writer_to_the_others(
    where: str, path: Path, server: WriterServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults, real = [ZeroDivisionError("a fault of ours")], getattr(server, where)

    def once(*seen: Any) -> None:
        if faults:
            raise faults.pop()
        real(*seen)

    monkeypatch.setattr(server, where, once)
    with suppress(ConnectionError):
        Raw(path).greet()
    assert probe(path, SECRET, timeout_s=30) is None
    assert not faults


def test_a_stale_socket_is_taken_over(path: Path) -> None:
    with ExitStack() as stack:
        left = stack.enter_context(socket.socket(socket.AF_UNIX))
        left.bind(str(path))
    with listening(path):
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()


def test_a_call_that_is_too_large_for_a_frame_is_refused_where_it_is_made(
    client: WriterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FRAME_SIZE", 1_000)
    monkeypatch.setattr(limits, "FRAME_BYTES_MAX", 10_000)
    with pytest.raises(errors.InvalidRequest):
        client.submit_many([opening() for _ in range(200)])
    assert client.submit(opening())


def broken() -> Request:
    """What passes every check and cannot be encoded."""
    return msgspec.structs.replace(opening(), on_accept=(Companion(uuid4(), 0, (NewEvent("test.bad\udcff", b"{}"),)),))


def codes(answers: Sequence[Answer]) -> list[str]:
    return [one.verdict.code if isinstance(one.verdict, Refused) else "done" for one in answers]


def test_a_call_that_cannot_be_encoded_ends_alone_on_threads(path: Path, gate: Gate) -> None:
    client = WriterClient(path, SECRET, SystemClock())
    beside = opening()
    calls = [[opening()], [opening(), opening()], [beside, broken()], [opening()]]
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(client.submit_many, call, timeout_s=20) for call in calls]
        ends = time.monotonic() + 60
        while client.queued < sum(map(len, calls)):  # so that all are in one frame
            assert time.monotonic() < ends
            time.sleep(0.01)
        with writer_at(path, gate, SECRET):
            answers = [codes(one.result(60)) for one in asked]
            assert answers == [["done"], ["done"] * 2, ["internal-error"] * 2, ["done"]]
            assert client.queued == 0
            again = client.submit(beside)
            assert codes([again]) == ["done"] and not again.replayed, "nothing of its call was sent"
            client.close()


def test_a_call_that_cannot_be_encoded_ends_alone_on_an_event_loop(client: WriterClient) -> None:
    async def ask() -> list[list[Answer]]:
        await client.submit_async([opening()])
        calls = [[opening()], [broken()], [opening()], [broken()], [opening(), opening()]]
        return await asyncio.gather(*(client.submit_async(call, timeout_s=60) for call in calls))

    answers = [codes(one) for one in asyncio.run(ask())]
    assert answers == [["done"], ["internal-error"], ["done"], ["internal-error"], ["done"] * 2]
    assert client.queued == 0


def test_a_call_that_is_larger_than_a_frame_and_cannot_be_encoded_ends_too(
    client: WriterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FRAME_SIZE", 1_000)
    assert codes(client.submit_many([opening(), opening(), broken()], timeout_s=60)) == ["internal-error"] * 3
    assert client.submit(opening())


def test_outcomes_that_no_writer_of_ours_gives_end_unknown(path: Path) -> None:
    with listening(path) as listener:
        listener.setblocking(True)
        client = WriterClient(path, SECRET, SystemClock())
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(client.submit, opening(), timeout_s=60)
            connected, _ = listener.accept()
            frames = protocol.from_client()
            heard: list[Any] = []
            connected.settimeout(60)
            while len(heard) < 2:
                frames.feed(connected.recv(65536))
                while (message := frames.take()) is not None:
                    heard.append(message)
                    if len(heard) == 1:
                        connected.sendall(protocol.frame(Welcome(1)))
            number = heard[1].calls[0][0]
            connected.sendall(protocol.frame(Outcomes([(number + 7, [])], [(number, "a word of tomorrow", "")])))
            assert isinstance(asked.exception(60), errors.OutcomeUnknown)
        client.close()
        connected.close()
