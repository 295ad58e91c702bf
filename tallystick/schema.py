"""Brings the configured database up to date, and refuses to go on where it is not."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from migrations import runner
from tallystick.errors import NotReady
from tallystick.settings import Settings


def migrate(settings: Settings) -> list[str]:
    """Apply what is pending; returns the names applied.

    Migrates as DATABASE_OWNER_URL, else as DATABASE_URL, and gives the serving role its rights.

    :raises migrations.runner.MigrationError: files and database do not fit together.
    """
    assert settings.database_url is not None, "embedded servers are started first"
    role = conninfo_to_dict(settings.database_url).get("user")
    if settings.database_owner_url is None:
        return runner.migrate(settings.database_url, serving_role=None)
    return runner.migrate(settings.database_owner_url, serving_role=str(role) if role else None)


def require_migrated(settings: Settings) -> None:
    """Refuse to serve on a schema that is not this program's.

    :raises NotReady: something is pending, or wrong; the message says what to run.
    """
    assert settings.database_url is not None, "embedded servers are started first"
    state = runner.inspect(settings.database_url)
    if state.wrong:
        raise NotReady("; ".join(state.wrong))
    if state.pending:
        raise NotReady(f"the database lacks {', '.join(state.pending)}: run tallystick migrate")
