"""What can go wrong around the program rather than in it.

TallystickError
├── SettingsError          the settings hold mistakes; all are named
├── ServiceError           an embedded service cannot start or stay
│   ├── DataFolderError    its data folder cannot be used
│   └── DataFolderBusy     another instance uses the data folder
└── NotReady               something that must be there first is not
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class TallystickError(Exception):
    """Root of this package's errors. ``code`` is stable; ``transient`` says whether trying again can help."""

    code = "error"
    transient = False


class SettingsError(TallystickError):
    """The settings hold mistakes; ``mistakes`` has one line for each, beginning with the name."""

    code = "settings-invalid"

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("the settings hold mistakes:\n" + "\n".join(f"  {mistake}" for mistake in self.mistakes))


class ServiceError(TallystickError):
    """An embedded service cannot start or stay; ``service`` names it."""

    code = "service-failed"

    def __init__(self, service: str, reason: str) -> None:
        self.service = service
        self.reason = reason
        super().__init__(f"{service}: {reason}")


class DataFolderError(ServiceError):
    """A data folder cannot be used: read-only, full, or not ours; ``folder`` names it."""

    code = "data-folder-unusable"

    def __init__(self, service: str, folder: Path, reason: str) -> None:
        self.folder = folder
        super().__init__(service, f"{folder}: {reason}")


class DataFolderBusy(ServiceError):
    """Another instance uses the data folder; ``pid`` is its process, 0 when unknown."""

    code = "data-folder-busy"
    transient = True

    def __init__(self, folder: Path, pid: int) -> None:
        self.folder = folder
        self.pid = pid
        super().__init__(
            "data folder", f"{folder} is in use by process {pid or 'unknown'}; stop it, or set TALLYSTICK_DATA_DIR"
        )


class NotReady(TallystickError):
    """Something that must be there first is not, such as a migrated schema; the message says what to run."""

    code = "not-ready"
