"""Parts that several answers share."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

T = TypeVar("T")

_CREDITS = r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,6})?$"
Credits = Annotated[
    str, Meta(pattern=_CREDITS, description="Credits: a decimal string with at most six decimals.", examples=["12.5"])
]
Minor = Annotated[
    int, Meta(description="An amount in the minor unit of the currency named beside it.", examples=[1000])
]


class PageOut(Struct, Generic[T], frozen=True, kw_only=True):
    """A part of a list. ``next_cursor`` as ``after`` continues it."""

    data: list[T]
    has_more: bool
    next_cursor: str | None = None
