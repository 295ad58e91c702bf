"""What a simulation finds wrong."""

from __future__ import annotations

from typing import Any, cast

from msgspec import Struct


class Wrong(Exception):
    """Something that must hold does not. ``kind`` is the same for the same fault, whatever the history before it."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


def must(kind: str, *, holds: bool, detail: object = "") -> None:
    """Say what must hold.

    :raises Wrong: it does not.
    """
    if not holds:
        raise Wrong(kind, str(detail))


def same(kind: str, *, said: object, expected: object) -> None:
    """Compare what the program says with what is expected.

    :raises Wrong: they differ.
    """
    if said != expected:
        raise Wrong(kind, differences(said, expected))


def differences(said: Any, expected: Any) -> str:
    """What differs, field by field where there are fields."""
    before, after = _fields(said), _fields(expected)
    if type(said) is not type(expected) or before is None or after is None:
        return f"the program says {said}, expected {expected}"
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return "; ".join(f"{name}: {differences(before.get(name), after.get(name))}" for name in names)


def _fields(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value)
    return dict(enumerate(cast("list[Any]", value))) if isinstance(value, list | tuple) else None
