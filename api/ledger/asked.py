"""What is asked, read and not yet done; and what its repeat is compared by."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

from msgspec import Struct
from msgspec.structs import fields

from api.ledger.kinds import Kind
from ledger import ids

NOBODY = UUID(int=0)
"""Stands where nothing is named."""

_AMOUNTS = frozenset({"amount", "cap", "keep", "limit", "overdraft_limit"})
_NOT_COMPARED = frozenset({"account_id", "dry_run"})
_NOISE_BITS = (1 << 62) - 1


class Asked(NamedTuple):
    """One thing that is asked; ``key`` is its idempotency key, ``target`` the id that it names.

    ``where`` is its place in the body, as a pointer.
    """

    kind: Kind
    body: Any
    key: str
    target: UUID = NOBODY
    where: str = ""


class Group(NamedTuple):
    """Things that are done together or not at all, under one key; ``where`` as in ``Asked``."""

    parts: Sequence[Asked]
    key: str
    expected_account_version: int | None
    dry_run: bool
    where: str


def target_of(kind: Kind, text: str) -> UUID:
    """The id that an operation names.

    :raises ValueError: of another kind, or none.
    """
    prefix = text.partition("_")[0]
    return ids.parse(prefix if prefix in kind.target_kinds else kind.target_kinds[0], text)


def compared(item: Asked) -> dict[str, Any]:
    """What a repeat is compared by: fields as sent, less those at their default; equal amounts are equal texts."""
    kind, body = item.kind, item.body
    sent: dict[str, Any] = {}
    for name, default in _fields(kind.body):
        value = getattr(body, name)
        if value != default:
            sent[name] = plain(value) if name in _AMOUNTS else value
    if kind.target:
        sent[kind.target] = item.target
    return sent


def compared_group(group: Group, accounts: Sequence[UUID]) -> dict[str, Any]:
    """The same for a group, by the place of each field; the accounts of all but the first are no part of the key."""
    sent: dict[str, Any] = {"operations": len(group.parts)}
    for index, (item, account_id) in enumerate(zip(group.parts, accounts, strict=True)):
        more = {"op": item.kind.name, "account_id": account_id}
        sent |= {f"operations/{index}/{name}": value for name, value in (compared(item) | more).items()}
    if group.expected_account_version is not None:
        sent["expected_account_version"] = group.expected_account_version
    return sent


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, Any], ...]:
    """Fields that are compared, with their defaults."""
    known = [field for field in fields(kind) if field.name not in _NOT_COMPARED]
    return tuple(
        (field.name, field.default_factory() if callable(field.default_factory) else field.default) for field in known
    )


def plain(amount: str) -> str:
    """The shortest text of an amount: ``2.50`` is ``2.5``."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def derived(group_id: UUID, index: int) -> UUID:
    """Id of what one of a group makes: a repeat finds it again from the group's own, which the verdict keeps."""
    noise = int.from_bytes(sha256(group_id.bytes + index.to_bytes(2)).digest()[:8]) & _NOISE_BITS
    return UUID(int=group_id.int & ~_NOISE_BITS | noise)
