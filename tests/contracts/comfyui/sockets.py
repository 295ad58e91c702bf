"""A client of the node's WebSocket that writes down what it hears as short lines."""

from __future__ import annotations

import json
import struct
from contextlib import ExitStack
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

PATIENCE_S = 60
_FORMATS = {1: "1", 2: "2"}


class Listener:
    """One socket; `lines` is what came, `messages` the data of each kind's first message."""

    def __init__(self, ws_url: str, client_id: str | None, *, metadata: bool = False) -> None:
        query = "" if client_id is None else f"?clientId={client_id}"
        self._connection = ExitStack()
        self.socket = self._connection.enter_context(connect(ws_url + query, max_size=2**24, proxy=None))
        self.lines: list[str] = []
        self.messages: dict[str, Any] = {}
        if metadata:
            self.socket.send(json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}}))
            self.hear()
        self.hear()

    def hear(self, timeout_s: float = PATIENCE_S) -> str:
        """Wait for one frame and write it down."""
        frame = self.socket.recv(timeout=timeout_s)
        line = self._text(json.loads(frame)) if isinstance(frame, str) else self._binary(frame)
        self.lines.append(line)
        return line

    def hear_until(self, end: str) -> list[str]:
        """Listen until a line begins with `end`."""
        while not self.hear().startswith(end):
            pass
        return self.lines

    def drain(self, quiet_s: float = 0.3) -> list[str]:
        """Listen until nothing comes for a while."""
        try:
            while True:
                self.hear(quiet_s)
        except (TimeoutError, ConnectionClosed):
            return self.lines

    def close(self) -> None:
        self._connection.close()

    def _text(self, message: dict[str, Any]) -> str:
        data, kind = message["data"], message["type"]
        line = _line(kind, data)
        self.messages.setdefault(_name(kind, data), data)
        return line

    @staticmethod
    def _binary(frame: bytes) -> str:
        event, number = struct.unpack(">II", frame[:8])
        if event == 4:
            return f"preview 4 {json.loads(frame[8 : 8 + number])['image_type']}"
        return f"preview {event} {_FORMATS[number]}"


def _name(kind: str, data: dict[str, Any]) -> str:
    if kind == "status" and "sid" in data:
        return "status greeting"
    if kind == "executing":
        return (
            "executing none" if data["node"] is None else kind if "prompt_id" in data else f"{kind} after reconnecting"
        )
    if kind == "execution_error":
        return f"{kind} ExecutionBlocked" if data["exception_type"] == "ExecutionBlocked" else f"{kind} raised"
    return kind


def _line(kind: str, data: dict[str, Any]) -> str:
    match kind:
        case "status":
            text = f"status {data['status']['exec_info']['queue_remaining']}"
            return text + (" greeting" if "sid" in data else "")
        case "progress_state":
            nodes = data["nodes"].items()
            states = (f"{key}:{node['state']}:{node['value']:g}/{node['max']:g}" for key, node in nodes)
            return "progress_state " + " ".join(states)
        case "progress":
            return f"progress {data['node']} {data['value']:g}/{data['max']:g}"
        case "executing" | "executed":
            return f"{kind} {data['node']}"
        case "execution_cached":
            return "execution_cached " + " ".join(data["nodes"])
        case "execution_error" | "execution_interrupted":
            return f"{kind} {data['node_id']}"
        case _:
            return kind
