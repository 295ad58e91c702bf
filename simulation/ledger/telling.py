"""A history in words, one line a step; ids are named by what they stand for, in the order in which they appear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from msgspec import Struct

from ledger.ports import Request
from simulation.ledger.steps import Crash, Crowd, Die, Fly, Follow, Foreign, Give, Jump, Look, Pass, Restart, Step, Turn

_KINDS = {
    "account_id": "account",
    "to_account_id": "account",
    "organisation_id": "organisation",
    "hold_id": "hold",
    "debit_id": "debit",
    "grant_id": "grant",
    "budgets": "budget",
    "receipt_id": "receipt",
}


_FATES = {
    "well": "",
    "cut": "; its connection breaks before the question arrives",
    "lost": "; the answer it waits for is lost",
    "refused": "; the database refuses what it appends",
}


class Names:
    """Short names for ids."""

    def __init__(self) -> None:
        self._names: dict[UUID, str] = {}

    def name(self, what: str, value: UUID) -> str:
        """The name of an id; a new one says what it is."""
        if value not in self._names:
            kind = _KINDS.get(what, what.removesuffix("_id"))
            self._names[value] = f"{kind}-{sum(name.startswith(kind + '-') for name in self._names.values()) + 1}"
        return self._names[value]

    def text(self, value: str) -> str:
        """A text in which ids are named."""
        for one, name in self._names.items():
            value = value.replace(f"UUID('{one}')", name).replace(str(one), name)
        return value


def told(history: Sequence[Step], names: Names) -> Iterator[str]:
    """Every step in words."""
    for step in history:
        yield from _step(step, names)


def _step(step: Step, names: Names) -> Iterator[str]:
    match step:
        case Give(writer, requests):
            yield f"writer {writer} is given a batch of {len(requests)}:"
            yield from (f"    {_request(request, names)}" for request in requests)
        case Turn() | Fly():
            ahead = ", with what it has decided ahead" if isinstance(step, Fly) else ""
            yield f"writer {step.writer} goes on{ahead}{_FATES[step.fate]}"
        case Crash(writer):
            yield f"writer {writer} crashes"
        case Restart():
            yield "the database restarts"
        case Pass(seconds):
            yield f"{seconds:g} s pass"
        case Jump(writer, seconds):
            yield f"the clock of {'the database' if writer is None else f'writer {writer}'} is set by {seconds:+g} s"
        case Look():
            yield _look(step, names)
        case Follow() | Die():
            yield _following(step)
        case Crowd() | Foreign():
            yield _intruding(step, names)


def _intruding(step: Crowd | Foreign, names: Names) -> str:
    name = names.name("account_id", step.account_id)
    if isinstance(step, Foreign):
        return f"{name} is written by another release"
    return f"{name} has had nearly all refusals that are kept in a day"


def _following(step: Follow | Die) -> str:
    if isinstance(step, Die):
        return f"process {step.process} dies"
    return f"process {step.process} goes on, or takes {step.limit} events for follower {step.follower}"


def _look(step: Look, names: Names) -> str:
    about = names.name("account_id" if step.what != "hold" else "hold_id", step.about)
    ago = "" if step.back is None else f" as of {step.back} requests ago"
    return f"somebody looks at the {step.what} of {about}" + (f" as of {step.back_s:g} s ago" if step.back_s else ago)


def _request(request: Request, names: Names) -> str:
    commands = [] if request.command is None else [request.command, *request.linked]
    words = (
        " + ".join(f"{one.__struct_config__.tag}({_fields(one, names)})" for one in commands) or "nothing but events"
    )
    more = {
        "as": request.operation,
        "origin": request.origin,
        "expects version": request.expected_account_version,
        "dry": request.dry_run or None,
        "body": request.body,
        "scope": names.name("account_id", request.scope_id) if request.scope_id else None,
        "on accept": [names.name("stream_id", one.stream_id) for one in request.on_accept] or None,
        "on refuse": [names.name("stream_id", one.stream_id) for one in request.on_refuse] or None,
    }
    if commands and request.operation == commands[0].__struct_config__.tag:
        del more["as"]
    return f"{request.key}: {words} " + ", ".join(
        f"{name} {value}" for name, value in more.items() if value is not None
    )


def _fields(command: Struct, names: Names) -> str:
    values = {name: getattr(command, name) for name in command.__struct_fields__}
    return ", ".join(f"{name}={_value(name, value, names)}" for name, value in values.items() if _said(value))


def _said(value: Any) -> bool:
    return value is not None and value not in ((), "", "USD")


def _value(name: str, value: Any, names: Names) -> str:
    if isinstance(value, UUID):
        return names.name(name, value)
    if isinstance(value, tuple):
        return "/".join(_value(name, part, names) for part in cast("tuple[Any, ...]", value))
    return value.isoformat() if isinstance(value, datetime) else str(value)
