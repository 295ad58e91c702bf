"""Requests are checked and named before they are queued, on the caller's thread: nobody's mistake hurts strangers."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple, get_args, get_type_hints
from uuid import UUID

from ledger import limits
from ledger.domain.codec import ACCOUNT_PREFIX
from ledger.domain.commands import Command
from ledger.errors import InvalidRequest
from ledger.ports import Companion, Request
from ledger.writer.keys import command_body, digests, key_hash


class Prepared(NamedTuple):
    """A request with its names; ``size`` is a rough number of bytes for the batch's bound."""

    request: Request
    key_hash: bytes
    digests: bytes
    account_id: UUID | None
    hold_id: UUID | None
    size: int


def prepare(request: Request, secret: bytes) -> Prepared:
    """Check a request and compute its key and digests.

    :raises InvalidRequest: text with NUL or too long, a number out of range, an oversized event.
    """
    size = check(request)
    command = request.command
    account_id = command.account_id if command is not None else None
    scope_id = request.scope_id or account_id
    if scope_id is None:
        raise InvalidRequest("scope_id", "a request without a command names its scope")
    body = command_body(command) if request.body is None else request.body
    return Prepared(
        request=request,
        key_hash=key_hash(scope_id, request.operation, request.key),
        digests=digests(body, secret),
        account_id=account_id,
        hold_id=getattr(command, "hold_id", None),
        size=size,
    )


def check(request: Request) -> int:
    """Check all that can be checked without the database; a rough size in bytes.

    :raises InvalidRequest: names the field.
    """
    check_text("key", request.key, limits.KEY_CHARS_MAX, empty=False)
    check_text("operation", request.operation, limits.KEY_CHARS_MAX, empty=False)
    size = 512
    for companion in (*request.on_accept, *request.on_refuse):
        size += check_companion(companion)
    if request.command is not None:
        check_command(request.command)
    elif not request.on_accept:
        raise InvalidRequest("command", "nothing to do: neither a command nor an event")
    return size


def check_companion(companion: Companion) -> int:
    """Check events of another stream; their size in bytes."""
    if not 0 < len(companion.events) <= limits.COMPANION_EVENTS_MAX or companion.after_version < 0:
        raise InvalidRequest("companions", "expected 1 to 256 events after version 0 or later")
    for event in companion.events:
        if event.tag.startswith(ACCOUNT_PREFIX):
            raise InvalidRequest("companions", "events of an account come from commands only")
        if len(event.state) > limits.EVENT_BYTES_MAX or "\0" in event.tag:
            raise InvalidRequest("companions", f"an event has at most {limits.EVENT_BYTES_MAX} bytes")
    return sum(len(event.state) for event in companion.events)


def check_command(command: Command) -> None:
    """Check the numbers and texts of a command against the limits."""
    for name, low, high in _numbers(type(command)):
        value = getattr(command, name)
        if value is not None and not low <= value <= high:
            raise InvalidRequest(name, f"expected {low} to {high}")
    for name in _texts(type(command)):
        check_text(name, getattr(command, name), limits.TEXT_CHARS_MAX)


def check_text(name: str, text: str, chars_max: int, *, empty: bool = True) -> None:
    """Check a text: bounded, storable."""
    if len(text) > chars_max or (not text and not empty):
        raise InvalidRequest(name, f"expected {0 if empty else 1} to {chars_max} characters")
    if text.isascii():
        storable = "\0" not in text
    else:
        storable = "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
    if not storable:
        raise InvalidRequest(name, "NUL and lone surrogates cannot be stored")


@cache
def _numbers(kind: type[Command]) -> tuple[tuple[str, int, int], ...]:
    """Numeric fields of a command with their bounds."""
    hints = get_type_hints(kind)
    return tuple(
        (name, *_RANGES.get(name, (0, limits.INT64_MAX))) for name in kind.__struct_fields__ if _is(hints[name], int)
    )


@cache
def _texts(kind: type[Command]) -> tuple[str, ...]:
    """Text fields of a command, whose values are not fixed by their type."""
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if _is(hints[name], str))


def _is(hint: object, kind: type) -> bool:
    return hint is kind or kind in get_args(hint)


_RANGES = {
    "amount_ucr": (1, limits.AMOUNT_MAX_UCR),
    "lease_s": (1, limits.HOLD_LEASE_MAX_S),
    "lifetime_s": (1, limits.GRANT_LIFETIME_MAX_S),
    "max_open_holds": (1, limits.OPEN_HOLDS_MAX),
    "priority": (0, 1_000_000),
    "generation": (1, 1_000_000),
}
