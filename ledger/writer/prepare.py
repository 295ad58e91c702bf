"""Requests are checked and named before they are queued, on the caller's thread: nobody's mistake hurts strangers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args, get_type_hints
from uuid import UUID

from msgspec import Struct

from ledger import limits
from ledger.domain.codec import ACCOUNT_PREFIX, tag_of
from ledger.domain.commands import (
    AdjustBalance,
    Command,
    DebitCredits,
    GrantCredits,
    HoldCredits,
    OpenAccount,
    ReverseDebit,
    SetBudget,
    TransferCredits,
)
from ledger.domain.events import LogForked
from ledger.domain.evolve import GrantKey
from ledger.errors import InvalidRequest
from ledger.ports import Companion, Request
from ledger.writer.keys import differing_field, key_hash, request_body, request_digests
from ledger.writer.names import names

_Checks = tuple[str | None, tuple[tuple[str, int, int], ...], tuple[str, ...], Callable[[Any], None] | None]
_ADMISSION = tag_of(LogForked)
"""The one event of the ledger that no command writes."""


class Prepared(Struct, frozen=True, array_like=True, gc=False):
    """A request with its names; ``size`` is a rough number of bytes for the batch's bound.

    ``accounts``, ``holds``, ``grants`` and ``budgets`` are the ids that its commands name, the first account being the
    one that answers. ``fields`` names what ``digests`` are of; None where the request's commands tell.
    """

    request: Request
    key_hash: bytes
    digests: bytes
    size: int
    accounts: tuple[UUID, ...] = ()
    holds: tuple[UUID, ...] = ()
    grants: tuple[GrantKey, ...] = ()
    budgets: tuple[UUID, ...] = ()
    fields: tuple[str, ...] | None = None


def prepare(request: Request, secret: bytes) -> Prepared:
    """Check a request and compute its key and digests.

    :raises InvalidRequest: text with NUL or too long, a number or a date out of range, a new id of zeros, an oversized
        event, a body that is not JSON.
    """
    size = check(request)
    named = names(request)
    scope_id = request.scope_id or (named.accounts[0] if named.accounts else None)
    if scope_id is None:
        raise InvalidRequest("scope_id", "a request without an account names its scope")
    return Prepared(
        request,
        key_hash(scope_id, request.operation, request.key),
        _digests(request, secret),
        size,
        named.accounts,
        named.holds,
        named.grants,
        named.budgets,
        None if request.body is None else tuple(sorted(request.body)),
    )


def _digests(request: Request, secret: bytes) -> bytes:
    try:
        return request_digests(request, secret)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:  # commands are checked: it is the body
        raise InvalidRequest("body", f"expected what JSON can say: {error}") from error


def conflict(stored: bytes, prepared: Prepared) -> str | None:
    """The field in which a repeat differs from the request whose digests are ``stored``; None when it is the same."""
    fields = prepared.fields
    return differing_field(
        stored, prepared.digests, sorted(request_body(prepared.request)) if fields is None else fields
    )


def check(request: Request) -> int:
    """Check all that can be checked without the database; a rough size in bytes.

    :raises InvalidRequest: names the field.
    """
    check_text("key", request.key, 1, limits.KEY_CHARS_MAX)
    check_text("operation", request.operation, 1, limits.KEY_CHARS_MAX)
    if request.traceparent is not None:
        check_text("traceparent", request.traceparent, *_TRACEPARENT_CHARS)
    if request.expected_account_version is not None:
        check_number("expected_account_version", request.expected_account_version, 0, limits.INT64_MAX)
    size = 512 + 512 * len(request.linked)
    for companion in (*request.on_accept, *request.on_refuse):
        size += check_companion(companion)
    if request.command is not None:
        check_command(request.command)
        if request.linked:
            check_linked(request)
    elif not request.on_accept or request.linked:
        raise InvalidRequest("command", "nothing to do: neither a command nor an event")
    return size


def check_linked(request: Request) -> None:
    """Check commands that are done together."""
    if len(request.linked) >= limits.LINKED_MAX or isinstance(request.command, SetBudget):
        raise InvalidRequest("linked", f"expected commands of accounts, at most {limits.LINKED_MAX} with the first")
    for command in request.linked:
        check_command(command)


def check_companion(companion: Companion) -> int:
    """Check events of another stream; their size in bytes."""
    if not 0 < len(companion.events) <= limits.COMPANION_EVENTS_MAX:
        raise InvalidRequest("companions", f"expected 1 to {limits.COMPANION_EVENTS_MAX} events")
    check_number("companions", companion.after_version, 0, limits.INT64_MAX)
    for event in companion.events:
        if event.tag.startswith(ACCOUNT_PREFIX) and event.tag != _ADMISSION:
            raise InvalidRequest("companions", "events of an account come from commands only")
        if len(event.state) > limits.EVENT_BYTES_MAX or "\0" in event.tag:
            raise InvalidRequest("companions", f"an event has at most {limits.EVENT_BYTES_MAX} bytes")
    return sum(len(event.state) for event in companion.events)


def check_command(command: Command) -> None:
    """Check the new id, the numbers and the texts of a command against the limits."""
    made, numbers, texts, further = _checks(type(command))
    if made is not None and not getattr(command, made).int:
        raise InvalidRequest(made, "an id of zeros names nothing")
    for name, low, high in numbers:
        value = getattr(command, name)
        if value is not None and (type(value) is not int or not low <= value <= high):
            raise _no_number(name, low, high)
    for name in texts:
        check_text(name, getattr(command, name), 0, limits.TEXT_CHARS_MAX)
    if further is not None:
        further(command)


def check_budgets(command: HoldCredits | DebitCredits) -> None:
    """Check the budgets that a command counts against."""
    budgets = command.budgets
    if budgets and (len(budgets) > limits.BUDGETS_MAX or len(set(budgets)) < len(budgets)):
        raise InvalidRequest("budgets", f"expected at most {limits.BUDGETS_MAX}, each once")


def check_adjustment(command: AdjustBalance) -> None:
    """Check an adjustment, which may go either way."""
    if command.amount_ucr == 0:
        raise InvalidRequest("amount_ucr", "an adjustment of nothing")
    check_effective_of(command)


def check_effective_of(command: GrantCredits | AdjustBalance | ReverseDebit) -> None:
    """Check the effective date of a command that may have one."""
    if command.effective_at is not None:
        check_effective(command.effective_at)


def check_effective(effective_at: datetime) -> None:
    """Check an effective date: with its zone, within what a 64-bit count of microseconds holds.

    A zone behind UTC has times that are after the last one UTC has, and no event can carry those.
    """
    if effective_at.utcoffset() is None or not _EFFECTIVE_MIN <= effective_at <= _EFFECTIVE_MAX:
        raise InvalidRequest("effective_at", "expected a time with its zone, in UTC not before 2000 nor after 9999")


def check_number(name: str, value: int, low: int, high: int) -> None:
    """Check a number: whole and bounded. A bool is an int to Python, and no number to the writer that reads it."""
    if type(value) is not int or not low <= value <= high:
        raise _no_number(name, low, high)


def _no_number(name: str, low: int, high: int) -> InvalidRequest:
    return InvalidRequest(name, f"expected {low} to {high}")


def check_text(name: str, text: str, chars_min: int, chars_max: int) -> None:
    """Check a text: bounded, storable."""
    if not chars_min <= len(text) <= chars_max:
        raise InvalidRequest(name, f"expected {chars_min} to {chars_max} characters")
    if "\0" in text or not (text.isascii() or all(not "\ud800" <= char <= "\udfff" for char in text)):
        raise InvalidRequest(name, "NUL and lone surrogates cannot be stored")


@cache
def _checks(kind: type[Command]) -> _Checks:
    """What is checked of a command: the id it makes, numeric fields with bounds, text fields, and what is its own."""
    return _MADE.get(kind), _numbers(kind), _texts(kind), _FURTHER.get(kind)


def _numbers(kind: type[Command]) -> tuple[tuple[str, int, int], ...]:
    """Numeric fields of a command with their bounds."""
    hints = get_type_hints(kind)
    ranges = _RANGES | (
        {"amount_ucr": (-limits.AMOUNT_MAX_UCR, limits.AMOUNT_MAX_UCR)} if kind is AdjustBalance else {}
    )
    return tuple(
        (name, *ranges.get(name, (0, limits.INT64_MAX))) for name in kind.__struct_fields__ if _is(hints[name], int)
    )


def _texts(kind: type[Command]) -> tuple[str, ...]:
    """Text fields of a command, whose values are not fixed by their type."""
    hints = get_type_hints(kind)
    return tuple(name for name in kind.__struct_fields__ if _is(hints[name], str))


def _is(hint: object, kind: type) -> bool:
    return hint is kind or kind in get_args(hint)


_MADE: dict[type, str] = {
    OpenAccount: "account_id",
    GrantCredits: "grant_id",
    HoldCredits: "hold_id",
    DebitCredits: "debit_id",
    ReverseDebit: "reversal_id",
    TransferCredits: "transfer_id",
    AdjustBalance: "adjustment_id",
}
"""Under which id a command makes something. Zeros stand for what is no grant in a slice, and for no account where pages
of accounts begin. A command that names zeros otherwise is answered that there is no such thing."""

_FURTHER: dict[type, Callable[[Any], None]] = {
    HoldCredits: check_budgets,
    DebitCredits: check_budgets,
    AdjustBalance: check_adjustment,
    GrantCredits: check_effective_of,
    ReverseDebit: check_effective_of,
}
_EFFECTIVE_MIN = datetime(2000, 1, 1, tzinfo=UTC)
_EFFECTIVE_MAX = datetime.max.replace(tzinfo=UTC)
_TRACEPARENT_CHARS = (55, 55)
"""What W3C's text form has, and the table asks for."""
_RANGES = {
    "amount_ucr": (1, limits.AMOUNT_MAX_UCR),
    "cap_ucr": (1, limits.AMOUNT_MAX_UCR),
    "cost_micro": (0, limits.VALUE_MAX_MICRO),
    "list_value_micro": (0, limits.VALUE_MAX_MICRO),
    "keep_ucr": (0, limits.AMOUNT_MAX_UCR),
    "limit_ucr": (0, limits.AMOUNT_MAX_UCR),
    "overdraft_limit_ucr": (0, limits.AMOUNT_MAX_UCR),
    "grace_s": (1, limits.GRANT_LIFETIME_MAX_S),
    "lease_s": (1, limits.HOLD_LEASE_MAX_S),
    "lifetime_s": (1, limits.GRANT_LIFETIME_MAX_S),
    "max_open_holds": (1, limits.OPEN_HOLDS_MAX),
    "priority": (0, 1_000_000),
    "generation": (1, 1_000_000),
}
