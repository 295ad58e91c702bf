"""The node's WebSockets: one per client id, events in order, nobody listening means dropped."""

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

FEATURES: dict[str, Any] = {
    "supports_preview_metadata": True, "supports_model_type_tags": True, "max_upload_size": 104857600,
    "extension": {"manager": {"supports_v4": True}}, "node_replacements": True, "assets": False}  # fmt: skip
Send: TypeAlias = Callable[[Any], Any]


class Hub:
    """Told from any thread, sends on the event loop; a client id of None is everybody.

    `metadata` are the clients that asked for previews with metadata.
    """

    def __init__(self) -> None:
        self._sockets: dict[str, Send] = {}
        self.metadata: set[str] = set()
        self._outbox: asyncio.Queue[tuple[dict[str, Any], str | None]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._publish())

    def tell(self, event: str, data: dict[str, Any], client_id: str | None = None) -> None:
        """Send one event."""
        self._post({"text": json.dumps({"type": event, "data": data})}, client_id)

    def show(self, picture: bytes, metadata: dict[str, Any], client_id: str | None) -> None:
        """Send one picture, in the form that the client asked for."""
        if client_id in self.metadata:
            text = json.dumps(metadata).encode()
            head = struct.pack(">II", 4, len(text)) + text
        else:
            head = struct.pack(">II", 1, 1 if metadata["image_type"] == "image/jpeg" else 2)
        self._post({"bytes": head + picture}, client_id)

    def _post(self, frame: dict[str, Any], client_id: str | None) -> None:
        self._loop.call_soon_threadsafe(self._outbox.put_nowait, (frame, client_id))

    async def _publish(self) -> None:
        while True:
            frame, client_id = await self._outbox.get()
            sockets = list(self._sockets.values()) if client_id is None else [self._sockets.get(client_id)]
            for send in filter(None, sockets):
                with suppress(OSError, RuntimeError):  # the socket is gone; its own task cleans up
                    await send({"type": "websocket.send", **frame})

    async def serve(self, wanted: str, greet: Callable[[str], list[dict[str, Any]]], receive: Any, send: Send) -> None:
        """Serve one socket to its end. The newest of a client id hears; the end of any of them deafens it."""
        await receive()
        await send({"type": "websocket.accept"})
        client_id = wanted or uuid.uuid4().hex
        self._sockets[client_id] = send
        self.metadata.discard(client_id)
        try:
            for message in greet(client_id):
                await send({"type": "websocket.send", "text": json.dumps(message)})
            first = True
            while (frame := await receive())["type"] == "websocket.receive":
                if first and "feature_flags" in (frame.get("text") or ""):
                    if json.loads(frame["text"])["data"].get("supports_preview_metadata"):
                        self.metadata.add(client_id)
                    self.tell("feature_flags", FEATURES, client_id)
                first = False
        finally:
            self._sockets.pop(client_id, None)
            self.metadata.discard(client_id)
