"""Brings the configured database up to date, and refuses to go on where it is not."""

from __future__ import annotations

from psycopg.conninfo import conninfo_to_dict

from migrations import runner
from tallystick.errors import NotReady
from tallystick.settings import Settings


def migrate(settings: Settings) -> list[str]:
    """Apply what is pending; returns the names applied.

    Migrates as DATABASE_OWNER_URL, else as DATABASE_URL, and gives the roles of the others their rights.

    :raises migrations.runner.MigrationError: files and database do not fit together.
    """
    assert settings.database_url is not None, "embedded servers are started first"
    if settings.database_owner_url is None:
        return runner.migrate(
            settings.database_url, serving_role=None, writing_role=_user(settings.database_writer_url)
        )
    return runner.migrate(
        settings.database_owner_url,
        serving_role=_user(settings.database_url),
        writing_role=_user(settings.database_writer_url),
    )


def _user(url: str | None) -> str | None:
    """The role that an address names."""
    found = conninfo_to_dict(url).get("user") if url is not None else None
    return str(found) if found else None


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
