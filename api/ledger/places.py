"""Where in a body a mistake is that the ledger found: it knows fields of commands, and callers know those of bodies."""

from __future__ import annotations

from collections.abc import Iterable

from api.errors import Fault, Invalid
from api.ledger.asked import Asked, Group
from ledger.errors import InvalidRequest
from ledger.ports import Request
from ledger.writer.prepare import check, check_command

_FIELDS = {"key": "idempotency_key", "lifetime_s": "expires_in_s", "linked": "operations"}
"""Fields of commands and requests whose name in a body is another one. Amounts lose their unit."""


def located(error: InvalidRequest, made: Iterable[tuple[Asked | Group, Request]]) -> Invalid:
    """The mistake as the caller's, with its place in the body; without one if it is found in none of the requests.

    The ledger refuses a submission for its first mistake and does not say whose it is, so that all are checked again.
    """
    for item, request in made:
        try:
            check(request)
        except InvalidRequest as found:
            return _invalid(found, _place(item, request))
    return _invalid(error, "")


def _place(item: Asked | Group, request: Request) -> str:
    """The place of an operation, or of the part of a group that is at fault."""
    if isinstance(item, Asked) or request.command is None:
        return item.where
    for part, command in zip(item.parts, (request.command, *request.linked), strict=True):
        try:
            check_command(command)
        except InvalidRequest:
            return part.where
    return item.where


def _invalid(found: InvalidRequest, where: str) -> Invalid:
    name = found.field.removesuffix("_ucr")
    return Invalid([Fault(detail=found.detail, pointer=f"{where}/{_FIELDS.get(name, name)}")])
