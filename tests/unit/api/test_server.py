"""What is written to a caller within one turn of the loop is sent in one piece, and nothing is kept back for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from api.server import Joined


class Sent:
    """A transport that notes each call."""

    def __init__(self) -> None:
        self.calls: list[bytes | str] = []

    def writelines(self, pieces: list[bytes]) -> None:
        """See ``asyncio.WriteTransport``."""
        self.calls.append(b"".join(pieces))

    def close(self) -> None:
        """See ``asyncio.BaseTransport``."""
        self.calls.append("closed")

    def is_closing(self) -> bool:
        """See ``asyncio.BaseTransport``."""
        return "closed" in self.calls


@pytest.fixture
def sent() -> Sent:
    """What was sent."""
    return Sent()


def turns(sent: Sent, *turns: Callable[[Joined], object]) -> None:
    """Do each in a turn of the loop of its own, and let one more pass."""

    async def run() -> None:
        transport = Joined(cast("Any", sent), asyncio.get_running_loop())
        for turn in turns:
            turn(transport)
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(run())


def writing(*pieces: bytes) -> Callable[[Joined], object]:
    """A turn in which these are written."""
    return lambda transport: [transport.write(piece) for piece in pieces]


def test_head_and_body_are_sent_in_one_piece(sent: Sent) -> None:
    turns(sent, writing(b"head ", b"body"))
    assert sent.calls == [b"head body"]


def test_what_is_written_later_is_sent_by_itself(sent: Sent) -> None:
    turns(sent, writing(b"one"), writing(b"two"))
    assert sent.calls == [b"one", b"two"]


def test_what_is_large_is_sent_at_once_and_in_order(sent: Sent) -> None:
    large = b"x" * 100_000

    def turn(transport: Joined) -> None:
        writing(b"head ", large, b" tail")(transport)
        assert sent.calls == [b"head " + large]

    turns(sent, turn)
    assert sent.calls == [b"head " + large, b" tail"]


def test_nothing_is_lost_by_closing(sent: Sent) -> None:
    def turn(transport: Joined) -> None:
        transport.write(b"last words")
        assert not transport.is_closing()
        transport.close()
        assert transport.is_closing()

    turns(sent, turn)
    assert sent.calls == [b"last words", "closed"]
