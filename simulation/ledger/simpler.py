"""Simpler forms of a step, the simplest first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from ledger.ports import Request
from simulation.ledger.steps import Fly, Give, Step, Turn

_PLAIN: dict[str, Any] = {
    "on_accept": (),
    "on_refuse": (),
    "body": None,
    "subject_id": None,
    "expected_account_version": None,
    "dry_run": False,
    "origin": "system",
}


def simpler(step: Step) -> Iterator[Step]:
    """What a step might be replaced by."""
    if isinstance(step, Turn) and step.fate != "well":
        yield Turn(step.writer)
    if isinstance(step, Fly) and step.fate != "well":
        yield Fly(step.writer)
    if isinstance(step, Give):
        if step.writer:
            yield Give(0, step.requests)
        for requests in _fewer(step.requests):
            yield Give(step.writer, requests)
        for index, request in enumerate(step.requests):
            for other in _plainer(request):
                yield Give(step.writer, (*step.requests[:index], other, *step.requests[index + 1 :]))


def _fewer(requests: tuple[Request, ...]) -> Iterator[tuple[Request, ...]]:
    for index in range(len(requests)):
        if len(requests) > 1:
            yield (*requests[:index], *requests[index + 1 :])


def _plainer(request: Request) -> Iterator[Request]:
    for index in range(len(request.linked)):
        yield msgspec.structs.replace(request, linked=(*request.linked[:index], *request.linked[index + 1 :]))
    for name, plain in _PLAIN.items():
        if getattr(request, name) != plain and (request.command is not None or name != "on_accept"):
            yield msgspec.structs.replace(request, **{name: plain})
    if request.linked and request.command is not None:
        yield msgspec.structs.replace(request, command=request.linked[0], linked=request.linked[1:])
    if request.command is not None:
        for name, plain in _defaults(request.command):
            changed = msgspec.structs.replace(request.command, **{name: plain})
            yield msgspec.structs.replace(request, command=changed)


def _defaults(command: Struct) -> Iterator[tuple[str, Any]]:
    for field in msgspec.structs.fields(command):
        if field.default is not msgspec.NODEFAULT and getattr(command, field.name) != field.default:
            yield field.name, field.default
