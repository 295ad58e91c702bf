"""What a process waits for from the writer, where something of it cannot be sent."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from ledger.domain.codec import NewEvent
from ledger.domain.commands import OpenAccount
from ledger.ports import Companion, Request
from ledger.remote import limits, protocol
from ledger.remote.book import Book, Call
from ledger.remote.protocol import Calls
from ledger.tickets import THREADS
from ledger.writer.prepare import Prepared, prepare

BAD = (Companion(uuid4(), 0, (NewEvent("test.bad\udcff", b"{}"),)),)


def item(**more: Any) -> Prepared:
    command = OpenAccount(account_id=uuid4(), organisation_id=uuid4())
    return prepare(Request(key=uuid4().hex, operation="open", command=command, **more), b"secret")


def entered(book: Book, *items: Prepared, ends_s: float = 10.0) -> Call:
    call = Call(items or (item(),), THREADS, Future(), ends_s=ends_s)
    book.enter(call)
    return call


def heard(said: bytes) -> list[Calls]:
    """What the writer reads."""
    frames = protocol.from_client()
    frames.size_max = limits.FRAME_BYTES_MAX
    frames.feed(said)
    found: list[Calls] = []
    while (message := frames.take()) is not None:
        assert isinstance(message, Calls)
        found.append(message)
    return found


def numbers(said: bytes) -> list[int]:
    return [number for message in heard(said) for number, _ in message.calls]


def test_the_others_of_a_frame_are_sent_in_their_order_and_wait_on() -> None:
    book = Book()
    first, bad, last = entered(book), entered(book, item(), item(on_accept=BAD)), entered(book, item(), item())
    said, broken = book.take()
    assert numbers(said) == [first.number, last.number]
    assert broken == [bad] and book.waiting == 3
    assert book.take() == (b"", [])
    book.lose()
    assert numbers(book.take()[0]) == [first.number, last.number], "and what was not sent is not sent again"


def test_a_withdrawal_is_said_beside_a_call_that_cannot_be() -> None:
    book = Book()
    late = entered(book, ends_s=1.0)
    book.take()
    assert book.expire(1.0) == []
    bad = entered(book, item(on_refuse=BAD))
    said, broken = book.take()
    assert [message.withdrawn for message in heard(said)] == [[late.number]]
    assert broken == [bad]


def test_a_call_that_ended_meanwhile_is_not_settled_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    bad = entered(book, item(on_accept=BAD))
    settled: list[Call] = []
    ordinary = protocol.frame

    def late(message: Any) -> bytes:
        settled.extend(book.give_up("closed"))
        return ordinary(message)

    monkeypatch.setattr(protocol, "frame", late)
    assert book.take() == (b"", [])
    assert settled == [bad] and bad.error is not None and book.waiting == 0


def test_calls_that_are_too_much_for_one_frame_are_sent_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book()
    calls = [entered(book) for _ in range(20)]
    largest = len(msgspec.msgpack.encode(Calls([(20, calls[0].items)], [])))
    monkeypatch.setattr(limits, "FRAME_BYTES_MAX", 2 * largest)
    said, broken = book.take()
    assert broken == [] and numbers(said) == [call.number for call in calls]
