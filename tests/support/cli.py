"""Commands of the command line, run in this process under a test's settings."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner, Result

from tallystick.cli.group import tallystick
from tallystick.settings import Settings


class Commands:
    """``commands("heads", "export", "--json")`` runs ``tallystick heads export --json``."""

    def __init__(self, settings: Settings) -> None:
        self.environment = {
            "DATABASE_URL": str(settings.database_url),
            "DATABASE_OWNER_URL": str(settings.database_owner_url),
            "DATABASE_WRITER_URL": str(settings.writer_url),
            "REDIS_URL": str(settings.redis_url),
            "TALLYSTICK_SECRET": str(settings.secret),
            "TALLYSTICK_DATA_DIR": str(settings.data_dir),
        }

    def __call__(self, *arguments: Any) -> Result:
        return CliRunner().invoke(tallystick, [str(one) for one in arguments], env=self.environment)
