"""What a worker is told of an attempt that it ran."""

from __future__ import annotations

from msgspec import Struct


class Report(Struct, frozen=True, kw_only=True):
    """How an attempt ended for its worker: given, requeued, ended, late, fenced or postponed; and its verdict.

    ``node_state`` is what its node was put into, where it must stand aside.
    """

    result: str
    verdict: str = ""
    node_state: str | None = None
