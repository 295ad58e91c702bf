"""Asks whether a writer answers at a socket, as a caller of this release would."""

from __future__ import annotations

import socket
from pathlib import Path

from ledger.remote import limits, protocol
from ledger.remote.protocol import FromWriter, ProtocolError, Unwelcome, Welcome

NO_WRITER = "no writer answers at"
_READ_BYTES = 4096


def probe(path: Path, secret: bytes, *, timeout_s: float = limits.GREETING_LIMIT_S) -> str | None:
    """Greet the writer at ``path``; None if it is one that this process can use, else why not."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connected:
            connected.settimeout(timeout_s)
            connected.connect(str(path))
            connected.sendall(protocol.frame(protocol.hello(secret)))
            said = _read(connected)
    except TimeoutError:
        return f"the writer at {path} does not answer within {timeout_s:g} s"
    except OSError as error:
        return f"{NO_WRITER} {path}: {error.strerror or error}"
    except ProtocolError as error:
        return f"what answers at {path} is no writer of ours: {error}"
    if isinstance(said, Unwelcome):
        return f"the writer at {path} refuses this process: {said.reason}"
    return None if isinstance(said, Welcome) else f"the writer at {path} hangs up"


def _read(connected: socket.socket) -> FromWriter | None:
    frames = protocol.from_writer()
    while (message := frames.take()) is None:
        data = connected.recv(_READ_BYTES)
        if not data:
            return None
        frames.feed(data)
    return message
