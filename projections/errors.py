"""What can go wrong on the read side.

ProjectionError
├── Unbookable         an event for which no rule of the books holds: the follower parks at it
├── Differences        a read model does not say what the log says
├── ExportError        an export cannot be written, or its content is not what it must be
└── CheckerMissing     a program that checks exports is not installed
"""

from __future__ import annotations

from collections.abc import Sequence


class ProjectionError(Exception):
    """Root of this package's errors. ``code`` is stable; ``transient`` says whether trying again can help."""

    code = "projection-error"
    transient = False


class Unbookable(ProjectionError):
    """No rule of the books holds for an event; the message says which fact is missing or wrong."""

    code = "unbookable"


class Differences(ProjectionError):
    """A read model does not say what the log says; ``found`` has one line for each difference."""

    code = "projection-differs"

    def __init__(self, found: Sequence[str]) -> None:
        self.found = tuple(found)
        super().__init__("\n".join(self.found))


class ExportError(ProjectionError):
    """An export cannot be written, or its content is not what it must be."""

    code = "export-failed"


class CheckerMissing(ProjectionError):
    """A program that checks exports is not installed; ``program`` names it."""

    code = "checker-missing"

    def __init__(self, program: str, install: str) -> None:
        self.program = program
        super().__init__(f"{program} is not there: {install}")
