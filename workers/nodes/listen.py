"""A ComfyUI node's WebSocket as the port's live events, for one attempt.

The socket is named by the attempt's id, so the node sends that attempt's events to it alone; what it broadcasts of
others is dropped here. Nothing is replayed after a cut, and a silent socket means nothing.
"""

import struct
from collections.abc import Generator, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from workers.nodes import wire
from workers.nodes.limits import CONNECT_LIMIT_S, FRAME_BYTES_MAX, QUIET_MIN_S
from workers.nodes.port import Dropped, Ended, Live, Preview, Progress, Quiet

_PREVIEW_WITH_METADATA = 4
_FEATURES = '{"type": "feature_flags", "data": {"supports_preview_metadata": true}}'
_CUT = (WebSocketException, OSError, TimeoutError)


class _Message(msgspec.Struct, frozen=True):
    type: str
    data: dict[str, Any] = {}


class _Step(msgspec.Struct, frozen=True):
    """Data of `progress`."""

    value: float
    max: float
    node: str


class _NodeProgress(msgspec.Struct, frozen=True):
    state: str


class _PreviewMetadata(msgspec.Struct, frozen=True):
    prompt_id: str
    image_type: str


@contextmanager
def listen(url: str, attempt_id: str, *, quiet_s: float, headers: Mapping[str, str]) -> Generator[Iterator[Live]]:
    """Open the socket, make sure that the node has registered it, and give its events; closes it at the end."""
    with ExitStack() as stack:
        try:
            socket = stack.enter_context(_connect(url, headers))
            socket.send(_FEATURES)
            socket.recv(timeout=CONNECT_LIMIT_S)
        except _CUT as error:
            events: Iterator[Live] = iter([Dropped(reason=wire.clip(f"{type(error).__name__}: {error}"))])
        else:
            events = _events(socket, attempt_id, max(quiet_s, QUIET_MIN_S))
        yield events


def _connect(url: str, headers: Mapping[str, str]) -> AbstractContextManager[ClientConnection]:
    return connect(
        url,
        additional_headers=dict(headers),
        open_timeout=CONNECT_LIMIT_S,
        close_timeout=1.0,
        ping_interval=None,
        max_size=FRAME_BYTES_MAX,
        proxy=None,
    )


def _events(socket: ClientConnection, attempt_id: str, quiet_s: float) -> Iterator[Live]:
    reader = _Reader(attempt_id)
    while True:
        try:
            frame = socket.recv(timeout=quiet_s)
        except TimeoutError:
            yield Quiet()
            continue
        except _CUT as error:
            yield Dropped(reason=wire.clip(type(error).__name__))
            return
        event = reader.read_text(frame) if isinstance(frame, str) else reader.read_binary(frame)
        if event is not None:
            yield event
        if isinstance(event, Ended):
            return


class _Reader:
    """Turns frames into events; remembers how many graph nodes have finished."""

    def __init__(self, attempt_id: str) -> None:
        self._attempt_id = attempt_id
        self._nodes_done = 0

    def read_text(self, frame: str) -> Live | None:
        """Read one text frame; None for what is not ours or says nothing."""
        message = wire.parse(frame, _Message)
        if message is None or message.data.get("prompt_id") != self._attempt_id:
            return None
        match message.type:
            case "progress":
                return self._progress(message.data)
            case "progress_state":
                return self._finished(message.data)
            case "executing" if message.data.get("node") is None:
                return Ended()
            case _:
                return None

    def _progress(self, data: dict[str, Any]) -> Live | None:
        try:
            step = msgspec.convert(data, _Step)
        except msgspec.ValidationError:
            return None
        return Progress(node_id=step.node, value=step.value, maximum=step.max, nodes_done=self._nodes_done)

    def _finished(self, data: dict[str, Any]) -> Live | None:
        """Report a graph node that has finished since the last map; the map comes whole with every step."""
        try:
            nodes = msgspec.convert(data.get("nodes"), dict[str, _NodeProgress])
        except msgspec.ValidationError:
            return None
        finished = [node_id for node_id, node in nodes.items() if node.state == "finished"]
        if len(finished) <= self._nodes_done:
            return None
        self._nodes_done = len(finished)
        return Progress(node_id=finished[-1], value=1, maximum=1, nodes_done=self._nodes_done)

    def read_binary(self, frame: bytes) -> Live | None:
        """Read one binary frame; previews without metadata may be another attempt's, and are dropped."""
        if len(frame) <= struct.calcsize(">II"):
            return None
        event, length = struct.unpack(">II", frame[:8])
        if event != _PREVIEW_WITH_METADATA:
            return None
        metadata = wire.parse(frame[8 : 8 + length], _PreviewMetadata)
        if metadata is None or metadata.prompt_id != self._attempt_id:
            return None
        return Preview(mime=metadata.image_type, content=frame[8 + length :])
