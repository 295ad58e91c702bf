"""What a check finds wrong."""

from __future__ import annotations

from msgspec import Struct


class Finding(Struct, frozen=True):
    """The first thing that is wrong: at which position of the log and what; with ``until``, somewhere up to there.

    A row that no event accounts for has position 0.
    """

    position: int
    what: str
    until: int | None = None
