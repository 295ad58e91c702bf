"""Whether the writer's process answers; asked also by commands that need nothing else of the program."""

from __future__ import annotations

from ledger.remote.probe import probe
from tallystick.settings import Settings

PURPOSE = "ledger-digests"
"""What the digests of request fields are keyed for."""


def unavailable(settings: Settings) -> str | None:
    """Why the writer's process cannot be used; None if it answers."""
    return probe(settings.writer_path, settings.key_for(PURPOSE))
