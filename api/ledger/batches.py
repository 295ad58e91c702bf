"""Batches: up to a thousand operations of any kind in one body, each with a key of its own; some linked to groups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from api.errors import Fault, Invalid
from api.ledger import bodies
from api.ledger.asked import NOBODY, Asked, Group, target_of
from api.ledger.kinds import KINDS, Kind
from api.limits import BATCH_OPERATIONS_MAX
from ledger.limits import LINKED_MAX

OP = "op"
"""The field that says what an operation is."""

_TARGETS: dict[str, Any] = {
    "hold_id": bodies.HoldId,
    "grant_id": bodies.GrantId,
    "debit_id": bodies.DebitId,
    "account_id": bodies.AccountId,
}


def operation_of(kind: Kind, suffix: str, more: Iterable[tuple[str, Any]]) -> type[Struct]:
    """The body of a kind as one operation of many: with its name, the id that it names, and what is needed ``more``."""
    target = [(kind.target, _TARGETS[kind.target])] if kind.target else []
    name = "".join(word.capitalize() for word in kind.name.split("-"))
    return msgspec.defstruct(
        f"{name}{suffix}",
        [*more, *target],
        bases=(kind.body,),
        namespace={"__doc__": kind.body.__doc__},
        module=__name__,
        tag_field=OP,
        tag=kind.name,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


ALONE = {operation_of(kind, "Op", [("idempotency_key", bodies.Key)]): kind for kind in KINDS if kind.batched}
LINKED = {operation_of(kind, "Part", []): kind for kind in KINDS if kind.batched and kind.whose != "organisation"}

if TYPE_CHECKING:
    Alone = Linked = Any
else:
    Linked = Union[tuple(LINKED)]  # noqa: UP007  its members are made above


class LinkedOp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field=OP, tag="linked"):
    """Operations under one key: all are done or none, and the problem names the first that was refused.

    Whether to try only, and at which version, is said here and not in one of them.
    """

    idempotency_key: bodies.Key
    operations: Annotated[list[Linked], Meta(min_length=1, max_length=LINKED_MAX)]
    expected_account_version: bodies.Version | None = None
    dry_run: bodies.Dry = False


if not TYPE_CHECKING:
    Alone = Union[(*ALONE, LinkedOp)]


class BatchIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Operations, done in this order. One that is malformed refuses them all; a verdict is each one's own."""

    operations: Annotated[list[Alone], Meta(min_length=1, max_length=BATCH_OPERATIONS_MAX, description="What to do.")]


def asked(batch: BatchIn) -> list[Asked | Group]:
    """The operations of a batch.

    :raises Invalid: an id that is none, or a linked operation says for itself what its group says for all.
    """
    return [_asked(operation, f"/operations/{index}") for index, operation in enumerate(batch.operations)]


def count(items: Iterable[Asked | Group]) -> int:
    """How many operations there are, each of a group counted."""
    return sum(len(item.parts) if isinstance(item, Group) else 1 for item in items)


def _asked(operation: Any, where: str) -> Asked | Group:
    if isinstance(operation, LinkedOp):
        return _group(operation, where)
    kind = ALONE[type(operation)]
    return Asked(kind, operation, operation.idempotency_key, _target(kind, operation, where), where)


def _group(group: LinkedOp, where: str) -> Group:
    parts: list[Asked] = []
    for index, operation in enumerate(group.operations):
        kind, there = LINKED[type(operation)], f"{where}/operations/{index}"
        for name in _OF_ALL:
            if getattr(operation, name):
                raise Invalid([Fault(detail="said for the whole group alone", pointer=f"{there}/{name}")])
        parts.append(Asked(kind, operation, group.idempotency_key, _target(kind, operation, there), there))
    return Group(parts, group.idempotency_key, group.expected_account_version, group.dry_run, where)


_OF_ALL: tuple[Literal["expected_account_version", "dry_run"], ...] = ("expected_account_version", "dry_run")


def _target(kind: Kind, operation: Any, where: str) -> UUID:
    if not kind.target:
        return NOBODY
    try:
        return target_of(kind, getattr(operation, kind.target))
    except ValueError as error:
        raise Invalid([Fault(detail=str(error), pointer=f"{where}/{kind.target}")]) from error
